"""Metrics as pure functions of arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class RankingQuality:
    """How well a gallery was ranked for a set of queries; fractions.

    Attributes:
        mean_ap: mean average precision.
        cmc: `(K,)`, cumulative matching characteristic: entry k is how often a right match is among
            the first k + 1.
        queries: how many had a right match in the gallery; the others do not count.
    """

    mean_ap: float
    cmc: NDArray[np.float64]
    queries: int


@dataclass(frozen=True, slots=True)
class RankedQuery:
    """How well a gallery was ranked for one query.

    Attributes:
        right: how many right matches the gallery has.
        right_rank: the rank, from 1, of the first; None if there is none.
        average_precision: over them, as a fraction; 0 if there is none.
    """

    right: int
    right_rank: int | None
    average_precision: float


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


def rank_query(is_right: NDArray[np.bool_]) -> RankedQuery:
    """Measure the answer to one query.

    Args:
        is_right: `(N,)`, for the gallery from nearest to farthest.
    """
    if not is_right.any():
        return RankedQuery(0, None, 0.0)
    first = int(is_right.argmax()) + 1
    return RankedQuery(int(is_right.sum()), first, ranking_average_precision(is_right))


def rank_gallery(
    distance: NDArray[np.floating],
    query_pids: NDArray[np.int64],
    query_camids: NDArray[np.int64],
    gallery_pids: NDArray[np.int64],
    gallery_camids: NDArray[np.int64],
) -> list[NDArray[np.intp]]:
    """Order the gallery for each query, nearest first, and take out what may not be counted.

    Left out are the crops of the query's own identity from the query's own camera, as in the
    protocol of Market-1501 (Zheng et al., ICCV 2015): they show the same passage.

    Args:
        distance: `(Q, G)`.
        query_pids: `(Q,)`, the queries' identities.
        query_camids: `(Q,)`, their cameras.
        gallery_pids: `(G,)`, the gallery's identities.
        gallery_camids: `(G,)`, their cameras.

    Returns:
        For each query the gallery's rows that are left; equal distances in the gallery's order.
    """
    orders = []
    for row, pid, camid in zip(distance, query_pids, query_camids, strict=True):
        order = np.argsort(row, kind="stable")
        own = (gallery_pids[order] == pid) & (gallery_camids[order] == camid)
        orders.append(order[~own])
    return orders


def measure_ranking(is_right: list[NDArray[np.bool_]], max_rank: int = 50) -> RankingQuality:
    """Mean average precision and CMC curve, as torchreid's `evaluate_rank` computes them.

    Args:
        is_right: for each query, which of its ranked gallery are right.
        max_rank: K, how far the curve goes.
    """
    answered = [ranks for ranks in is_right if ranks.any()]
    if not answered:
        return RankingQuality(float("nan"), np.full(max_rank, np.nan), 0)
    first_right = np.array([int(ranks.argmax()) for ranks in answered])
    cmc = (first_right[:, np.newaxis] <= np.arange(max_rank)).mean(axis=0)
    mean_ap = float(np.mean([ranking_average_precision(ranks) for ranks in answered]))
    return RankingQuality(mean_ap, cmc, len(answered))
