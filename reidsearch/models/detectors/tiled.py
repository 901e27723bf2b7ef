"""Detection in whole frames, whatever runs the network: cut into views, look, join."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

import cv2
import numpy as np

from reidsearch.core.boxes import clip_to
from reidsearch.core.types import Detections
from reidsearch.models.detectors.tiles import choose_grid, lay_tiles, merge_tiles, parse_tiles
from reidsearch.models.detectors.view_cache import ViewCache

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from reidsearch.core.provenance import DetectionSettings
    from reidsearch.models.catalog import DetectorCard
    from reidsearch.models.detectors.network import Network
    from reidsearch.models.detectors.tiles import Tile


class TiledDetector:
    """See `Detector`."""

    def __init__(self, network: Network, card: DetectorCard, settings: DetectionSettings) -> None:
        self._network = network
        self._changed = (
            ViewCache(network, settings.min_height_px) if settings.skip_unchanged else None
        )
        self._card = card
        self._settings = settings
        self._grid = parse_tiles(settings.tiles)

    def detect(self, images: Sequence[NDArray[np.uint8]]) -> list[Detections]:
        """See `Detector.detect`."""
        layouts = [self._lay_tiles(image) for image in images]
        views = [
            self._cut(image, tile)
            for image, tiles in zip(images, layouts, strict=True)
            for tile in tiles
        ]
        if self._changed is None:
            found = iter(self._network.infer(views))
        else:
            found = iter(self._changed.infer([tile for tiles in layouts for tile in tiles], views))
        return [
            self._join(image, tiles, list(islice(found, len(tiles))))
            for image, tiles in zip(images, layouts, strict=True)
        ]

    def _lay_tiles(self, image: NDArray[np.uint8]) -> list[Tile]:
        height, width = image.shape[:2]
        return lay_tiles(
            width, height, self._grid or choose_grid(width, height, self._card.input_px)
        )

    def _cut(self, image: NDArray[np.uint8], tile: Tile) -> NDArray[np.uint8]:
        x1, y1, x2, y2 = tile
        view = image[y1:y2, x1:x2]
        if self._card.keeps_aspect_ratio:
            return view
        side = self._card.input_px
        return np.asarray(cv2.resize(view, (side, side)), np.uint8)

    def _join(
        self, image: NDArray[np.uint8], tiles: list[Tile], found: list[Detections]
    ) -> Detections:
        in_frame = [_place(one, tile) for one, tile in zip(found, tiles, strict=True)]
        joined = merge_tiles(tiles, in_frame)
        height, width = image.shape[:2]
        return self._settings.select(Detections(clip_to(joined.xyxy, width, height), joined.score))


def _place(found: Detections, tile: Tile) -> Detections:
    """From fractions of a tile to pixels of its frame."""
    x1, y1, x2, y2 = tile
    scale = np.array([x2 - x1, y2 - y1] * 2, np.float32)
    corner = np.array([x1, y1] * 2, np.float32)
    return Detections(found.xyxy.clip(0, 1) * scale + corner, found.score)
