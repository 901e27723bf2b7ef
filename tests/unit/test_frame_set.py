import numpy as np
import pytest

from reidsearch.frame_set import pack_numbers, unpack_numbers


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
        pytest.param([2**62, 2**62 + 1, 2**62 + 2], f"{2**62}-{2**62 + 2}", id="large"),
    ],
)
def test_numbers_become_runs_and_come_back(numbers, text):
    assert pack_numbers(numbers) == text
    assert unpack_numbers(text) == frozenset(numbers)


def test_random_sets_come_back():
    rng = np.random.default_rng(0)
    for _ in range(300):
        numbers = frozenset(rng.integers(0, rng.choice([3, 30, 1000]), rng.integers(50)).tolist())
        assert unpack_numbers(pack_numbers(numbers)) == numbers


def test_a_long_regular_set_is_short_text():
    assert len(pack_numbers(iter(range(0, 1_000_000, 3)))) < 20


def test_negative_numbers_are_refused():
    with pytest.raises(ValueError, match="negative frame number -3"):
        pack_numbers([4, -3, 5])


@pytest.mark.parametrize(
    ("text", "says"),
    [
        pytest.param("a", "invalid literal", id="word"),
        pytest.param("-5", "invalid literal", id="negative"),
        pytest.param("1-2-3", "invalid literal", id="two-dashes"),
        pytest.param("1-9:0", "must not be zero", id="step-zero"),
        pytest.param("1,9-3", "'9-3' is an empty run", id="falling-run"),
    ],
)
def test_other_text_is_refused(text, says):
    with pytest.raises(ValueError, match=says):
        unpack_numbers(text)
