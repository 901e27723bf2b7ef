import math
import threading
import weakref
from dataclasses import replace

import numpy as np
import pytest

from reidsearch.core.errors import SourceError
from reidsearch.core.types import BadFrame, Embeddings, FileStamp, Filter, Frame
from reidsearch.ingest import threads
from reidsearch.ingest.source import ingest
from reidsearch.ingest.stages import finder_of
from tests.unit.builders import (
    FINGERPRINT,
    PROVENANCE,
    SETTINGS,
    make_detections,
    make_info,
    make_source_record,
    make_vectors,
)
from tests.unit.memory_store import MemoryStore

INFO = make_info("gate", "monday")
NOWHERE = (500, 0, 540, 30, 0.99)


class Footage:
    """Frames of one colour each: frame n has the grey value n, and everyone in it looks so.

    Args:
        people: for each number from 1, how many are in that frame, or None when it is bad.
        edited: numbers of frames that are not what they once were.
    """

    def __init__(self, people, info=INFO, edited=()):
        self.info = info
        self.people = people
        self.edited = edited
        self.alive = self.most_alive = self.read = 0

    def __len__(self):
        return len(self.people)

    @property
    def span(self):
        return 1, len(self.people)

    def frames(self, wanted):
        for number, people in enumerate(self.people, start=1):
            if not wanted(number):
                continue
            self.read += 1
            if people is None:
                yield BadFrame(f"frame {number} is bad")
            else:
                yield Frame(
                    self._paint(number, people), number, f"/f/{number}.png", self._stamp(number)
                )

    def stamp(self, number, _known):
        return self._stamp(number)

    def _stamp(self, number):
        return FileStamp(1, 2, "edited" if number in self.edited else "as it was")

    def _paint(self, number, people):
        image = np.full((40, 80, 3), number, np.uint8)
        image[0, -1] = people
        self.alive += 1
        self.most_alive = max(self.alive, self.most_alive)
        weakref.finalize(image, self._forget)
        return image

    def _forget(self):
        self.alive -= 1


class CornerDetector:
    """Finds as many people as the frame's corner says, and before them one outside the frame."""

    def __init__(self):
        self.batches = []

    def detect(self, images):
        self.batches.append(len(images))
        return [self._look(image) for image in images]

    def _look(self, image):
        people = [(10 * n, 1, 10 * n + 5, 30, 0.9 - n / 100) for n in range(int(image[0, -1, 0]))]
        return make_detections(NOWHERE, *people)


class GreyEmbedder:
    """Turns a grey value into an angle, so that a vector says which frame it comes from."""

    def __init__(self):
        self.batches = []

    def embed(self, images):
        self.batches.append(len(images))
        return Embeddings(make_vectors(*(image.mean() for image in images)), FINGERPRINT)


class Networks:
    """Loads both, and counts how often."""

    def __init__(self):
        self.detector, self.embedder = CornerDetector(), GreyEmbedder()
        self.loads = 0

    def __call__(self):
        self.loads += 1
        return finder_of(self.detector), self.embedder


def no_networks():
    raise AssertionError("there is nothing to load them for")


class Told:
    """Keeps what it is told; cancelled once it was told of so many frames."""

    def __init__(self, cancel_after=math.inf):
        self.steps, self.warnings, self.threads = [], [], set()
        self._cancel_after = cancel_after

    @property
    def cancelled(self):
        return sum(self.steps) >= self._cancel_after

    def advance(self, n=1, note=""):
        self.steps.append(n)
        self.threads.add(threading.current_thread())

    def warn(self, text):
        self.warnings.append(text)
        self.threads.add(threading.current_thread())


class RecordingStore(MemoryStore):
    """Keeps what each `add` was given; the n-th can be made to fail."""

    def __init__(self, fail_at=None):
        super().__init__(PROVENANCE)
        self.adds = []
        self._fail_at = fail_at

    def add(self, records, source, frames):
        self.adds.append((records, frames))
        if len(self.adds) == self._fail_at:
            raise OSError("the disk is full")
        super().add(records, source, frames)


def run(footage, store, load_models=None, **options):
    return ingest(footage, load_models or Networks(), store, SETTINGS, **options)


