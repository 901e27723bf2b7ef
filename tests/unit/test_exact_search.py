"""The exact search beside float64 arithmetic over all rows."""

from itertools import chain, islice

import numpy as np
import pytest

from reidsearch.core import exact_search
from reidsearch.core.exact_search import nearest_rows

ROWS, DIMENSION = 40_000, 64


def brute_force(vectors, query, rows, top, fuse="min"):
    apart = vectors[rows].astype(np.float64)[:, np.newaxis] - query.astype(np.float64)
    distances = np.sqrt(np.square(apart).sum(axis=2))
    fused = distances.min(axis=1) if fuse == "min" else distances.mean(axis=1)
    order = np.lexsort((rows, fused))[:top]
    return rows[order].tolist(), fused[order]


def nearest(*arguments, top=ROWS):
    """The first rows of `nearest_rows`, and how far they are."""
    taken = list(
        islice(chain.from_iterable(zip(*b, strict=True) for b in nearest_rows(*arguments)), top)
    )
    return [row for row, _ in taken], [distance for _, distance in taken]


def normalised(vectors):
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float16)


def make_random(rng):
    return normalised(rng.standard_normal((ROWS, DIMENSION)))


def make_clusters(rng):
    centres = rng.standard_normal((20, DIMENSION))[rng.integers(0, 20, ROWS)]
    return normalised(centres + 0.02 * rng.standard_normal((ROWS, DIMENSION)))


def make_duplicates(rng):
    return make_random(rng)[rng.integers(0, 50, ROWS)]


def make_equal_distances(rng):
    """Unit vectors along the axes and between them: few distances, each of thousands of rows."""
    vectors = np.zeros((ROWS, DIMENSION))
    vectors[np.arange(ROWS), rng.integers(0, DIMENSION, ROWS)] = 1
    some = rng.random(ROWS) < 0.3
    vectors[some, rng.integers(0, DIMENSION, some.sum())] = 1
    return normalised(vectors)


def make_nearly_equal(rng):
    """Neighbours that float32 sums can put in the wrong order."""
    vectors = make_random(rng)
    vectors[:] = vectors[0]
    places = rng.integers(0, DIMENSION, ROWS)
    steps = np.where(rng.random(ROWS) < 0.5, 1, 2).astype(np.uint16)
    bits = vectors.view(np.uint16)
    bits[np.arange(ROWS), places] += steps
    return vectors


KINDS = [make_random, make_clusters, make_duplicates, make_equal_distances, make_nearly_equal]


@pytest.mark.parametrize("make", KINDS)
@pytest.mark.parametrize("top", [1, 20, 5000])
def test_agrees_with_float64_on_every_row(make, top):
    rng = np.random.default_rng(top)
    vectors = make(rng)
    windows = [slice(0, ROWS), slice(100, 30_000), slice(39_990, ROWS)]
    for window in windows:
        query = vectors[rng.integers(0, ROWS)][np.newaxis]
        rows, distances = nearest(vectors, query, [window], top=top)
        expected = brute_force(vectors, query, np.arange(window.start, window.stop), top)
        assert rows == expected[0]
        np.testing.assert_array_equal(distances, expected[1])


@pytest.mark.parametrize("make", KINDS)
@pytest.mark.parametrize("fuse", ["min", "mean"])
def test_several_queries_of_slices_and_of_chosen_rows(make, fuse):
    rng = np.random.default_rng(3)
    vectors = make(rng)
    half = 100 + np.flatnonzero(rng.random(20_000) < 0.5)
    few = 21_000 + np.flatnonzero(rng.random(8_000) < 0.01)
    parts = [slice(30_000, 35_000), half, slice(0, 7), few, few[:0], slice(12, 12), slice(40, 50)]
    rows = np.concatenate([np.arange(ROWS)[part] for part in parts])
    for query in (vectors[:3], vectors[5:6], vectors[-2:]):
        got, distances = nearest(vectors, query, parts, fuse)
        expected = brute_force(vectors, query, np.sort(rows), ROWS, fuse)
        assert got == expected[0]
        np.testing.assert_array_equal(distances, expected[1])


def test_few_rows_and_none():
    vectors = make_random(np.random.default_rng(0))
    assert sorted(nearest(vectors, vectors[:1], [slice(0, 3)])[0]) == [0, 1, 2]
    assert nearest(vectors, vectors[:1], []) == ([], [])
    assert nearest(vectors, vectors[:1], [slice(5, 5), np.empty(0, np.intp)]) == ([], [])


def test_rows_that_are_no_numbers_are_left_out():
    vectors = make_random(np.random.default_rng(0))
    vectors[::16] = np.nan  # all of the sample that limits the first block
    rows, _ = nearest(vectors, vectors[1:2], [slice(0, ROWS)])
    assert sorted(rows) == [row for row in range(ROWS) if row % 16]


def test_a_kernel_that_rounds_too_much_is_not_believed(monkeypatch):
    vectors = make_clusters(np.random.default_rng(1))

    def careless(query, some):
        return exact_search._by_numpy(query, some).astype(np.float16).astype(np.float64)

    monkeypatch.setattr(exact_search, "_by_numkong", careless)
    rows, distances = nearest(vectors, vectors[:1], [slice(0, ROWS)])
    expected = brute_force(vectors, vectors[:1], np.arange(ROWS), ROWS)
    assert rows == expected[0]
    np.testing.assert_array_equal(distances, expected[1])
