"""Re-ranking with k-reciprocal neighbours."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from reidsearch.core.exact_search import l2_distances

if TYPE_CHECKING:
    from numpy.typing import NDArray


def rerank_distances(
    query: NDArray[np.float32],
    gallery: NDArray[np.float32],
    *,
    k1: int = 20,
    k2: int = 6,
    weight: float = 0.3,
) -> NDArray[np.float32]:
    """Distances that also count whom two crops have as common neighbours.

    Zhong et al., "Re-ranking Person Re-identification with k-reciprocal Encoding", CVPR 2017, with
    its parameters. torchreid's `re_ranking` is the reference; it loops over pairs in Python.

    Args:
        query: `(Q, D)` float32 of length 1.
        gallery: `(G, D)`, likewise.
        k1: neighbours that must be mutual.
        k2: neighbours that an encoding is averaged over.
        weight: of the original distance in the result.

    Returns:
        `(Q, G)` float32; needs memory for about four times `(Q + G)^2` of them.
    """
    vectors = np.concatenate([query, gallery])
    original = np.square(l2_distances(vectors, vectors))  # squared, as the paper has it
    original = (original / original.max(axis=0)).T
    kept = max(k1 + 1, k2)
    ranked = np.stack([np.argsort(row, kind="stable")[:kept] for row in original])
    nearest = _mutual_neighbours(ranked, k1)
    half = _mutual_neighbours(ranked, round(k1 / 2))
    encoded = np.zeros_like(original, dtype=np.float32)
    for row, mutual in enumerate(nearest):
        expanded = np.unique(np.concatenate([mutual, *_similar(mutual, half)]))
        closeness = np.exp(-original[row, expanded])
        encoded[row, expanded] = closeness / closeness.sum()
    if k2 > 1:
        averaged = np.empty_like(encoded)
        for row, near in enumerate(ranked[:, :k2]):
            encoded[near].mean(axis=0, out=averaged[row])
        encoded = averaged
    jaccard = _jaccard_distances(encoded[: len(query)], encoded[len(query) :])
    blended: NDArray[np.float32] = (
        jaccard * (1 - weight) + original[: len(query), len(query) :] * weight
    )
    return blended


def _mutual_neighbours(ranked: NDArray[np.intp], k: int) -> list[NDArray[np.intp]]:
    """For each row those of its k nearest, itself included, that have it among theirs."""
    near = ranked[:, : k + 1]
    return [row[(near[row] == i).any(axis=1)] for i, row in enumerate(near)]


def _similar(mutual: NDArray[np.intp], half: list[NDArray[np.intp]]) -> list[NDArray[np.intp]]:
    """The neighbours of neighbours, where most of them are neighbours already."""
    return [
        half[other]
        for other in mutual
        if len(np.intersect1d(half[other], mutual)) > 2 / 3 * len(half[other])
    ]


def _jaccard_distances(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float32]:
    """1 - |min| / |max| of rows that each sum to 1; their maximum sums to 2 - their minimum."""
    common = np.zeros((len(a), len(b)), np.float32)
    for row, encoding in enumerate(a):
        shown = np.flatnonzero(encoding)
        common[row] = np.minimum(b[:, shown], encoding[shown]).sum(axis=1)
    return 1 - common / (2 - common)
