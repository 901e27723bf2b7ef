from math import isnan

import numpy as np
import pytest

from reidsearch.research.metrics import detection_average_precision, ranking_average_precision


def slow_detection_average_precision(score, is_true, truth_count):
    """Mean, over the truths, of the best precision at any threshold that finds so many of them."""
    points = []
    for threshold in score:
        kept = [true for s, true in zip(score, is_true, strict=True) if s >= threshold]
        points.append((sum(kept), sum(kept) / len(kept)))
    best = [
        max((precision for hits, precision in points if hits >= wanted), default=0.0)
        for wanted in range(1, truth_count + 1)
    ]
    return sum(best) / truth_count


def slow_ranking_average_precision(is_right):
    right_ranks = [rank for rank, right in enumerate(is_right, start=1) if right]
    return sum(n / rank for n, rank in enumerate(right_ranks, start=1)) / len(right_ranks)


def measure_detection(score, is_true, truth_count):
    return detection_average_precision(
        np.array(score, np.float32), np.array(is_true, bool), truth_count
    )


def test_detection_without_detections_is_zero():
    assert measure_detection([], [], 3) == 0.0


def test_detection_without_truth_is_nan():
    assert isnan(measure_detection([], [], 0))
    assert isnan(measure_detection([0.5], [False], 0))


@pytest.mark.parametrize(
    ("score", "is_true", "truth_count", "expected"),
    [
        pytest.param([0.9], [False], 1, 0.0, id="one-and-wrong"),
        pytest.param([0.9, 0.8], [True, True], 4, 0.5, id="half-missed"),
        pytest.param([0.9, 0.8, 0.7], [True, False, True], 2, (1 + 2 / 3) / 2, id="wrong-between"),
        pytest.param([0.7, 0.8, 0.9], [True, False, True], 2, (1 + 2 / 3) / 2, id="any-order"),
        pytest.param([0.9, 0.8, 0.7], [False, True, True], 2, 2 / 3, id="precision-is-monotone"),
        pytest.param([0.9, 0.1, 0.05], [True, False, False], 1, 1.0, id="wrong-after-all-found"),
    ],
)
def test_detection_by_hand(score, is_true, truth_count, expected):
    assert measure_detection(score, is_true, truth_count) == pytest.approx(expected)


def test_detection_agrees_with_the_definition():
    rng = np.random.default_rng(0)
    for _ in range(20):
        score = rng.permutation(np.linspace(0, 1, 40, dtype=np.float32))
        is_true = rng.random(40) < rng.random()
        truth_count = int(is_true.sum() + rng.integers(1, 9))
        expected = slow_detection_average_precision(score.tolist(), is_true.tolist(), truth_count)
        assert detection_average_precision(score, is_true, truth_count) == pytest.approx(expected)


@pytest.mark.parametrize("count", [0, 5])
def test_ranking_without_a_right_match_is_nan(count):
    assert isnan(ranking_average_precision(np.zeros(count, bool)))


@pytest.mark.parametrize(
    ("is_right", "expected"),
    [
        pytest.param([1, 1, 1], 1.0, id="all"),
        pytest.param([0, 0, 1], 1 / 3, id="last-of-three"),
        pytest.param([1, 0, 1, 0], (1 + 2 / 3) / 2, id="first-and-third"),
    ],
)
def test_ranking_by_hand(is_right, expected):
    assert ranking_average_precision(np.array(is_right, bool)) == pytest.approx(expected)


def test_ranking_agrees_with_the_definition():
    rng = np.random.default_rng(0)
    for _ in range(20):
        is_right = rng.random(30) < rng.random()
        is_right[rng.integers(30)] = True
        expected = slow_ranking_average_precision(is_right.tolist())
        assert ranking_average_precision(is_right) == pytest.approx(expected)
