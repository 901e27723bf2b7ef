"""Metrics as pure functions of arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def detection_average_precision(
    score: NDArray[np.float32], is_true: NDArray[np.bool_], truth_count: int
) -> float:
    """Area under the precision-recall curve, with precision made monotone.

    The all-point interpolation of PASCAL VOC 2010 and later (Everingham et al., "The PASCAL Visual
    Object Classes Challenge: A Retrospective", IJCV 2015, section 4.1).

    Args:
        score: `(N,)`, of all detections in all frames.
        is_true: `(N,)`, whether each was matched to a ground-truth box of its own.
        truth_count: how many ground-truth boxes there are.

    Returns:
        A fraction; 0 without detections, NaN without ground truth.
    """
    if truth_count == 0:
        return float("nan")
    ordered = is_true[np.argsort(-score, kind="stable")]
    hits = np.cumsum(ordered)
    precision = hits / np.arange(1, len(ordered) + 1)
    best_from_here = np.maximum.accumulate(precision[::-1])[::-1]
    return float(best_from_here[ordered].sum() / truth_count)


def ranking_average_precision(is_right: NDArray[np.bool_]) -> float:
    """Mean of the precision at each right match, for one query.

    As in torchreid's `evaluate_rank` and the Market-1501 protocol of Zheng et al. (ICCV 2015).

    Args:
        is_right: `(N,)`, for the gallery from nearest to farthest.

    Returns:
        A fraction; NaN when nothing in the gallery is right.
    """
    if not is_right.any():
        return float("nan")
    precision = np.cumsum(is_right) / np.arange(1, len(is_right) + 1)
    return float(precision[is_right].mean())
