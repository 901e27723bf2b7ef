"""Which passages may show the same person: a proposal for users to judge."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

SAME_DISTANCE = 0.87
"""Mean looks of one person are nearer: measured with both pairs of networks on PETS09-S2L1."""
_NEVER = 1e12  # so far that no mean over pairs with one such is near


def at_once(first_s: NDArray[np.float64], last_s: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which pairs of passages `(P, P)` are at the same time, where nobody can be in both.

    Args:
        first_s: `(P,)`, when each begins.
        last_s: `(P,)`, when it ends.
    """
    overlap = (first_s[:, np.newaxis] <= last_s) & (first_s <= last_s[:, np.newaxis])
    np.fill_diagonal(overlap, val=False)
    return np.asarray(overlap)


def propose(
    looks: NDArray[np.float32],
    same: NDArray[np.bool_],
    apart: NDArray[np.bool_],
    max_distance: float = SAME_DISTANCE,
) -> NDArray[np.int64]:
    """Group passages by average linkage: the mean distance of two groups that become one is least.

    Args:
        looks: `(P, D)`, the mean vector of each passage, of length 1.
        same: `(P, P)`, which pairs are known to be of one person.
        apart: `(P, P)`, which pairs cannot be; they count where both are said.
        max_distance: of groups that become one.

    Returns:
        `(P,)`, the group of each passage, numbered from 0 in the order of their first.
    """
    from scipy.cluster.hierarchy import fcluster, linkage
    from scipy.spatial.distance import squareform

    if len(looks) < 2:
        return np.zeros(len(looks), np.int64)
    distance = np.sqrt(np.maximum(2 - 2 * (looks @ looks.T), 0)).astype(np.float64)
    distance[same] = 0
    distance[apart] = _NEVER
    np.fill_diagonal(distance, 0)
    found = fcluster(
        linkage(squareform(distance, checks=False), "average"), max_distance, "distance"
    )
    _, firsts, groups = np.unique(found, return_index=True, return_inverse=True)
    return np.asarray(np.argsort(np.argsort(firsts))[groups], np.int64)
