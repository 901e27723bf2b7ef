from math import isnan
from types import SimpleNamespace

import numpy as np
import pytest

from reidsearch.core.types import BadFrame, Embeddings, Filter, Frame
from reidsearch.ingest.source import ingest
from reidsearch.ingest.stages import finder_of
from reidsearch.research import footage
from reidsearch.research.footage import evaluate_footage, measure_detection, measure_search
from reidsearch.research.metrics import RankedQuery
from reidsearch.research.mot import FrameTruth
from tests.unit.builders import (
    FINGERPRINT,
    PROVENANCE,
    SETTINGS,
    make_detections,
    make_info,
    make_vectors,
)
from tests.unit.memory_store import MemoryStore

LEFT, MIDDLE, RIGHT = (0, 0, 10, 30), (50, 0, 60, 30), (100, 0, 110, 30)
NEARLY_LEFT, BARELY_LEFT = (2, 0, 12, 30), (5, 0, 15, 30)  # IoU 2/3 and 1/3 with LEFT
HALF_LEFT = (0, 0, 10, 15)
NOBODY = FrameTruth((), np.empty((0, 4), np.float32))


def make_truth(**people):
    return FrameTruth(tuple(people), np.array(list(people.values()), np.float32))


def search(truth, *rows, tracklets=None):
    """Measure a search in rows of frame, box, degrees."""
    frames = np.array([frame for frame, *_ in rows], np.int64)
    boxes = np.array([box for _, box, _ in rows], np.float32).reshape(-1, 4)
    vectors = make_vectors(*(degrees for *_, degrees in rows))
    alone = np.arange(len(rows)) if tracklets is None else np.array(tracklets)
    return measure_search(frames, boxes, vectors, alone, truth)


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


def test_detections_of_distractors_count_neither_way():
    far = np.array([RIGHT], np.float32)
    truth = {1: FrameTruth(("ana",), np.array([LEFT], np.float32), far)}
    found = make_detections((*RIGHT, 0.9), (*LEFT, 0.8), (*RIGHT, 0.7), (*RIGHT, 0.4))
    quality = measure_detection({1: found}, truth, min_score=0.5)
    # The distractor takes one detection; the second one there is wrong.
    assert (quality.precision, quality.recall, quality.ignored) == (1 / 2, 1, 1)
    assert quality.ap50 == 1


def test_person_before_a_distractor_is_found():
    truth = {1: FrameTruth(("ana",), np.array([LEFT], np.float32), np.array([LEFT], np.float32))}
    quality = measure_detection({1: make_detections((*LEFT, 0.8))}, truth, min_score=0.5)
    assert (quality.precision, quality.recall, quality.ignored) == (1, 1, 0)


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


def test_all_of_a_tracklet_follow_its_nearest():
    truth = {1: make_truth(ana=LEFT)} | {2 + n: make_truth(ana=LEFT) for n in range(3)}
    rows = (1, LEFT, 0), (2, LEFT, 10), (2, MIDDLE, 20), (3, LEFT, 60), (3, MIDDLE, 30)
    quality = search(truth, *rows, tracklets=(0, 1, 2, 1, 2))
    # 10, 20 (wrong), 30 (wrong), 60; by tracklets 10, 60, then the wrong ones. One is missing.
    assert quality.mean_ap_all == pytest.approx((1 + 2 / 4) / 3)
    assert quality.mean_ap_by_tracklet == pytest.approx((1 + 1) / 3)


def test_a_tracklet_of_its_own_comes_first_and_helps_to_search():
    truth = {1 + n: make_truth(ana=LEFT) for n in range(4)}
    rows = (1, LEFT, 0), (2, LEFT, 60), (3, MIDDLE, 335), (4, LEFT, 50)
    quality = search(truth, *rows, tracklets=(0, 0, 1, 2))
    # 335 is wrong, and 25 degrees from the query; 50 is 20 from the mean of 0 and 60.
    assert quality.mean_ap_all == pytest.approx((1 / 2 + 2 / 3) / 3)
    assert quality.mean_ap_by_tracklet == pytest.approx((1 + 1) / 3)


