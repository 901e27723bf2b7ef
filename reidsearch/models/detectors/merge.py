"""Merging what a detector found in the views of one frame, so that each person has one box.

The constants were chosen by `scripts/bench_tiles.py`; values near them do about as well.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from reidsearch.core.boxes import areas, clip_to, cover_matrix, iou_matrix, nms
from reidsearch.core.types import Detections

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from reidsearch.models.detectors.tiles import Tile

_BORDER = 0.02  # of a tile: so near to its border do boxes of cut people end
_SMALL = 0.6  # of the last tile's height
_SAME_PART_IOU, _SMALL_FACTOR = 0.7, 0.5
_PART_COVER, _PART_RATIO = 0.8, 0.5
_NMS_IOU = 0.45
_VOTE_IOU = 0.7


def merge_views(tiles: Sequence[Tile], views: Sequence[Detections]) -> Detections:
    """Merge the detections of all views of one frame; a frame without tiles keeps its own.

    1. A box that ends at an inner border of its tile shows a part of a person. It goes: a
       neighbouring tile or the whole frame has all of that person.
    2. In the whole frame, small people get inexact boxes, and are left to the tiles, except where
       tiles cut them: then the whole frame's box replaces the parts, at half its score.
    3. A box goes, too, if it is most of the way within a larger one that reaches out of its tile:
       a detector may end a cut person's box anywhere.
    4. Non-maximum suppression over all views; each remaining box becomes the mean, weighted by
       score, of those that agree with it (box voting: Gidaris and Komodakis, ICCV 2015).

    Args:
        tiles: from `lay_tiles`.
        views: for each, its detections in pixels of the full frame.
    """
    if len(tiles) == 1:  # the network has suppressed its own boxes
        return views[0][np.argsort(-views[0].score, kind="stable")]
    whole = tiles[0]
    is_cut = [
        _reach(found.xyxy, tile, whole, _BORDER) for tile, found in zip(tiles, views, strict=True)
    ]
    parts = [found[cut] for found, cut in zip(views, is_cut, strict=True)]
    kept = [found[~cut] for found, cut in zip(views, is_cut, strict=True)]
    kept[0] = _trust(kept[0], tiles, parts)
    return _vote(_drop_parts(tiles, kept))


def _trust(found: Detections, tiles: Sequence[Tile], parts: Sequence[Detections]) -> Detections:
    """Of those found in the whole frame, keep large people, and small ones that tiles cut."""
    height = found.xyxy[:, 3] - found.xyxy[:, 1]
    is_small = height < _SMALL * (tiles[-1][3] - tiles[-1][1])
    replaces = np.zeros(len(found), bool)
    for tile, cut in zip(tiles, parts, strict=True):
        iou = iou_matrix(clip_to(found.xyxy, tile), cut.xyxy).max(axis=1, initial=0)
        replaces |= (iou >= _SAME_PART_IOU) & _reach(found.xyxy, tile, tiles[0])
    score = found.score * np.where(is_small, np.float32(_SMALL_FACTOR), np.float32(1))
    return Detections(found.xyxy, score)[~is_small | replaces]


def _drop_parts(tiles: Sequence[Tile], views: Sequence[Detections]) -> Detections:
    """Put all views together, without boxes that show a part of what a larger one shows."""
    xyxy = np.concatenate([found.xyxy for found in views])
    score = np.concatenate([found.score for found in views])
    view = np.repeat(np.arange(len(views)), [len(found) for found in views])
    area = areas(xyxy)
    covers = (cover_matrix(xyxy, xyxy) >= _PART_COVER) & (area > area[:, np.newaxis])
    covers &= score >= _PART_RATIO * score[:, np.newaxis]
    reach = np.array([_reach(xyxy, tile, tiles[0]) for tile in tiles])
    return Detections(xyxy, score)[~(covers & reach[view]).any(axis=1)]


def _reach(
    xyxy: NDArray[np.float32], tile: Tile, whole: Tile, border: float = 0.0
) -> NDArray[np.bool_]:
    """Which boxes reach beyond a tile, or so near to a border of it that is not the frame's.

    Args:
        xyxy: `(N, 4)`.
        tile: any.
        whole: the frame.
        border: how near, as a share of the tile's width and height.
    """
    inner_low = np.array([tile[0] > whole[0], tile[1] > whole[1]])
    inner_high = np.array([tile[2] < whole[2], tile[3] < whole[3]])
    low, high = np.array(tile[:2]), np.array(tile[2:])
    margin = border * (high - low)
    over = (xyxy[:, :2] < low + margin) & inner_low | (xyxy[:, 2:] > high - margin) & inner_high
    return np.asarray(over.any(axis=1))


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
