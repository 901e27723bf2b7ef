"""Cutting a frame into overlapping tiles, and merging the detections of all tiles.

A detector shrinks its input to a few hundred pixels, where people far away disappear. So it is run
on the whole frame and on enlarged parts of it. The constants here were chosen on PETS09-S2L1 by
`reidsearch evaluate footage`; values near them do about as well.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from reidsearch.core.boxes import iou_matrix, nms
from reidsearch.core.errors import UsageError
from reidsearch.core.types import Detections

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

Tile = tuple[int, int, int, int]
"""x1, y1, x2, y2 in whole pixels of the frame."""

# Neighbouring tiles share a quarter of their width, and more than a person's height, so that every
# person is whole in one of them: 35 % of a tile is 0.21 of the height of a frame with two rows.
_OVERLAP_X, _OVERLAP_Y = 0.25, 0.35
_MAX_COLUMNS, _MAX_TILES = 4, 64
_SEEN_HEIGHT_PX = 60

_BORDER_PX = 2.0
_WHOLE_FACTOR, _WHOLE_HEIGHT = 0.5, 0.6
_NMS_IOU = 0.45
_VOTE_IOU = 0.7


def parse_tiles(text: str) -> tuple[int, int] | None:
    """Read `auto` as None, and `off` or `3x2` as columns and rows.

    Raises:
        UsageError: the text is not a valid tile grid, or has too many tiles.
    """
    if text == "auto":
        return None
    if text == "off":
        return 1, 1
    match = re.fullmatch(r"([1-9]\d?)x([1-9]\d?)", text)
    if not match or int(match[1]) * int(match[2]) > _MAX_TILES:
        raise UsageError(
            f"{text!r} is not a valid tile grid (for example 3x2)",
            hint=f"use auto, off, or COLUMNSxROWS with at most {_MAX_TILES} tiles",
        )
    return int(match[1]), int(match[2])


def choose_grid(width: int, height: int, input_px: int) -> tuple[int, int]:
    """Choose columns and rows for a frame, assuming people of an eighth to a fifth of its height.

    Always two rows, and as many columns as make the tiles about square: 3x2 for 4:3, 4x2 for 16:9.
    A frame is not tiled when it is not larger than the network's input, or when that input is so
    high that people of an eighth of it are still visible.

    Args:
        width: of the frame.
        height: likewise.
        input_px: the height to which the network resizes its input.
    """
    is_small = width * height <= input_px**2 or min(width, height) <= 0.8 * input_px
    if is_small or input_px / 8 >= _SEEN_HEIGHT_PX:
        return 1, 1
    tile = height / (2 - _OVERLAP_Y)
    columns = round((width / tile - _OVERLAP_X) / (1 - _OVERLAP_X))
    return min(max(columns, 1), _MAX_COLUMNS), 2


def lay_tiles(width: int, height: int, grid: tuple[int, int]) -> list[Tile]:
    """List the views of a frame: all of it, then its tiles row by row; the grid (1, 1) has none."""
    whole = (0, 0, width, height)
    columns, rows = grid
    if columns * rows == 1:
        return [whole]
    spans_x = _spans(width, columns, _OVERLAP_X)
    spans_y = _spans(height, rows, _OVERLAP_Y)
    tiles = ((x1, y1, x2, y2) for y1, y2 in spans_y for x1, x2 in spans_x)
    return [whole, *(tile for tile in tiles if tile[2] > tile[0] and tile[3] > tile[1])]


def merge_tiles(tiles: Sequence[Tile], views: Sequence[Detections]) -> Detections:
    """Merge the detections of all views of one frame, so that each person has one box.

    1. A box at an inner border of its tile shows only part of a person and is dropped: another
       view has all of it.
    2. In the whole frame, small people get high scores but inexact boxes: scores are halved,
       except for people who would be large in a tile.
    3. Non-maximum suppression over all views; each remaining box becomes the mean, weighted by
       score, of those that agree with it (box voting: Gidaris and Komodakis, ICCV 2015).

    Args:
        tiles: from `lay_tiles`.
        views: for each, its detections in pixels of the full frame.
    """
    parts: list[Detections] = []
    for tile, detections in zip(tiles, views, strict=True):
        if tile != tiles[0]:
            parts.append(detections[~_is_cut(detections.xyxy, tile, tiles[0])])
        elif len(tiles) > 1:
            height = detections.xyxy[:, 3] - detections.xyxy[:, 1]
            small = height < _WHOLE_HEIGHT * (tiles[1][3] - tiles[1][1])
            factor = np.where(small, np.float32(_WHOLE_FACTOR), np.float32(1))
            parts.append(Detections(detections.xyxy, detections.score * factor))
        else:
            parts.append(detections)
    return _vote(
        Detections(
            np.concatenate([detections.xyxy for detections in parts]),
            np.concatenate([detections.score for detections in parts]),
        )
    )


def _spans(length: int, count: int, overlap: float) -> list[tuple[int, int]]:
    """Cut `length` into equal spans, each sharing `overlap` of its own length with the next."""
    size = length / (count - (count - 1) * overlap)
    starts = np.linspace(0, length - size, count)
    return [(round(start), round(start + size)) for start in starts]


def _is_cut(xyxy: NDArray[np.float32], tile: Tile, whole: Tile) -> NDArray[np.bool_]:
    """Which boxes touch a border of the tile that is not one of the frame."""
    inner_low = np.array([tile[0] > whole[0], tile[1] > whole[1]])
    inner_high = np.array([tile[2] < whole[2], tile[3] < whole[3]])
    at_low = xyxy[:, :2] < np.array(tile[:2]) + _BORDER_PX
    at_high = xyxy[:, 2:] > np.array(tile[2:]) - _BORDER_PX
    return np.asarray((at_low & inner_low | at_high & inner_high).any(axis=1))


def _vote(detections: Detections) -> Detections:
    """Suppress, and average each box that is kept with those that agree with it."""
    detections = detections[np.argsort(-detections.score, kind="stable")]
    xyxy, weight = detections.xyxy, detections.score + 1e-6
    kept, voted = [], []
    for group in nms(xyxy, _NMS_IOU):
        agrees = iou_matrix(xyxy[group[:1]], xyxy[group])[0] > _VOTE_IOU
        agrees[0] = True
        voters = group[agrees]
        kept.append(group[0])
        voted.append(np.average(xyxy[voters], axis=0, weights=weight[voters]))
    return Detections(np.array(voted, np.float32).reshape(-1, 4), detections.score[kept])
