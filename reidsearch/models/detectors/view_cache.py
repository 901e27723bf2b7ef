"""Reusing the detections of parts of a frame that have not changed; for fixed cameras."""

from __future__ import annotations

from itertools import compress
from typing import TYPE_CHECKING

import numpy as np

from reidsearch.core.native import cv2

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from reidsearch.core.types import Detections
    from reidsearch.models.detectors.network import Network
    from reidsearch.models.detectors.tiles import Tile

# The smallest detection that is kept is this high in a thumbnail. On PETS09-S2L1, thumbnails of
# views without people differ by 5 from frame to frame, those of views with people by 70 or more.
_PERSON_PX = 5
_MAX_DIFFERENCE = 16


class ViewCache:
    """Runs a network on views that have changed; returns the last detections of all others.

    A view is compared with the one that the network last saw, not with the previous frame, so that
    slow changes add up.

    Args:
        network: detects.
        min_height_px: of the smallest detection that is kept, in pixels of the frame.
    """

    def __init__(self, network: Network, min_height_px: int) -> None:
        self._network = network
        self._scale = _PERSON_PX / min_height_px
        self._thumbnails: dict[Tile, NDArray[np.uint8]] = {}
        self._detections: dict[Tile, Detections] = {}

    def infer(self, tiles: Sequence[Tile], views: Sequence[NDArray[np.uint8]]) -> list[Detections]:
        """Find people.

        Args:
            tiles: the place of each view in its frame, frame after frame.
            views: see `Network.infer`.

        Returns:
            See `Network.infer`.
        """
        thumbnails = dict(self._thumbnails)
        changed = []
        for tile, view in zip(tiles, views, strict=True):
            thumbnail = self._shrink(view, tile)
            is_new = tile not in thumbnails or _differ(thumbnail, thumbnails[tile])
            if is_new:
                thumbnails[tile] = thumbnail
            changed.append(is_new)
        inferred = iter(self._network.infer(list(compress(views, changed))))
        self._thumbnails = thumbnails
        detections = []
        for tile, is_new in zip(tiles, changed, strict=True):
            if is_new:
                self._detections[tile] = next(inferred)
            detections.append(self._detections[tile])
        return detections

    def _shrink(self, view: NDArray[np.uint8], tile: Tile) -> NDArray[np.uint8]:
        x1, y1, x2, y2 = tile
        height, width = (
            max(min(round(self._scale * length), limit), 1)
            for length, limit in zip((y2 - y1, x2 - x1), view.shape[:2], strict=True)
        )
        thumbnail = cv2.resize(view, (width, height), interpolation=cv2.INTER_AREA)
        return np.asarray(thumbnail, np.uint8)


def _differ(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> bool:
    return cv2.norm(a, b, cv2.NORM_INF) > _MAX_DIFFERENCE
