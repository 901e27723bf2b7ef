"""Boxes as `(N, 4)` arrays of x1, y1, x2, y2 in pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def iou_matrix(a_xyxy: NDArray[np.float32], b_xyxy: NDArray[np.float32]) -> NDArray[np.float32]:
    """Intersection over union of each box of A `(N, 4)` with each of B `(M, 4)`, as `(N, M)`."""
    shared = _intersection(a_xyxy, b_xyxy)
    union = areas(a_xyxy)[:, None] + areas(b_xyxy)[None, :] - shared
    return np.asarray(shared / np.maximum(union, 1e-9), np.float32)


def cover_matrix(a_xyxy: NDArray[np.float32], b_xyxy: NDArray[np.float32]) -> NDArray[np.float32]:
    """The share of each box of A `(N, 4)` that each of B `(M, 4)` covers, as `(N, M)`."""
    shared = _intersection(a_xyxy, b_xyxy)
    return np.asarray(shared / np.maximum(areas(a_xyxy)[:, None], 1e-9), np.float32)


def areas(xyxy: NDArray[np.float32]) -> NDArray[np.float32]:
    """The area of each box, in square pixels."""
    return np.asarray((xyxy[:, 2:] - xyxy[:, :2]).prod(axis=1), np.float32)


def _intersection(a_xyxy: NDArray[np.float32], b_xyxy: NDArray[np.float32]) -> NDArray[np.float32]:
    low = np.maximum(a_xyxy[:, None, :2], b_xyxy[None, :, :2])
    high = np.minimum(a_xyxy[:, None, 2:], b_xyxy[None, :, 2:])
    return np.asarray(np.clip(high - low, 0, None).prod(axis=2), np.float32)


def nms(xyxy: NDArray[np.float32], max_iou: float) -> list[NDArray[np.intp]]:
    """Greedy non-maximum suppression.

    Args:
        xyxy: `(N, 4)`, by descending score.
        max_iou: the greatest overlap of two boxes that are both kept.

    Returns:
        For each box that is kept, its row, followed by the rows that it suppresses.
    """
    overlaps = iou_matrix(xyxy, xyxy) > max_iou
    np.fill_diagonal(overlaps, val=True)  # a box without area overlaps not even itself
    groups = []
    remaining = np.ones(len(xyxy), bool)
    for row in range(len(xyxy)):
        if remaining[row]:
            groups.append(np.flatnonzero(remaining & overlaps[row]))
            remaining &= ~overlaps[row]
    return groups


def clip_to(xyxy: NDArray[np.float32], within: tuple[int, int, int, int]) -> NDArray[np.float32]:
    """Clip boxes to a part x1, y1, x2, y2 of a picture."""
    low, high = np.array(within[:2] * 2, np.float32), np.array(within[2:] * 2, np.float32)
    return np.clip(xyxy, low, high)
