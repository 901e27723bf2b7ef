from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reidsearch.core.calibration import Calibration
from reidsearch.people.linking import GAP_S, link
from reidsearch.research.mot import read_mot
from reidsearch.research.tracking import LinkedFrame, measure_linking
from tests.unit.builders import make_vectors

CALIBRATION = Calibration(20.0, -20.0, 0.05, 0.0, "tests")
WALK = 80.0  # pixels a second, of people 100 px high


def walk(*rows, calibration=CALIBRATION):
    """Link rows of time, x of the middle, look in degrees."""
    times_s = np.array([time_s for time_s, *_ in rows], float)
    xyxy = np.array([(x - 20, 50, x + 20, 150) for _, x, _ in rows], np.float32)
    vectors = make_vectors(*(look for *_, look in rows))
    return link(times_s, xyxy.reshape(-1, 4), vectors.reshape(-1, 2), calibration).tolist()


def test_no_rows():
    empty = np.empty(0), np.empty((0, 4), np.float32), np.empty((0, 2), np.float32)
    assert link(*empty).tolist() == []


@pytest.mark.parametrize(
    ("step_s", "calibration"),
    [
        pytest.param(0.04, CALIBRATION, id="25-a-second"),
        pytest.param(0.5, CALIBRATION, id="2-a-second"),
        pytest.param(0.1, None, id="by-place-alone"),
    ],
)
def test_a_walk_is_one_tracklet(step_s, calibration):
    rows = [(n * step_s, 100 + WALK * n * step_s, 0) for n in range(20)]
    assert walk(*rows, calibration=calibration) == [0] * 20


def test_people_who_cross_keep_their_tracklets():
    rows = [
        row
        for n in range(40)
        for row in [(n / 10, 100 + WALK * n / 10, 0), (n / 10, 420 - WALK * n / 10, 90)]
    ]
    assert walk(*rows) == [0, 1] * 40


def test_who_takes_anothers_place_is_somebody_else():
    rows = [(n / 10, 100, 0 if n < 10 else 120) for n in range(20)]
    assert walk(*rows) == [0] * 10 + [1] * 10


@pytest.mark.parametrize(
    ("gap_s", "count"),
    [pytest.param(GAP_S, 1, id="hidden-shortly"), pytest.param(GAP_S + 0.1, 2, id="gone")],
)
def test_out_of_sight(gap_s, count):
    rows = [(n / 10, 100 + 10 * n / 10, 0) for n in range(10)]
    until = rows[-1][0] + gap_s
    assert len({*walk(*rows, (until, 100 + 10 * until, 0))}) == count


def test_a_jump_across_the_picture_is_somebody_else():
    assert walk((0, 100, 0), (0.1, 103, 0), (0.2, 900, 0)) == [0, 0, 1]


@given(
    st.lists(st.tuples(st.integers(0, 6), st.floats(0, 900), st.integers(0, 180)), max_size=25).map(
        sorted
    )
)
def test_nobody_is_twice_in_one_frame(rows):
    numbers = walk(*rows)
    pairs = [(time_s, number) for (time_s, *_), number in zip(rows, numbers, strict=True)]
    assert len({*pairs}) == len(pairs)
    firsts = [number for place, number in enumerate(numbers) if number not in numbers[:place]]
    assert firsts == [*range(len(firsts))]


@pytest.mark.parametrize("scale", [0.25, 4])
def test_size_and_clock_do_not_matter(scale):
    rng = np.random.default_rng(2)
    times_s = np.repeat(np.arange(30), 4) / 8
    corners = rng.uniform(0, 400, (120, 2)).astype(np.float32)
    xyxy = np.concatenate([corners, corners + rng.uniform(40, 120, (120, 2))], 1).astype(np.float32)
    vectors = make_vectors(*rng.uniform(0, 60, 120))
    numbers = link(times_s, xyxy, vectors, CALIBRATION)
    assert len({*numbers.tolist()}) < 120
    moved = link(times_s + 1_700_000_000, xyxy * np.float32(scale), vectors, CALIBRATION)
    np.testing.assert_array_equal(moved, numbers)


@pytest.mark.parametrize("every", [1, 5])
def test_real_paths_of_people_who_look_alike(pets: Path, every: int) -> None:
    """The boxes of PETS09-S2L1, with vectors that confuse people now and then."""
    truth = {n: at for n, at in read_mot(pets / "gt.txt").frames.items() if n % every == 0}
    names = sorted({person for at in truth.values() for person in at.people})
    rng = np.random.default_rng(3)
    looks = dict(zip(names, rng.standard_normal((len(names), 8)), strict=True))
    rows = [(n, *row) for n in sorted(truth) for row in zip(truth[n].people, truth[n].xyxy)]  # noqa: B905
    vectors = np.array([looks[who] + 0.3 * rng.standard_normal(8) for _, who, _ in rows])
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    frames, xyxy = np.array([n for n, *_ in rows]), np.array([box for *_, box in rows])
    numbers = link(frames / 10, xyxy, vectors.astype(np.float32), Calibration(9, -12, 0.05, 0, ""))
    found = {n: LinkedFrame(numbers[frames == n], xyxy[frames == n]) for n in truth}
    quality = measure_linking(found, truth)
    assert quality.purity > 0.99
    assert quality.fragments < 2
