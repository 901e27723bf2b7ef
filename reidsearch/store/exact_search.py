"""Exact nearest vectors, by reading all of them once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numkong
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from reidsearch.types import Fuse

    Ranked = tuple[NDArray[np.intp], NDArray[np.float64]]
    Allowed = Callable[[slice], NDArray[np.bool_]]
    OrderOf = Callable[[NDArray[np.intp]], tuple[NDArray[np.intp], ...]]

_CHUNK_ROWS = 1 << 14
_EXACT_ROWS = 1 << 12
_KEPT_ROWS = 4096  # rows that may gather before the farthest of them are let go
_UNIT_ROUNDOFF = 2.0**-24  # of float32


def rank_rows(
    vectors: NDArray[np.float16],
    queries: Sequence[NDArray[np.float16]],
    slices: Iterable[slice],
    top: int,
    fuse: Fuse = "min",
    allowed: Allowed | None = None,
    order_of: OrderOf = lambda rows: (rows,),
) -> list[Ranked]:
    """Find the rows nearest to each query, exactly: as float64 would rank them.

    A first pass gives every row a distance by NumKong's kernels, which widen float16 to float32;
    only rows that can be among the nearest are ranked again in float64. Why none is missed: a
    squared distance is a sum of D terms (x - q)², none of them negative. Each difference, square
    and addition in float32, in whatever order and fused or not, is off by a factor within 1 ± u, u
    = 2^-24, so the computed sum is within 1 ± g of the true one, with g = n u / (1 - n u) and
    n = D + 3 (Higham, "Accuracy and Stability of Numerical Algorithms", 2002, lemma 3.1; a
    difference's error counts twice in its square). Its root is within 1 ± g too, and so is the
    minimum or the mean of several. Let K be the k-th smallest computed distance. At least k rows
    are truly no farther than K / (1 - g), so none of the true k nearest is, and none of them has a
    computed distance above K (1 + g) / (1 - g). All rows up to there are ranked again.

    Whether the kernel of this processor keeps the bound is checked on the rows ranked again; if it
    should not, numpy does its work.

    Args:
        vectors: `(N, D)`.
        queries: `(Q, D)` each, of Q pictures of one person.
        slices: rows to look at; they do not overlap.
        top: how many to find at most.
        fuse: what becomes of the distances to the Q vectors.
        allowed: which rows of a slice count, as a mask.
        order_of: how rows of one distance follow each other: keys of some rows, as `np.lexsort`
            takes them, the last being the first to count.

    Returns:
        For each query its rows, nearest first, and their L2 distances.
    """
    n = vectors.shape[1] + 3
    g = n * _UNIT_ROUNDOFF / (1 - n * _UNIT_ROUNDOFF)
    parts = list(_chunks(slices))
    for kernel in (_by_numkong, _by_numpy):
        pools = [_Nearest(top, (1 + g) / (1 - g)) for _ in queries]
        together = np.concatenate(queries)
        ends = np.cumsum([len(query) for query in queries])
        for part in parts:
            mask = None if allowed is None else allowed(part)
            distances = np.split(np.sqrt(kernel(together, vectors[part])), ends[:-1])
            for pool, distance in zip(pools, distances, strict=True):
                pool.take(part.start, _fuse(distance, fuse), mask)
        ranked, is_kept = [], True
        for pool, query in zip(pools, queries, strict=True):
            rows, near = pool.rest()
            exact = _rank_again(vectors, query, rows, fuse)
            is_kept &= bool((np.abs(near - exact) <= g * exact).all())
            order = np.lexsort((*order_of(rows), exact))[:top]
            ranked.append((rows[order], exact[order]))
        if is_kept:
            break
    return ranked


class _Nearest:
    """The rows that may be among the nearest, as far as distances are known."""

    def __init__(self, top: int, margin: float) -> None:
        self._top, self._margin = top, margin
        self._limit = np.inf
        self._rows = np.empty(0, np.intp)
        self._near = np.empty(0, np.float64)

    def take(
        self, start: int, distance: NDArray[np.float64], mask: NDArray[np.bool_] | None
    ) -> None:
        inside = distance <= self._limit
        found = np.flatnonzero(inside if mask is None else inside & mask)
        self._rows = np.concatenate([self._rows, found + start])
        self._near = np.concatenate([self._near, distance[found]])
        if len(self._rows) > max(_KEPT_ROWS, 2 * self._top) or self._limit == np.inf:
            self.rest()

    def rest(self) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
        if len(self._rows) >= self._top:
            self._limit = np.partition(self._near, self._top - 1)[self._top - 1] * self._margin
            kept = self._near <= self._limit
            self._rows, self._near = self._rows[kept], self._near[kept]
        return self._rows, self._near


def _chunks(slices: Iterable[slice]) -> Iterator[slice]:
    for wanted in slices:
        for start in range(wanted.start, wanted.stop, _CHUNK_ROWS):
            yield slice(start, min(start + _CHUNK_ROWS, wanted.stop))


def _rank_again(
    vectors: NDArray[np.float16], query: NDArray[np.float16], rows: NDArray[np.intp], fuse: Fuse
) -> NDArray[np.float64]:
    """Distances of some rows in float64."""
    wide = query.astype(np.float64)
    distances = np.empty(len(rows))
    for start in range(0, len(rows), _EXACT_ROWS):
        some = vectors[rows[start : start + _EXACT_ROWS]].astype(np.float64)
        apart = [np.sqrt(np.square(some - one).sum(axis=1)) for one in wide]
        distances[start : start + _EXACT_ROWS] = _fuse(np.stack(apart), fuse)
    return distances


def _fuse(distances: NDArray[np.float64], fuse: Fuse) -> NDArray[np.float64]:
    """`(Q, N)` to `(N,)`."""
    fused: NDArray[np.float64] = distances[0]
    if len(distances) > 1:
        fused = distances.min(axis=0) if fuse == "min" else distances.mean(axis=0)
    return fused


def _by_numkong(query: NDArray[np.float16], vectors: NDArray[np.float16]) -> NDArray[np.float64]:
    return np.asarray(numkong.cdist(query, vectors, "sqeuclidean"), np.float64).reshape(
        len(query), len(vectors)
    )


def _by_numpy(query: NDArray[np.float16], vectors: NDArray[np.float16]) -> NDArray[np.float64]:
    some = vectors.astype(np.float32)
    return np.stack([np.square(some - one).sum(axis=1) for one in query.astype(np.float32)]).astype(
        np.float64
    )
