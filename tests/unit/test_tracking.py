from math import isnan, sqrt

import numpy as np
import pytest

from reidsearch.research.mot import FrameTruth
from reidsearch.research.tracking import LinkedFrame, measure_linking, pairwise_f1

ANA, BEN = (0, 0, 10, 30), (50, 0, 60, 30)


def truth(**people):
    return FrameTruth(tuple(people), np.array(list(people.values()), np.float32).reshape(-1, 4))


def linked(*rows):
    """From rows of tracklet, box."""
    boxes = np.array([box for _, box in rows], np.float32).reshape(-1, 4)
    return LinkedFrame(np.array([number for number, _ in rows], np.int64), boxes)


BOTH = {frame: truth(ana=ANA, ben=BEN) for frame in range(1, 5)}


def test_perfect_tracklets():
    quality = measure_linking({n: linked((7, BEN), (3, ANA)) for n in BOTH}, BOTH)
    assert (quality.hota, quality.idf1, quality.purity) == pytest.approx((1, 1, 1))
    assert (quality.tracklets, quality.fragments) == (2, 1)


def test_a_swap_of_identities():
    rows = {n: ((1, ANA), (2, BEN)) if n < 3 else ((2, ANA), (1, BEN)) for n in BOTH}
    quality = measure_linking({n: linked(*some) for n, some in rows.items()}, BOTH)
    # Each pair is together in 2 frames, of 6 in which one of both is seen.
    assert quality.hota == pytest.approx(sqrt(2 / 6))
    assert (quality.idf1, quality.purity) == (0.5, 0.5)


def test_a_person_in_two_tracklets_is_pure():
    rows = {n: ((1 if n < 3 else 9, ANA), (2, BEN)) for n in BOTH}
    quality = measure_linking({n: linked(*some) for n, some in rows.items()}, BOTH)
    assert (quality.purity, quality.fragments) == (1, 1.5)
    assert quality.idf1 == 0.75
    assert quality.hota == pytest.approx(sqrt((2 * 2 / 4 + 2 * 2 / 4 + 4) / 8))


def test_who_is_missed_and_what_shows_nobody():
    far = (200, 0, 210, 30)
    quality = measure_linking({n: linked((1, ANA), (2, far)) for n in BOTH}, BOTH)
    assert quality.idf1 == pytest.approx(2 * 4 / (8 + 8))
    assert quality.hota == pytest.approx(sqrt(4 / 12))
    assert (quality.purity, quality.tracklets, quality.fragments) == (1, 2, 1)


@pytest.mark.parametrize(
    ("found", "people"),
    [
        pytest.param({}, {}, id="nothing"),
        pytest.param({1: linked()}, {1: truth()}, id="empty-frame"),
        pytest.param({1: linked()}, {1: truth(ana=ANA)}, id="nobody-found"),
        pytest.param({1: linked((1, ANA))}, {}, id="nobody-there"),
    ],
)
def test_nothing_to_measure(found, people):
    quality = measure_linking(found, people)
    assert isnan(quality.purity)
    assert isnan(quality.idf1) or quality.idf1 == 0
    assert quality.hota == 0


@pytest.mark.parametrize(
    ("groups", "f1"),
    [
        pytest.param([0, 0, 1, 1, 0, 0, 2], 1, id="right"),
        pytest.param([0, 0, 1, 1, 2, 2, 3], 0, id="nobody-found-again"),
        pytest.param([0, 0, 0, 0, 0, 0, 0], 2 * 4 / (18 + 4), id="all-one"),
    ],
)
def test_pairs_of_people_across_tracklets(groups, f1):
    tracklets, people = [0, 0, 1, 1, 2, 2, 3], [7, 7, 8, 8, 7, 7, 9]
    assert pairwise_f1(*map(np.array, (groups, tracklets, people))) == pytest.approx(f1)
    assert isnan(pairwise_f1(*np.zeros((3, 1), int)))
