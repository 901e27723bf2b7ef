"""Fixed cameras: what is seen again is not looked at again."""

from __future__ import annotations

from itertools import compress
from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from reidsearch.core.types import Detections
    from reidsearch.models.detectors.network import Network
    from reidsearch.models.detectors.tiles import Tile

# The lowest person kept is this high in a thumbnail. On PETS09-S2L1, thumbnails of views without
# people differ by 5 from frame to frame, those of views with people by 70 or more.
_PERSON_PX = 5
_SAME = 16


class ViewCache:
    """Looks at a view when it changed since it was last looked at; else people are where they were.

    Changes add up: a view is compared with the one that was looked at, not with the frame before.

    Args:
        network: looks.
        min_height_px: of the people who matter, in pixels of the frame.
    """

    def __init__(self, network: Network, min_height_px: int) -> None:
        self._network = network
        self._scale = _PERSON_PX / min_height_px
        self._thumbnails: dict[Tile, NDArray[np.uint8]] = {}
        self._found: dict[Tile, Detections] = {}

    def infer(self, tiles: Sequence[Tile], views: Sequence[NDArray[np.uint8]]) -> list[Detections]:
        """Find people.

        Args:
            tiles: where in its frame each view is; frame after frame.
            views: as `Network.infer` takes them.

        Returns:
            As `Network.infer` does.
        """
        thumbnails = dict(self._thumbnails)
        changed = []
        for tile, view in zip(tiles, views, strict=True):
            thumbnail = self._shrink(view, tile)
            is_new = tile not in thumbnails or _differ(thumbnail, thumbnails[tile])
            if is_new:
                thumbnails[tile] = thumbnail
            changed.append(is_new)
        looked = iter(self._network.infer(list(compress(views, changed))))
        self._thumbnails = thumbnails
        found = []
        for tile, is_new in zip(tiles, changed, strict=True):
            if is_new:
                self._found[tile] = next(looked)
            found.append(self._found[tile])
        return found

    def _shrink(self, view: NDArray[np.uint8], tile: Tile) -> NDArray[np.uint8]:
        x1, y1, x2, y2 = tile
        height, width = (
            max(min(round(self._scale * length), most), 1)
            for length, most in zip((y2 - y1, x2 - x1), view.shape[:2], strict=True)
        )
        thumbnail = cv2.resize(view, (width, height), interpolation=cv2.INTER_AREA)
        return np.asarray(thumbnail, np.uint8)


def _differ(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> bool:
    return cv2.norm(one, other, cv2.NORM_INF) > _SAME
