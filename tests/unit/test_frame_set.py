import numpy as np
import pytest

from reidsearch.frame_set import pack_numbers, unpack_numbers


@pytest.mark.parametrize(
    ("numbers", "text"),
    [
        pytest.param([], "", id="empty"),
        pytest.param([0], "0", id="zero"),
        pytest.param([7], "7", id="single"),
        pytest.param([1, 2], "1,2", id="two"),
        pytest.param([1, 2, 3], "1-3", id="run"),
        pytest.param([5, 10, 15], "5-15:5", id="step"),
        pytest.param([*range(1, 782, 20), 800], "1-781:20,800", id="step-and-one"),
        pytest.param([1, 2, 3, 10, 20, 30], "1-3,10-30:10", id="two-runs"),
        pytest.param([1, 5, 6, 7], "1,5-7", id="one-before-a-run"),
        pytest.param([3, 1, 2, 3, 1], "1-3", id="unordered-and-doubled"),
        pytest.param([2**62, 2**62 + 1, 2**62 + 2], f"{2**62}-{2**62 + 2}", id="large"),
    ],
)
def test_numbers_become_runs_and_come_back(numbers, text):
    assert pack_numbers(numbers) == text
    assert unpack_numbers(text) == frozenset(numbers)


@pytest.mark.parametrize("size", [1, 2, 10, 300])
@pytest.mark.parametrize("highest", [1, 3, 30, 1000])
def test_random_sets_come_back(size, highest):
    rng = np.random.default_rng(size * highest)
    for _ in range(20):
        numbers = frozenset(rng.integers(0, highest, size).tolist())
        assert unpack_numbers(pack_numbers(numbers)) == numbers


def test_a_long_regular_set_is_short_text():
    assert len(pack_numbers(iter(range(0, 1_000_000, 3)))) < 20


@pytest.mark.parametrize(
    "numbers", [pytest.param([-1], id="alone"), pytest.param([4, -3, 5], id="among-others")]
)
def test_negative_numbers_are_refused(numbers):
    with pytest.raises(ValueError, match="negative"):
        pack_numbers(numbers)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("a", id="word"),
        pytest.param("-5", id="negative"),
        pytest.param("1-2-3", id="two-dashes"),
        pytest.param("1-9:0", id="step-zero"),
        pytest.param("1-9:x", id="step-word"),
        pytest.param("1;2", id="semicolon"),
    ],
)
def test_other_text_is_refused(text):
    with pytest.raises(ValueError, match=r"invalid literal|must not be zero"):
        unpack_numbers(text)
