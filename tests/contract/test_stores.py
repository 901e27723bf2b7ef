"""What every store does, over Chroma and over the plain one that other tests use."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import chromadb
import numpy as np
import pytest

from reidsearch.core.errors import ModelMismatchError
from reidsearch.core.ids import SourceKey
from reidsearch.core.provenance import DetectionSettings, Provenance, SourceRecord
from reidsearch.core.store import WritableStore
from reidsearch.core.types import (
    Embeddings,
    FileStamp,
    Filter,
    Records,
    SourceInfo,
    StoredDetection,
    StoredFrame,
)
from reidsearch.database.chroma_store import open_chroma
from reidsearch.database.index_store import IndexStore
from reidsearch.database.opening import open_to_read
from tests.unit.memory_store import MemoryStore

DIMENSION = 8
KEY = SourceKey("cam", "a")
PROVENANCE = Provenance("embedder", "space", DIMENSION, "detector", "hash", "f32", "", "0")


def source(name: str) -> SourceRecord:
    info = SourceInfo("cam", name, f"videos/{name}", 10.0, None, 1, "digest")
    return SourceRecord(info, DetectionSettings(0.3, 24, "auto"))


def records(name: str, frames: range, people: int = 2, seed: int = 0) -> Records:
    vectors = np.random.default_rng(seed).normal(size=(len(frames) * people, DIMENSION))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    detections = tuple(
        StoredDetection(
            f"cam/{name}:{frame}:{person}",
            *("cam", name, frame, (frame - 1) / 10),
            (1.5, 2.5, 30.0, 80.0),
            1 - person / 10,
            f"{name}.avi",
            "0123456789abcdef",
        )
        for frame in frames
        for person in range(1, people + 1)
    )
    return Records(detections, Embeddings(vectors.astype(np.float32), "space"))


def frames(name: str, *numbers: int, stamp: FileStamp | None = None) -> list[StoredFrame]:
    return [StoredFrame(n, (n - 1) / 10, f"{name}.avi", stamp) for n in numbers]


class ThroughIndex:
    """Writes with Chroma, and reads through the index; opened anew each time."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        with open_chroma(folder, PROVENANCE):
            pass

    def add(self, *arguments: Any) -> None:
        with open_chroma(self._folder, PROVENANCE) as opened:
            opened.add(*arguments)

    def remove(self, *arguments: Any) -> None:
        with open_chroma(self._folder, PROVENANCE) as opened:
            opened.remove(*arguments)

    def stamps(self, *arguments: Any) -> list[tuple[int, FileStamp]]:
        with open_chroma(self._folder, PROVENANCE) as opened:
            return [*opened.stamps(*arguments)]

    def __getattr__(self, name: str) -> Any:
        with open_to_read(self._folder) as opened:
            assert isinstance(opened, IndexStore)
            return getattr(opened, name)

    def __len__(self) -> int:
        return int(self.__getattr__("__len__")())


