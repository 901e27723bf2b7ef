from math import isnan

import numpy as np
import pytest

from reidsearch.research.footage import measure_detection, measure_search
from reidsearch.research.mot import FrameTruth
from tests.unit.builders import make_detections, make_vectors

LEFT, MIDDLE, RIGHT = (0, 0, 10, 30), (50, 0, 60, 30), (100, 0, 110, 30)
NEARLY_LEFT, BARELY_LEFT = (2, 0, 12, 30), (5, 0, 15, 30)  # IoU 2/3 and 1/3 with LEFT
HALF_LEFT = (0, 0, 10, 15)
NOBODY = FrameTruth((), np.empty((0, 4), np.float32))


def make_truth(**people):
    return FrameTruth(tuple(people), np.array(list(people.values()), np.float32))


def search(truth, *rows):
    """Measure a search in rows of frame, box, degrees."""
    frames = np.array([frame for frame, *_ in rows], np.int64)
    boxes = np.array([box for _, box, _ in rows], np.float32).reshape(-1, 4)
    return measure_search(frames, boxes, make_vectors(*(degrees for *_, degrees in rows)), truth)


def test_detection_by_hand():
    found = {
        1: make_detections((*LEFT, 0.9), (*RIGHT, 0.8), (*MIDDLE, 0.3)),
        2: make_detections((*NEARLY_LEFT, 0.7)),
    }
    truth = {1: make_truth(ana=LEFT, ben=MIDDLE), 2: make_truth(ana=LEFT)}
    quality = measure_detection(found, truth, min_score=0.5)
    assert quality.ap50 == pytest.approx((1 + 3 / 4 + 3 / 4) / 3)
    assert quality.recall == pytest.approx(2 / 3)
    assert quality.precision == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    ("found", "precision", "recall"),
    [
        pytest.param([(*BARELY_LEFT, 0.9)], 0, 0, id="too-little-overlap"),
        pytest.param([(*HALF_LEFT, 0.9)], 1, 1 / 2, id="just-enough-overlap"),
        pytest.param([(*LEFT, 0.9), (*LEFT, 0.8)], 1 / 2, 1 / 2, id="one-person-twice"),
        pytest.param([(*NEARLY_LEFT, 0.8), (*LEFT, 0.9)], 1 / 2, 1 / 2, id="lower-score-first"),
        pytest.param([(*LEFT, 0.5)], 1, 1 / 2, id="at-the-lowest-score"),
    ],
)
def test_each_truth_is_found_once(found, precision, recall):
    truth = {1: make_truth(ana=LEFT, ben=RIGHT)}
    quality = measure_detection({1: make_detections(*found)}, truth, min_score=0.5)
    assert (quality.precision, quality.recall) == (precision, recall)


def test_frames_that_were_not_looked_at_do_not_count():
    truth = {1: make_truth(ana=LEFT), 2: make_truth(ana=LEFT, ben=RIGHT)}
    assert measure_detection({1: make_detections((*LEFT, 0.9))}, truth, 0.5).recall == 1


@pytest.mark.parametrize("elsewhere", [{}, {2: NOBODY}], ids=["not-mentioned", "empty"])
def test_detections_in_a_frame_without_people_are_wrong(elsewhere):
    found = {1: make_detections((*LEFT, 0.9)), 2: make_detections((*LEFT, 0.95))}
    quality = measure_detection(found, {1: make_truth(ana=LEFT)} | elsewhere, 0.5)
    assert (quality.precision, quality.recall, quality.ap50) == (0.5, 1, 0.5)


def test_nothing_found_has_no_precision():
    quality = measure_detection({1: make_detections()}, {1: make_truth(ana=LEFT)}, 0.5)
    assert (quality.ap50, quality.recall) == (0, 0)
    assert isnan(quality.precision)


def test_detection_without_truth_is_nan():
    quality = measure_detection({1: make_detections((*LEFT, 0.9))}, {}, 0.5)
    assert quality.precision == 0
    assert isnan(quality.recall)
    assert isnan(quality.ap50)


def test_detection_without_frames_is_nan():
    quality = measure_detection({}, {1: make_truth(ana=LEFT)}, 0.5)
    assert all(map(isnan, (quality.ap50, quality.recall, quality.precision)))


@pytest.mark.parametrize(
    "rows",
    [
        pytest.param([], id="nobody"),
        pytest.param([(1, LEFT, 0), (2, RIGHT, 90)], id="each-once"),
        pytest.param([(1, BARELY_LEFT, 0), (2, BARELY_LEFT, 0)], id="boxes-that-show-nobody"),
        pytest.param([(7, LEFT, 0), (8, LEFT, 0)], id="frames-without-truth"),
    ],
)
def test_search_without_queries_is_nan(rows):
    truth = {1: make_truth(ana=LEFT, ben=RIGHT), 2: make_truth(ana=LEFT, ben=RIGHT), 8: NOBODY}
    quality = search(truth, *rows)
    assert quality.queries == 0
    assert isnan(quality.mean_ap)
    assert isnan(quality.rank1)


def test_search_by_hand():
    truth = {frame: make_truth(ana=LEFT, ben=RIGHT) for frame in (1, 2)}
    rows = (1, LEFT, 0), (1, RIGHT, 90), (2, LEFT, 80), (2, RIGHT, 120)
    # Ana (0) finds 80, herself, before 120. Ben (90) finds 80, Ana, before 120.
    quality = search(truth, *rows)
    assert quality.queries == 2
    assert quality.rank1 == 0.5
    assert quality.mean_ap == pytest.approx((1 + 1 / 2) / 2)


def test_several_right_matches_and_a_false_detection_by_hand():
    truth = {frame: make_truth(ana=LEFT) for frame in (1, 2, 3)}
    quality = search(truth, (1, LEFT, 0), (2, LEFT, 5), (2, MIDDLE, 10), (3, LEFT, 20))
    assert quality.queries == 1
    assert quality.mean_ap == pytest.approx((1 + 2 / 3) / 2)


def test_earlier_and_same_frame_are_not_searched():
    truth = {1: make_truth(ben=RIGHT), 2: make_truth(ana=LEFT), 3: make_truth(ana=LEFT)}
    rows = (1, MIDDLE, 1), (2, LEFT, 0), (2, MIDDLE, 0), (3, LEFT, 60), (3, MIDDLE, 90)
    assert search(truth, *rows).mean_ap == 1


def test_first_sighting_is_the_box_that_fits_best():
    truth = {frame: make_truth(ana=LEFT) for frame in (1, 2)}
    rows = (1, NEARLY_LEFT, 90), (1, LEFT, 0), (2, LEFT, 10), (2, MIDDLE, 80)
    assert search(truth, *rows).rank1 == 1


def test_box_that_overlaps_by_half_shows_the_person():
    truth = {frame: make_truth(ana=LEFT) for frame in (1, 2)}
    assert search(truth, (1, HALF_LEFT, 0), (2, HALF_LEFT, 10)).queries == 1