def test_several_right_matches_and_a_false_detection_by_hand():
    truth = {frame: make_truth(ana=LEFT) for frame in (1, 2, 3)}
    quality = search(truth, (1, LEFT, 0), (2, LEFT, 5), (2, MIDDLE, 10), (3, LEFT, 20))
    assert quality.queries == 1
    assert quality.mean_ap == pytest.approx((1 + 2 / 3) / 2)


def test_sightings_that_were_not_detected_count_as_never_found():
    truth = {frame: make_truth(ana=LEFT) for frame in (1, 2, 3, 4, 5)}
    quality = search(truth, (1, LEFT, 0), (2, LEFT, 5), (2, MIDDLE, 10), (3, LEFT, 20))
    assert quality.mean_ap == pytest.approx((1 + 2 / 3) / 2)
    assert quality.mean_ap_all == pytest.approx((1 + 2 / 3) / 4)


def test_someone_who_is_never_detected_again_is_never_found():
    truth = {frame: make_truth(ana=LEFT, ben=RIGHT) for frame in (1, 2)}
    quality = search(truth, (1, LEFT, 0), (2, LEFT, 5), (1, RIGHT, 90))
    assert (quality.queries, quality.mean_ap, quality.mean_ap_all) == (1, 1, 0.5)


def test_distractors_are_not_ranked_and_every_person_has_an_answer():
    far = np.array([RIGHT], np.float32)
    truth = {n: FrameTruth(("ana",), np.array([LEFT], np.float32), far) for n in (1, 2, 3)}
    rows = (1, LEFT, 0), (2, RIGHT, 1), (2, MIDDLE, 2), (3, LEFT, 5)
    [answer] = search(truth, *rows).answers
    assert (answer.person, answer.frame, answer.box_xyxy) == ("ana", 1, LEFT)
    assert (answer.sightings, answer.ranked) == (2, RankedQuery(1, 2, 1 / 2))


def test_person_who_is_not_detected_again_is_answered_by_nobody():
    truth = {n: make_truth(ana=LEFT) for n in (1, 2)}
    quality = search(truth, (1, LEFT, 0))
    assert (quality.queries, quality.mean_ap_all) == (0, 0)
    assert quality.answers[0].ranked == RankedQuery(0, None, 0)


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


class Noise:
    """Frames of noise, the third of which is bad, and models that look at them."""

    info = make_info()
    span = 1, 20
    card = SimpleNamespace(dimension=2, calibration=None)

    def __len__(self):
        return 20

    def frames(self, wanted=lambda _number: True):
        rng = np.random.default_rng(1)
        for number in filter(wanted, range(1, 21)):
            image = rng.integers(0, 256, (60, 120, 3), np.uint8)
            yield Frame(image, number, "noise.avi") if number != 3 else BadFrame("frame 3 is bad")

    def stamp(self, _number, known):
        return known

    def detect(self, images):
        lefts = [float(image[0, 0, 0]) / 3 for image in images]
        rows = [(30.004, 1.006, 41.33333, 40, 0.3), (90, 0, 100, 50, SETTINGS.min_score - 1e-5)]
        return [make_detections((x, 2.49499, x + 20, 50.1, 0.300001), *rows) for x in lefts]

    def embed(self, images):
        degrees = [float(image.mean()) + image.shape[1] / 7 for image in images]
        return Embeddings(make_vectors(*degrees), FINGERPRINT)


def test_footage_is_searched_in_the_very_rows_that_ingest_stores(monkeypatch):
    noise, store, measured = Noise(), MemoryStore(PROVENANCE), []
    detector = Noise()
    detector.detect = lambda images: [found[np.arange(2)] for found in noise.detect(images)]
    ingest(noise, lambda: (finder_of(detector), noise), store, SETTINGS)
    monkeypatch.setattr(footage, "measure_search", lambda *rows: measured.extend(rows))
    truth = {1: make_truth(ana=LEFT)}
    quality = evaluate_footage(noise, truth, noise, noise, SETTINGS.min_score)
    records, (frames, boxes, vectors, *_) = store.scan(Filter()), measured
    assert (quality.frames, quality.detections, quality.failures) == (19, 38, ("frame 3 is bad",))
    assert frames.tolist() == [s.frame for s in records.detections]
    np.testing.assert_allclose(boxes, [s.box_xyxy for s in records.detections], atol=1e-5)
    np.testing.assert_array_equal(vectors, records.embeddings.vectors)
    assert len(np.unique(boxes[:, 0])) > 10