def counts(report):
    return report.frames, len(report.failures), report.frames_skipped, report.detections


def require_same_rows(store, expected):
    ours, theirs = store.scan(Filter()), expected.scan(Filter())
    assert ours.detections == theirs.detections
    np.testing.assert_array_equal(ours.embeddings.vectors, theirs.embeddings.vectors)
    assert store.sources() == expected.sources()


def require_vectors_of_their_frames(store):
    records = store.scan(Filter())
    frames = [detection.frame for detection in records.detections]
    np.testing.assert_allclose(records.embeddings.vectors, make_vectors(*frames), atol=1e-3)


def test_footage_without_frames_leaves_the_store_alone():
    store = RecordingStore()
    assert counts(run(Footage([]), store, no_networks)) == (0, 0, 0, 0)
    assert store.adds == []


def test_frames_without_people_are_known_afterwards():
    store, models = RecordingStore(), Networks()
    assert counts(run(Footage([0, 0, 0]), store, models)) == (3, 0, 0, 0)
    assert len(store) == 0
    assert store.sources() == (make_source_record(INFO, [1, 2, 3], 0),)
    assert counts(run(Footage([0, 0, 0]), store, no_networks)) == (0, 0, 3, 0)


def test_everyone_is_stored_with_their_frame():
    store = RecordingStore()
    report = run(Footage([2, 0, 1]), store)
    assert counts(report) == (3, 0, 0, 3)
    assert 0 < report.seconds < 60
    assert store.sources() == (make_source_record(INFO, [1, 2, 3], 3),)
    first, second, third = store.detections(Filter())
    assert [s.id for s in (first, second, third)] == [
        f"gate/monday:{n}" for n in ("1:1", "1:2", "3:1")
    ]
    assert (third.camera, third.source, third.frame, third.path) == (
        "gate",
        "monday",
        3,
        "/f/3.png",
    )
    assert third.time_s == INFO.time_of(3)
    assert second.box_xyxy == (10, 1, 15, 30)
    assert [first.score, second.score] == [0.9, 0.89]


def test_person_without_a_pixel_takes_no_number():
    store = RecordingStore()
    assert run(Footage([1]), store).detections == 1
    (detection,) = store.detections(Filter())
    assert (detection.id, detection.score) == ("gate/monday:1:1", 0.9)


def test_boxes_are_stored_to_hundredths_of_a_pixel():
    models, store = Networks(), RecordingStore()
    found = make_detections((1.126, 2.374, 20.008, 30.992, 0.123456))
    models.detector.detect = lambda images: [found for _ in images]
    run(Footage([1]), store, models)
    (detection,) = store.detections(Filter())
    assert detection.box_xyxy == (1.13, 2.37, 20.01, 30.99)
    assert detection.score == 0.1235


@pytest.mark.parametrize("digit", [-1e-6, 0, 1e-6])
def test_numbers_of_people_do_not_hang_on_digits_that_are_not_stored(digit):
    """Equal scores go from the top and then from the left, whatever order they come in."""
    models, store = Networks(), RecordingStore()
    rows = [(30, 9, 60, 90), (70, 9, 90, 90), (50, 5, 70, 80), (10, 9, 20, 90.004)]
    scores = (0.70001 + digit, 0.7, 0.69999 - digit, 0.7)
    found = make_detections(*([*row, score] for row, score in zip(rows, scores, strict=True)))
    models.detector.detect = lambda images: [found for _ in images]
    run(Footage([1]), store, models)
    people = store.detections(Filter())
    assert [detection.id[-2:] for detection in people] == [":1", ":2", ":3", ":4"]
    assert [detection.box_xyxy[:2] for detection in people] == [(50, 5), (10, 9), (30, 9), (70, 9)]


def test_rows_stay_aligned_around_bad_frames_and_across_groups():
    people = [None if n % 7 == 3 else n % 5 for n in range(100)]
    store, bad = RecordingStore(), people.count(None)
    report = run(Footage(people), store)
    expected = sum(filter(None, people))
    assert counts(report) == (100 - bad, bad, 0, expected)
    assert len(store) == expected
    assert len(store.adds) > 1
    require_vectors_of_their_frames(store)


