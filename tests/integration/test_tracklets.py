"""Tracklets beside a real database: derived, and made again where they are missing or stale."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from reidsearch.core.calibration import Calibration
from reidsearch.core.progress import SILENT
from reidsearch.core.types import Filter, Records
from reidsearch.database.chroma_store import open_chroma
from reidsearch.database.opening import open_to_read
from reidsearch.services.erase import Erasure, erase
from reidsearch.services.recording import Recorder
from reidsearch.services.tracklets import StoredTracklets
from tests.unit.builders import (
    PROVENANCE,
    make_detection,
    make_frames,
    make_info,
    make_records,
    make_source_record,
)
from tests.unit.memory_store import MemoryStore

CALIBRATION = Calibration(20.0, -20.0, 0.05, 0.0, "tests")
INFO = make_info(fps=1.0)  # parts of 300 frames
LOOKS = {1: 0, 2: 90}  # degrees of people who stand still


def add(store, first, last, looks=LOOKS, info=INFO):
    """Both people in frames, a second apart."""
    keys = [(frame, person) for frame in range(first, last) for person in looks]
    rows = make_records([make_detection(info, *key) for key in keys], [looks[p] for _, p in keys])
    store.add(rows, make_source_record(info), make_frames(info, *range(first, last)))


@contextmanager
def tracklets(folder: Path) -> Iterator[StoredTracklets]:
    with open_to_read(folder) as store:
        yield StoredTracklets(folder, store, CALIBRATION)


def numbers(folder: Path) -> list[int]:
    with tracklets(folder) as found:
        return [int(n) for n in found.of(INFO.key).numbers()]


def file_of(folder: Path) -> Path:
    [path] = (folder / "index").glob("tracklets-*.npz")
    return path


@pytest.fixture
def db(tmp_path: Path) -> Path:
    folder = tmp_path / "db"
    with open_chroma(folder, PROVENANCE) as store:
        add(store, 1, 700)
    return folder


@pytest.fixture
def scans(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many rows each linking takes."""
    from reidsearch.services import tracklets as module

    counts: list[int] = []
    link = module.link_records

    def counted(records: Records, calibration: Calibration | None, step_s: float) -> np.ndarray:
        counts.append(len(records))
        return link(records, calibration, step_s)

    monkeypatch.setattr(module, "link_records", counted)
    return counts


def test_every_five_minutes_are_linked_on_their_own(db: Path, scans: list[int]) -> None:
    assert numbers(db) == [0, 1] * 300 + [2, 3] * 300 + [4, 5] * 99
    assert scans == [600, 600, 198]
    assert numbers(db) == [0, 1] * 300 + [2, 3] * 300 + [4, 5] * 99
    assert scans == [600, 600, 198]


def test_only_what_changed_is_linked_again(db: Path, scans: list[int]) -> None:
    numbers(db)
    with open_chroma(db, PROVENANCE) as store:
        add(store, 700, 710)
    scans.clear()
    assert len(numbers(db)) == 2 * 709
    assert scans == [2 * 109]
    with open_chroma(db, PROVENANCE) as store:
        store.remove(INFO.key, [5])
        add(store, 5, 6, {1: 0, 2: 170})
    scans.clear()
    assert numbers(db)[8:12] == [0, 2, 0, 1]  # another person took the place for a moment
    assert scans == [600]


@pytest.mark.parametrize("damage", ["gone", "cut", "other", "empty", "odd", "array"])
def test_files_are_made_again(db: Path, damage: str) -> None:
    before, path = numbers(db), file_of(db)
    whole = path.read_bytes()
    if damage == "gone":
        path.unlink()
    elif damage == "array":
        with path.open("wb") as file:
            np.save(file, np.zeros(3))
    elif damage == "odd":
        np.savez(path, parts=np.zeros((2, 2)), rows=np.zeros(3))
    else:
        texts = {"cut": whole[:-400], "empty": b"", "other": b"something else"}
        path.write_bytes(texts[damage])
    assert numbers(db) == before
    assert file_of(db).read_bytes() == whole


def test_changed_bytes_are_no_error(db: Path) -> None:
    before, path = numbers(db), file_of(db)
    whole = bytearray(path.read_bytes())
    rng = np.random.default_rng(6)
    for _ in range(60):
        changed = whole.copy()
        for place in (*rng.integers(0, len(whole), 3).tolist(), int(rng.integers(-150, 0))):
            changed[place] = int(rng.integers(0, 256))
        path.write_bytes(changed)
        assert len(numbers(db)) == len(before)


def test_nothing_is_kept_of_who_was_erased_meanwhile(db: Path) -> None:
    key = make_info("yard", fps=1.0).key
    with open_chroma(db, PROVENANCE) as store:
        add(store, 1, 9, info=make_info("yard", fps=1.0))
    with tracklets(db) as found:
        found.of(key)
        assert len([*(db / "index").glob("tracklets-*")]) == 1
        everybody = Filter(sources=(key,))
        with open_to_read(db) as store:
            gone = Erasure(store.detections(everybody), store.state, {key: frozenset(range(1, 9))})
        erase(Recorder(db, "", SILENT), gone, wait=False)
        assert not [*(db / "index").glob("tracklets-*")]
        stale = StoredTracklets(db, found._store, CALIBRATION)
        assert len(stale.of(key).numbers()) == 16
    assert not [*(db / "index").glob("tracklets-*")]


def test_visits_long_after_each_other_are_two(tmp_path: Path) -> None:
    """All frames between them were looked at, and nobody was there."""
    info, store = make_info(fps=10.0), MemoryStore(PROVENANCE)
    rows = make_records([make_detection(info, n) for n in (1, 400)], [0, 0])
    store.add(rows, make_source_record(info), make_frames(info, *range(1, 401)))
    assert StoredTracklets(tmp_path, store, CALIBRATION).of(info.key).numbers().tolist() == [0, 1]


def test_a_store_in_memory_has_the_same(db: Path, tmp_path: Path) -> None:
    store = MemoryStore(PROVENANCE)
    add(store, 1, 400)  # begun, killed, and gone on
    add(store, 400, 700)
    made = StoredTracklets(tmp_path, store, CALIBRATION).of(INFO.key)
    assert made.numbers().tolist() == numbers(db)


def test_passages_and_what_they_look_like(db: Path) -> None:
    with open_chroma(db, PROVENANCE) as store:
        add(store, 1, 4, info=make_info("yard", fps=1.0))
    with tracklets(db) as found, open_to_read(db) as store:
        [first] = store.scan(Filter(sources=(INFO.key,), frame=7)).detections[:1]
        whole = found.passage(first, Filter())
        assert (whole.first_frame, whole.last_frame, whole.count) == (1, 300, 300)
        some = found.passage(first, Filter(after_frame=5, before_s=9.0, min_score=0.1))
        assert (some.first_frame, some.last_frame, some.last_s, some.count) == (6, 9, 8.0, 4)
        np.testing.assert_allclose(found.mean_look(first), [[1, 0]], atol=1e-3)
        other = store.detections(Filter(sources=(make_info("yard").key,), frame=2))[1]
        assert found.name(other) != found.name(first)
        np.testing.assert_allclose(found.mean_look(other), [[0, 1]], atol=1e-3)