@pytest.fixture(params=["chroma", "index", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[WritableStore]:
    if request.param == "memory":
        yield MemoryStore(PROVENANCE)
    elif request.param == "index":
        yield ThroughIndex(tmp_path)
    else:
        with open_chroma(tmp_path, PROVENANCE) as opened:
            yield opened


def filled(store: WritableStore) -> Records:
    rows = records("a", range(1, 21))
    store.add(rows, source("a"), frames("a", *range(1, 21)))
    more = records("b", range(5, 8), people=1, seed=1)
    store.add(more, source("b"), frames("b", *range(5, 8)))
    return rows


def test_empty(store: WritableStore) -> None:
    assert len(store) == 0
    assert store.sources() == ()
    assert store.provenance == PROVENANCE
    assert store.detections(Filter()) == []
    assert len(store.scan(Filter())) == 0
    assert [*store.nearest(np.eye(1, DIMENSION, dtype=np.float32), Filter())] == []


def test_source_without_people(store: WritableStore) -> None:
    store.add(records("a", range(0)), source("a"), frames("a", 1, 2))
    assert store.sources()[0].frames == 2
    assert store.frames(KEY).tolist() == [1, 2]
    assert len(store) == 0


def test_rows_come_back_as_they_were(store: WritableStore) -> None:
    rows = filled(store)
    back = store.scan(Filter(sources=(("cam", "a"),)))
    assert back.detections == rows.detections
    assert back.embeddings.vectors == pytest.approx(rows.embeddings.vectors, abs=5e-4)
    assert back.embeddings.fingerprint == "space"
    assert store.detections(Filter(sources=(("cam", "a"),))) == list(rows.detections)
    assert [str(record.info) for record in store.sources()] == ["cam/a", "cam/b"]


def test_frames_are_added_once(store: WritableStore) -> None:
    filled(store)
    before = store.scan(Filter()).detections
    with pytest.raises(ValueError, match="stored already"):
        filled(store)
    assert store.scan(Filter()).detections == before
    assert len(store) == len(before) == 43


def test_frames_are_removed_and_come_back(store: WritableStore) -> None:
    rows = filled(store)
    store.add(records("a", range(0)), source("a"), frames("a", 30))
    store.remove(KEY, [2, 3, 30])
    left = {*range(1, 21)} - {2, 3}
    assert {s.frame for s in store.detections(Filter(sources=(KEY,)))} == left
    (record, other) = store.sources()
    assert (record.frames, record.detections, record.span) == (18, 36, (1, 20))
    assert {*store.frames(KEY).tolist()} == left
    assert (other.detections, len(store)) == (3, 39)
    found = [*store.nearest(rows.embeddings.vectors[2:3], Filter())]
    assert len(found) == 39
    assert rows.detections[2] not in [match.detection for match in found]
    again = records("a", range(2, 4), people=1, seed=5)
    store.add(again, source("a"), frames("a", 2, 3))
    assert store.scan(Filter(sources=(KEY,), frame=3)).detections == again.detections[1:]
    found = next(store.nearest(again.embeddings.vectors[1:], Filter()))
    assert found.detection == again.detections[1]
    assert len(store) == 41


def test_checksums_tell_frames_that_change(store: WritableStore) -> None:
    assert store.frame_checksums(KEY).shape == (0, 2)
    filled(store)
    before = store.frame_checksums(KEY)
    assert before[:, 0].tolist() == [*range(1, 21)]
    assert len({*before[:, 1].tolist()}) == 20
    store.remove(KEY, [3, 4])
    store.add(records("a", range(3, 4), seed=5), source("a"), frames("a", 3))
    after = store.frame_checksums(KEY)
    assert [row for row in before.tolist() if row not in after.tolist()] == before[2:4].tolist()
    assert after[:, 0].tolist() == [n for n in range(1, 21) if n != 4]


def test_stamps_come_back_where_there_are_any(store: WritableStore) -> None:
    stamp = FileStamp(123, 2**60, "digest")
    [first] = frames("a", 1, stamp=stamp)
    [other] = frames("a", 3, stamp=replace(stamp, size=1))
    store.add(records("a", range(0)), source("a"), [first, *frames("a", 2), other])
    assert [*store.stamps(KEY)] == [(1, stamp), (3, replace(stamp, size=1))]
    assert [*store.stamps(KEY, 2, 3)] == [(3, replace(stamp, size=1))]
    assert [*store.stamps(SourceKey("cam", "nobody"))] == []
    store.remove(KEY, [1])
    assert [*store.stamps(KEY)] == [(3, replace(stamp, size=1))]


def test_query_is_exact_l2_in_rising_order(store: WritableStore) -> None:
    rows = filled(store)
    vector = rows.embeddings.vectors[7]
    matches = [*store.nearest(vector[np.newaxis], Filter())]
    assert [match.rank for match in matches] == list(range(1, 44))
    assert matches[0].detection == rows.detections[7]
    assert matches[0].distance == pytest.approx(0, abs=1e-3)
    everything = store.scan(Filter())
    expected = np.sort(np.linalg.norm(everything.embeddings.vectors - vector, axis=1))
    assert [match.distance for match in matches] == pytest.approx(expected.tolist(), abs=1e-3)


@pytest.mark.parametrize(
    ("wanted", "numbers"),
    [
        pytest.param(Filter(), {*range(1, 21)}, id="all"),
        pytest.param(Filter(sources=(("cam", "b"),)), {5, 6, 7}, id="one-source"),
        pytest.param(
            Filter(sources=(("cam", "a"), ("cam", "b")), frame=6), {6}, id="frame-of-two-sources"
        ),
        pytest.param(Filter(sources=(("other", "a"),)), set(), id="other-camera"),
        pytest.param(Filter(after_frame=18), {19, 20}, id="after-frame"),
        pytest.param(Filter(after_s=1.8), {20}, id="after-time-is-strict"),
        pytest.param(Filter(after_frame=3, after_s=1.7), {19, 20}, id="both"),
        pytest.param(Filter(after_frame=20), set(), id="after-the-last"),
        pytest.param(Filter(before_frame=3), {1, 2}, id="before-frame"),
        pytest.param(Filter(before_s=0.1), {1}, id="before-time-is-strict"),
        pytest.param(Filter(after_frame=3, before_frame=5), {4}, id="between"),
        pytest.param(Filter(after_frame=5, before_frame=5), set(), id="between-nothing"),
        pytest.param(Filter(min_score=0.95), set(), id="score-that-nobody-has"),
        pytest.param(Filter(min_score=0.85, frame=6), {6}, id="score"),
    ],
)
def test_filters(store: WritableStore, wanted: Filter, numbers: set[int]) -> None:
    rows = filled(store)
    assert {detection.frame for detection in store.detections(wanted)} == numbers
    assert {detection.frame for detection in store.scan(wanted).detections} == numbers
    found = [*store.nearest(rows.embeddings.vectors[:1], wanted)]
    assert {match.detection.frame for match in found} == numbers
    assert store.count(wanted) == len(store.detections(wanted)) == len(found)


def test_several_pictures(store: WritableStore) -> None:
    rows = filled(store)
    query = rows.embeddings.vectors[[3, 11]]
    apart = store.scan(Filter()).embeddings.vectors[:, np.newaxis] - query
    distances = np.linalg.norm(apart, axis=2)
    for fuse, expected in (("min", distances.min(axis=1)), ("mean", distances.mean(axis=1))):
        found = [match.distance for match in store.nearest(query, Filter(), fuse)]
        assert found == pytest.approx(sorted(expected.tolist()), abs=1e-3)


def test_vectors_of_another_space_are_refused(store: WritableStore) -> None:
    rows = records("a", range(1, 2))
    strange = Records(rows.detections, Embeddings(rows.embeddings.vectors, "another space"))
    with pytest.raises(ModelMismatchError):
        store.add(strange, source("a"), frames("a", 1))
    assert len(store) == 0
    assert store.sources() == ()


def test_source_is_known_before_its_first_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = records("a", range(1, 3))

    def fail(*_: object, **__: object) -> None:
        raise OSError("the disk is full")

    with open_chroma(tmp_path, PROVENANCE) as store:
        monkeypatch.setattr(chromadb.Collection, "upsert", fail)
        with pytest.raises(OSError, match="disk is full"):
            store.add(rows, source("a"), frames("a", 1, 2))
    with open_chroma(tmp_path) as store:
        (known,) = store.sources()
        assert (known.info, known.detections, known.frames) == (source("a").info, 0, 0)


def test_models_of_an_empty_database_can_be_changed(tmp_path: Path) -> None:
    other = replace(PROVENANCE, embedder="other", fingerprint="elsewhere")
    with open_chroma(tmp_path, PROVENANCE):
        pass
    with open_chroma(tmp_path, other) as store:
        assert store.provenance == other


def test_more_rows_than_one_batch_of_chroma(tmp_path: Path) -> None:
    rows = records("a", range(1, 3001))
    with open_chroma(tmp_path, PROVENANCE) as store:
        store.add(rows, source("a"), frames("a", *range(1, 3001)))
    with open_chroma(tmp_path) as store:
        assert len(store) == 6000
        query = rows.embeddings.vectors[-1:]
        assert next(store.nearest(query, Filter(after_frame=2990))).detection == rows.detections[-1]
        found = [*store.nearest(query, Filter())]  # more than Chroma is asked for at once
        assert len({match.detection.id for match in found}) == len(found)
        assert [m.distance for m in found] == sorted(m.distance for m in found)
        assert store.frames(KEY).tolist() == [*range(1, 3001)]


def test_equal_distances_follow_each_other_as_the_footage_does(store: WritableStore) -> None:
    """Whatever was stored first."""
    vector = np.eye(1, DIMENSION, dtype=np.float32)
    for name, frame in (("south", 5), ("north", 9), ("north", 3)):
        rows = replace(
            records(name, range(frame, frame + 1), people=1),
            embeddings=Embeddings(vector, "space"),
        )
        store.add(rows, source(name), frames(name, frame))
    found = [match.detection.id for match in store.nearest(vector, Filter())]
    assert found == ["cam/north:3:1", "cam/north:9:1", "cam/south:5:1"]
