import numpy as np
import pytest

from reidsearch.core.calibration import Calibration
from reidsearch.core.errors import DatasetError
from reidsearch.core.types import BadFrame, Embeddings, Frame
from reidsearch.research.calibrate import (
    LabelledVectors,
    PairCounts,
    calibrate,
    count_pairs,
    fit,
    measure_reliability,
    read_footage,
)
from reidsearch.research.mot import FrameTruth
from tests.unit.builders import FINGERPRINT, PROVENANCE, make_info, make_vectors

BINS = 2000
CENTRES = (np.arange(BINS) + 0.5) / 1000


def labelled(degrees, people, moments, min_apart=1.0):
    one_camera = np.zeros(len(people), int)
    return LabelledVectors(
        make_vectors(*degrees), np.array(people), one_camera, np.array(moments, float), min_apart
    )


def crowd(spread, people=40, crops=8):
    """People in a space of 16 dimensions, each crop of one a little elsewhere."""
    rng = np.random.default_rng(1)
    centres = rng.standard_normal((people, 1, 16))
    vectors = (centres + spread * rng.standard_normal((people, crops, 16))).reshape(-1, 16)
    vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    who = np.repeat(np.arange(people), crops)
    cameras = np.tile(np.arange(crops), people)
    return LabelledVectors(vectors.astype(np.float32), who, cameras, cameras, 1)


def test_fit_finds_the_law_that_pairs_were_drawn_by():
    intercept, slope = 6.0, -8.0
    p = 1 / (1 + np.exp(-(intercept + slope * CENTRES)))
    different = np.full(BINS, 1e6)
    same = different * p / (1 - p)
    found = fit(PairCounts(same.astype(np.int64), different.astype(np.int64)))
    # Both kinds weigh the same in the fit, which moves the intercept only.
    moved = intercept - np.log(same.sum() / different.sum())
    assert found == pytest.approx((moved, slope), abs=0.02)


def test_probability_falls_with_distance_and_rises_with_the_prior():
    one_in_ten = Calibration(5.0, -6.0, prior=0.1, error=0.0, data="")
    one_in_two = Calibration(5.0, -6.0, prior=0.5, error=0.0, data="")
    said = one_in_ten.probability(CENTRES)
    assert (np.diff(said) < 0).all()
    assert (one_in_two.probability(CENTRES) > said).all()
    at = one_in_two.likely_distance
    assert one_in_two.probability(np.array([at])) == pytest.approx(0.5)
    assert one_in_ten.likely_distance < at
    assert Calibration(-9.0, -1.0, 0.1, 0.0, "").likely_distance == 0


def test_pairs_of_one_person_are_apart_and_pairs_of_two_are_of_one_camera():
    one_moment = count_pairs(labelled((0, 60, 180), (1, 1, 2), (1, 1, 1)))
    assert (one_moment.same.sum(), one_moment.different.sum()) == (0, 2)
    counts = count_pairs(labelled((0, 60, 180), (1, 1, 2), (1, 2, 3)))
    assert np.flatnonzero(counts.same)[0] in (999, 1000)  # 2 sin 30° = 1, on an edge
    assert counts.different.sum() == 2
    cameras = np.array([1, 2, 2])
    two = LabelledVectors(make_vectors(0, 60, 180), np.array([1, 1, 2]), cameras, cameras, 1)
    assert (count_pairs(two).same.sum(), count_pairs(two).different.sum()) == (1, 1)
    seconds = labelled((0, 60, 180), (1, 1, 1), (0.0, 9.5, 19.5), min_apart=10)
    assert count_pairs(seconds).same.sum() == 2


def test_pairs_are_counted_once_also_across_blocks():
    people = crowd(0.3, people=200)  # 1600 rows: more than a block
    counts = count_pairs(people)
    assert counts.same.sum() == 200 * 8 * 7 / 2
    assert counts.different.sum() == 200 * 199 / 2 * 8


def test_calibration_is_true_for_people_that_were_not_fitted():
    result = calibrate([crowd(0.35)], prior=0.1, data="a crowd")
    assert result.calibration.data == "a crowd"
    assert 0 < result.calibration.error < 0.1
    assert sum(level.pairs for level in result.curve) == pytest.approx(1)
    assert [level.low for level in result.curve] == sorted(level.low for level in result.curve)
    said = result.calibration.probability(np.array([0.1, 1.4]))
    assert said[0] > 0.9
    assert said[1] < 0.1


def test_overconfidence_is_measured():
    counts = [PairCounts(np.full(BINS, 10), np.full(BINS, 10))]
    curve, error = measure_reliability(np.full((1, BINS), 0.9), counts, prior=0.5)
    assert error == pytest.approx(0.4)
    assert (curve[0].predicted, curve[0].observed) == pytest.approx((0.9, 0.5))


@pytest.mark.parametrize(
    ("crops", "words"),
    [
        pytest.param(labelled((0, 5, 9), (1, 2, 3), (1, 2, 3)), "seen twice", id="all-once"),
        pytest.param(labelled((0, 5), (1, 1), (1, 1)), "seen twice", id="one-camera"),
    ],
)
def test_labels_that_teach_nothing(crops, words):
    with pytest.raises(DatasetError, match=words):
        calibrate([crops], prior=0.1, data="")


def test_sets_weigh_the_same_however_large():
    exact, vague = crowd(0.1, people=80), crowd(0.5, people=20)
    alone = [calibrate([one], prior=0.1, data="").calibration for one in (exact, vague)]
    both = calibrate([exact, vague], prior=0.1, data="")
    twice = calibrate([exact, vague, exact, vague], prior=0.1, data="")
    assert both.people == 100
    assert both.calibration.intercept == pytest.approx(twice.calibration.intercept, rel=1e-3)
    assert both.calibration.slope == pytest.approx(twice.calibration.slope, rel=1e-3)
    likely = [one.likely_distance for one in alone]
    assert min(likely) < both.calibration.likely_distance < max(likely)


def test_distances_that_say_the_opposite():
    near, far = np.zeros((2, BINS), np.int64)
    near[100:400], far[1200:1600] = 10, 10
    with pytest.raises(DatasetError, match="no nearer"):
        fit(PairCounts(same=far, different=near))


class Stripes:
    """Three frames, column x of which has the grey value x; a crop's vector is its mean grey."""

    info = make_info()
    card = PROVENANCE  # of a network, only the dimension matters here

    def __len__(self):
        return 3

    def frames(self):
        image = np.repeat(np.tile(np.arange(100, dtype=np.uint8), (50, 1))[..., np.newaxis], 3, 2)
        yield from (Frame(image, 1, ""), BadFrame("frame 2 is bad"), Frame(image, 3, ""))

    def embed(self, images):
        return Embeddings(make_vectors(*(image.mean() for image in images)), FINGERPRINT)


def test_boxes_outside_of_the_frame_shift_nobody():
    def box(x):
        return (x, 0, x + 1, 50)

    truth = {
        1: FrameTruth(("ben", "out", "ana"), np.array([box(80), box(200), box(20)], np.float32)),
        2: FrameTruth(("ana",), np.array([box(10)], np.float32)),
        3: FrameTruth(("out", "ana"), np.array([box(-9), box(60)], np.float32)),
    }
    found = read_footage(Stripes(), truth, Stripes(), 0.1)
    np.testing.assert_allclose(found.vectors, make_vectors(80, 20, 60), atol=1e-3)
    assert found.people.tolist() == [1, 0, 0]
    assert found.moments.tolist() == pytest.approx([0.0, 0.0, 0.2])
