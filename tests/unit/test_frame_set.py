import numpy as np
import pytest

from reidsearch.core.frame_set import FrameSet


@pytest.mark.parametrize(
    ("numbers", "text"),
    [
        pytest.param([], "", id="empty"),
        pytest.param([0], "0", id="zero"),
        pytest.param([1, 2], "1,2", id="two"),
        pytest.param([1, 2, 3], "1-3", id="run"),
        pytest.param([*range(1, 782, 20), 800], "1-781:20,800", id="step-and-one"),
        pytest.param([1, 2, 3, 10, 20, 30], "1-3,10-30:10", id="two-runs"),
        pytest.param([1, 5, 6, 7], "1,5-7", id="one-before-a-run"),
        pytest.param([3, 1, 2, 3, 1], "1-3", id="unordered-and-doubled"),
        pytest.param([2**53 - 2, 2**53 - 1, 2**53], f"{2**53 - 2}-{2**53}", id="large"),
    ],
)
def test_numbers_become_text_and_come_back(numbers, text):
    frames = FrameSet(numbers)
    assert str(frames) == text
    assert FrameSet.from_text(text) == frames == set(numbers)
    assert list(frames) == sorted(set(numbers))


@pytest.mark.parametrize("numbers", [[5], [1, 2, 3, 40, 60, 80, 90], [*range(0, 99, 7), 99, 500]])
def test_nearest(numbers):
    frames = FrameSet(numbers)
    for wanted in range(-3, 520):
        assert abs(frames.nearest(wanted) - wanted) == min(abs(n - wanted) for n in numbers)


def test_first_and_last_are_the_extremes():
    frames = FrameSet([40, 2, 3, 4, 8])
    assert (frames.first, frames.last, len(frames)) == (2, 40, 5)


@pytest.mark.parametrize("number", [-1, 0, 2, 6, 11, 2.5, "1", None])
def test_what_is_not_in_the_set(number):
    assert number not in FrameSet([1, 3, 5, 7, 10])


def test_random_sets_are_like_sets_and_come_back():
    rng = np.random.default_rng(0)
    for _ in range(300):
        span = int(rng.choice([3, 30, 1000]))
        numbers = set(rng.integers(0, span, rng.integers(50)).tolist())
        frames = FrameSet(numbers)
        assert FrameSet.from_text(str(frames)) == frames == numbers
        assert [n for n in range(span) if n in frames] == sorted(numbers)


def test_random_growth_is_union():
    rng = np.random.default_rng(1)
    for _ in range(300):
        parts = [
            (rng.integers(50) + np.arange(rng.integers(6)) * rng.integers(1, 4)).tolist()
            for _ in range(4)
        ]
        grown, everything = FrameSet(), set()
        for part in parts:
            before = str(grown)
            grown, old = grown.grown(part), grown
            everything |= set(part)
            assert grown == everything
            assert str(old) == before
            assert FrameSet.from_text(str(grown)) == everything


def test_a_film_in_pieces_stays_one_run():
    frames = FrameSet()
    for start in range(1, 1_000_000, 3000):
        frames = frames.grown(range(start, start + 3000, 3))
    assert str(frames) == "1-1001998:3"


def test_negative_numbers_are_refused():
    with pytest.raises(ValueError, match="negative frame number -3"):
        FrameSet([4, -3, 5])


@pytest.mark.parametrize(
    ("text", "says"),
    [
        pytest.param("a", "invalid literal", id="word"),
        pytest.param("-5", "invalid literal", id="negative"),
        pytest.param("1-2-3", "invalid literal", id="two-dashes"),
        pytest.param("1-9:0", "must not be zero", id="step-zero"),
        pytest.param("1,9-3", "'9-3' is no run", id="falling-run"),
        pytest.param("9-1:-4", "'9-1:-4' is no run", id="falling-steps"),
        pytest.param("0-9223372036854775807", "is no run", id="more-than-can-be-counted"),
        pytest.param("4-9,7", "not in order", id="overlap"),
    ],
)
def test_other_text_is_refused(text, says):
    with pytest.raises(ValueError, match=says):
        FrameSet.from_text(text)