def test_each_frame_is_reported_once_and_bad_ones_by_name():
    store, told = RecordingStore(), Told()
    report = run(Footage([2, None, 0]), store, progress=told)
    assert (sum(told.steps), told.warnings) == (3, ["frame 2 is bad"])
    assert report.failures == ("frame 2 is bad",)
    run(Footage([2, None, 0, 1]), store, progress=told)
    assert (sum(told.steps), told.warnings) == (7, ["frame 2 is bad"] * 2)
    assert told.threads == {threading.current_thread()}


def test_cancelled_ingest_stores_what_is_at_hand_and_goes_on_later():
    store, whole = RecordingStore(), RecordingStore()
    report = run(Footage([n % 3 for n in range(200)]), store, progress=Told(cancel_after=8))
    assert 8 <= report.frames < 100
    assert report.frames == store.sources()[0].frames
    again = run(Footage([n % 3 for n in range(200)]), store)
    assert again.frames + report.frames == 200
    run(Footage([n % 3 for n in range(200)]), whole)
    require_same_rows(store, whole)


def test_cancelled_ingest_reads_no_frame():
    footage, store = Footage([1, 1]), RecordingStore()
    assert counts(run(footage, store, no_networks, progress=Told(cancel_after=0))) == (0, 0, 0, 0)
    assert footage.read == 0


def test_models_are_loaded_once():
    networks = Networks()
    run(Footage([1] * 40), RecordingStore(), networks)
    assert networks.loads == 1


def test_footage_of_bad_frames_only_leaves_the_store_alone():
    store = RecordingStore()
    assert counts(run(Footage([None, None]), store, no_networks)) == (0, 2, 0, 0)
    assert store.adds == []


def test_bad_frame_that_was_mended_is_ingested():
    store = RecordingStore()
    run(Footage([1, None, 1]), store)
    assert counts(run(Footage([1, 2, 1]), store)) == (1, 0, 2, 2)
    assert store.sources() == (make_source_record(INFO, [1, 2, 3], 4),)
    require_vectors_of_their_frames(store)


def test_known_frames_are_skipped_before_they_are_read():
    store = RecordingStore()
    run(Footage([1, 2, 3]), store)
    again, models = Footage([1, 2, 3, 4, 0]), Networks()
    assert counts(run(again, store, models)) == (2, 0, 3, 4)
    assert again.read == 2
    assert models.detector.batches == [2]
    assert store.sources() == (make_source_record(INFO, [1, 2, 3, 4, 5], 10),)


def test_no_model_is_loaded_when_nothing_is_new():
    store = RecordingStore()
    run(Footage([1, 2, 3]), store)
    assert counts(run(Footage([1, 2, 3]), store, no_networks)) == (0, 0, 3, 0)
    assert len(store.adds) == 1


@pytest.mark.parametrize(
    ("people", "groups"),
    [
        pytest.param([0] * 64, [64], id="empty-frames"),
        pytest.param([0] * 150, [64, 64, 22], id="many-empty-frames"),
        pytest.param([4] * 70, [32, 32, 6], id="some-people"),
        pytest.param([7] * 30, [24, 6], id="many-people"),
    ],
)
def test_frames_are_stored_in_groups(people, groups):
    store, models = RecordingStore(), Networks()
    run(Footage(people), store, models)
    assert [len(frames) for _, frames in store.adds] == groups
    assert models.embedder.batches == [frames * people[0] for frames in groups]


def test_each_group_has_everyone_of_its_frames_and_nobody_else():
    store = RecordingStore()
    run(Footage([n % 4 for n in range(150)]), store)
    for records, frames in store.adds:
        numbers = {frame.number for frame in frames}
        assert {detection.frame for detection in records.detections} <= numbers
        assert len(records) == sum((n - 1) % 4 for n in numbers)


def test_detector_gets_a_few_frames_at_a_time():
    models = Networks()
    run(Footage([1] * 20), RecordingStore(), models)
    assert models.detector.batches == [8, 8, 4]


def test_detector_gets_large_frames_one_by_one(monkeypatch):
    monkeypatch.setattr(threads, "_CHUNK_BYTES", 40 * 80 * 3)
    models = Networks()
    run(Footage([1] * 3), RecordingStore(), models)
    assert models.detector.batches == [1, 1, 1]


