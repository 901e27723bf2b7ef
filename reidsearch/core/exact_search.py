"""Distances between vectors, and the exact nearest by reading all of them once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numkong
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from numpy.typing import NDArray

    from reidsearch.core.types import Fuse

    Part = slice | NDArray[np.intp]
    Kernel = Callable[[NDArray[np.float16], NDArray[np.float16]], NDArray[np.float64]]
    OrderOf = Callable[[NDArray[np.intp]], tuple[NDArray[np.intp], ...]]

CHUNK_ROWS = 1 << 14  # so many rows are looked at together at most
_SPARSE = 3  # where fewer than one in so many rows is looked at, these are copied out
_EXACT_ROWS = 1 << 12
_FIRST_BLOCK = 64  # rows; each block after it is four times as large
_SAMPLE_STEP = 16
_UNIT_ROUNDOFF = 2.0**-24  # of float32


def nearest_rows(
    vectors: NDArray[np.float16],
    query: NDArray[np.float16],
    parts: Iterable[Part],
    fuse: Fuse = "min",
    order_of: OrderOf = lambda rows: (rows,),
) -> Iterator[tuple[NDArray[np.intp], NDArray[np.float64]]]:
    """Rank rows by their distance to a query, exactly: as float64 would rank them.

    A first pass gives every row a distance by NumKong's kernels, which widen float16 to float32;
    only rows that can be among the next to come are ranked again in float64. Why none is missed: a
    squared distance is a sum of D terms (x - q)², none of them negative. Each difference, square
    and addition in float32, in whatever order and fused or not, is off by a factor within 1 ± u, u
    = 2^-24, so the computed sum is within 1 ± g of the true one, with g = n u / (1 - n u) and
    n = D + 3 (Higham, "Accuracy and Stability of Numerical Algorithms", 2002, lemma 3.1; a
    difference's error counts twice in its square). Its root is within 1 ± g too, and so is the
    minimum or the mean of several; that it is kept in float32 makes n one more. Let K be the k-th
    smallest computed distance. A row with a computed distance above K (1 + g) / (1 - g) is truly
    farther than K / (1 - g). So of all rows up to there, ranked again, those truly within
    K / (1 - g) come next, and these are k at least.

    Whether the kernel of this processor keeps the bound is checked on the rows ranked again; if it
    should not, numpy does its work.

    Args:
        vectors: `(N, D)`.
        query: `(Q, D)`, of Q pictures of one person.
        parts: rows to look at, none of them twice: `CHUNK_ROWS` at a time at most, as slices or
            ascending.
        fuse: what becomes of the distances to the Q vectors.
        order_of: how rows of one distance follow each other: keys of some rows, as `np.lexsort`
            takes them, the last being the first to count.

    Yields:
        Rows and their L2 distances, nearest first, in blocks; each row once.
    """
    n = vectors.shape[1] + 4
    g = n * _UNIT_ROUNDOFF / (1 - n * _UNIT_ROUNDOFF)
    parts = [part for part in parts if _size(part)]
    ends = np.cumsum([_size(part) for part in parts], dtype=np.intp)
    near = _distances(vectors, query, parts, fuse, _by_numkong)
    is_given = np.zeros(len(near), np.bool_)
    is_by_numkong = True
    size = _FIRST_BLOCK
    while left := int(np.isfinite(near).sum()):
        farthest = _smallest(near, min(size, left))
        within = np.nextafter(np.float32(farthest * (1 + g) / (1 - g)), np.float32(np.inf))
        places = np.flatnonzero(near <= within)
        rows = _rows_at(places, parts, ends)
        exact = _rank_again(vectors, query, rows, fuse)
        if is_by_numkong and not (np.abs(near[places] - exact) <= g * exact).all():
            near = _distances(vectors, query, parts, fuse, _by_numpy)
            near[is_given] = np.inf
            is_by_numkong = False
            continue
        comes = exact <= farthest / (1 - g)
        places, rows, exact = places[comes], rows[comes], exact[comes]
        order = np.lexsort((*order_of(rows), exact))
        yield rows[order], exact[order]
        is_given[places] = True
        near[places] = np.inf
        size *= 4


def l2_distances(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float32]:
    """Distances of all pairs, `(A, D)` and `(B, D)` of length 1 to `(A, B)`; by BLAS, in float32.

    Three times as fast as `nearest_rows`' kernels, and off by up to 5e-4 where vectors are nearly
    the same: for metrics and statistics of very many pairs.
    """
    squared: NDArray[np.float32] = np.maximum(2 - 2 * (a @ b.T), 0)
    return np.sqrt(squared)


def fuse_distances(distances: NDArray[np.float64], fuse: Fuse) -> NDArray[np.float64]:
    """Make one distance of those to each of Q vectors of one person: `(Q, N)` to `(N,)`."""
    fused: NDArray[np.float64] = distances[0]
    if len(distances) > 1:
        fused = distances.min(axis=0) if fuse == "min" else distances.mean(axis=0)
    return fused


def _distances(
    vectors: NDArray[np.float16],
    query: NDArray[np.float16],
    parts: list[Part],
    fuse: Fuse,
    kernel: Kernel,
) -> NDArray[np.float32]:
    """Distances of all rows of the parts, one after another."""
    near = np.empty(sum(map(_size, parts)), np.float32)
    start = 0
    for part in parts:
        rows, chosen = part, slice(None)
        if not isinstance(part, slice) and part[-1] - part[0] < _SPARSE * len(part):
            rows, chosen = slice(part[0], part[-1] + 1), part - part[0]
        distances = fuse_distances(np.sqrt(kernel(query, vectors[rows])), fuse)
        near[start : start + _size(part)] = distances[chosen]
        start += _size(part)
    return near


def _size(part: Part) -> int:
    return part.stop - part.start if isinstance(part, slice) else len(part)


def _rows_at(
    places: NDArray[np.intp], parts: list[Part], ends: NDArray[np.intp]
) -> NDArray[np.intp]:
    """Which rows are in some places, ascending, of all parts one after another."""
    owners = np.searchsorted(ends, places, "right")
    rows = np.empty(len(places), np.intp)
    for owner in np.unique(owners):
        part, own = parts[owner], owners == owner
        inside = places[own] - (ends[owner] - _size(part))
        rows[own] = part.start + inside if isinstance(part, slice) else part[inside]
    return rows


def _smallest(near: NDArray[np.float32], k: int) -> float:
    """The k-th smallest distance: not above the k-th of a sample, which is quickly found."""
    sample = near[::_SAMPLE_STEP]
    if len(sample) >= k and np.isfinite(bound := np.partition(sample, k - 1)[k - 1]):
        near = near[near <= bound]
    return float(np.partition(near, k - 1)[k - 1])


def _rank_again(
    vectors: NDArray[np.float16], query: NDArray[np.float16], rows: NDArray[np.intp], fuse: Fuse
) -> NDArray[np.float64]:
    """Distances of some rows in float64."""
    wide = query.astype(np.float64)
    distances = np.empty(len(rows))
    for start in range(0, len(rows), _EXACT_ROWS):
        some = vectors[rows[start : start + _EXACT_ROWS]].astype(np.float64)
        apart = [np.sqrt(np.square(some - one).sum(axis=1)) for one in wide]
        distances[start : start + _EXACT_ROWS] = fuse_distances(np.stack(apart), fuse)
    return distances


def _by_numkong(query: NDArray[np.float16], vectors: NDArray[np.float16]) -> NDArray[np.float64]:
    return np.asarray(numkong.cdist(query, vectors, "sqeuclidean"), np.float64).reshape(
        len(query), len(vectors)
    )


def _by_numpy(query: NDArray[np.float16], vectors: NDArray[np.float16]) -> NDArray[np.float64]:
    some = vectors.astype(np.float32)
    return np.stack([np.square(some - one).sum(axis=1) for one in query.astype(np.float32)]).astype(
        np.float64
    )