@pytest.mark.parametrize("fail_at", [1, 2, 3])
def test_ingest_goes_on_where_the_store_failed(fail_at):
    people = [None if n == 40 else n % 3 for n in range(150)]
    whole, store = RecordingStore(), RecordingStore(fail_at)
    run(Footage(people), whole)
    with pytest.raises(OSError, match="disk is full"):
        run(Footage(people), store)
    known = {*store.frames(INFO.key).tolist()}
    before = ({frame.number for frame in frames} for _, frames in whole.adds[: fail_at - 1])
    assert known == set().union(*before)
    report = run(Footage(people), store)
    assert (report.frames, report.frames_skipped) == (149 - len(known), len(known))
    require_same_rows(store, whole)


def test_frames_that_changed_are_counted_and_left_alone():
    store = RecordingStore()
    run(Footage([1, 2, 3]), store)
    report = run(Footage([1, 1, 1], edited=[2, 3]), store, no_networks)
    assert (report.frames_skipped, report.frames_changed) == (3, 2)
    assert len(store) == 6


def test_refresh_does_again_what_changed():
    store, models = RecordingStore(), Networks()
    run(Footage([1, 2, 3, 2]), store)
    before = store.scan(Filter(frame=1))
    again = Footage([1, 0, 4, 2], replace(INFO, digest="of another first frame"), edited=[2, 3])
    report = run(again, store, models, refresh=True)
    assert counts(report) == (2, 0, 2, 4)
    assert report.frames_changed == 2
    assert models.detector.batches == [2]
    assert [len(store.detections(Filter(frame=n))) for n in (1, 2, 3, 4)] == [1, 0, 4, 2]
    assert store.scan(Filter(frame=1)).detections == before.detections
    (record,) = store.sources()
    assert (record.detections, record.info.digest) == (7, "of another first frame")
    require_vectors_of_their_frames(store)
    report = run(again, store, no_networks, refresh=True)
    assert (counts(report), report.frames_changed) == ((0, 0, 4, 0), 0)


def test_refresh_takes_no_footage_of_another_path():
    store = RecordingStore()
    run(Footage([1]), store)
    other = Footage([1], replace(INFO, digest="another", path="/elsewhere/monday"))
    with pytest.raises(SourceError, match="other footage"):
        run(other, store, no_networks, refresh=True)


def test_changed_footage_at_its_own_path_is_told_from_other_footage():
    store = RecordingStore()
    run(Footage([1]), store)
    with pytest.raises(SourceError, match="not what it was") as error:
        run(Footage([1], replace(INFO, digest="another")), store, no_networks)
    assert "--refresh" in error.value.hint


def test_other_footage_of_the_same_name_is_refused_unread():
    store = RecordingStore()
    run(Footage([1, 1]), store)
    other = Footage([1, 1, 1], replace(INFO, digest="another", path="/elsewhere/monday"))
    with pytest.raises(SourceError, match="other footage named gate/monday"):
        run(other, store, no_networks)
    assert other.read == 0
    assert len(store) == 2


def test_same_name_of_another_camera_is_another_source():
    store = RecordingStore()
    run(Footage([1, 1]), store)
    report = run(Footage([2], make_info("yard", "monday")), store)
    assert counts(report) == (1, 0, 0, 2)
    assert [str(record.info) for record in store.sources()] == ["gate/monday", "yard/monday"]
    assert [record.detections for record in store.sources()] == [2, 2]


def test_other_settings_for_the_same_source_are_refused():
    store = RecordingStore()
    run(Footage([1, 1]), store)
    with pytest.raises(SourceError, match="--min-height"):
        ingest(Footage([1, 1, 1]), no_networks, store, replace(SETTINGS, min_height_px=99))
    assert len(store) == 2


@pytest.mark.parametrize("people", [pytest.param(0, id="nobody"), pytest.param(1, id="someone")])
def test_frames_in_memory_are_few(people):
    footage = Footage([people] * 100)
    run(footage, RecordingStore())
    being_read, waiting, looked_at = 1, 1, threads._CHUNKS_AT_ONCE
    chunks = being_read + waiting + looked_at
    assert 0 < footage.most_alive <= chunks * threads._CHUNK_FRAMES
    assert footage.alive == 0
