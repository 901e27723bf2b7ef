"""What is written anew carries along all that a ledger says, also in tables of later versions."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import chromadb
import pytest

from reidsearch import open_database
from reidsearch.core.types import FileStamp, Filter
from reidsearch.database.chroma_store import open_chroma
from reidsearch.database.lock import writing
from reidsearch.database.opening import open_to_read
from reidsearch.services.erase import Erasure
from tests.unit.builders import (
    PROVENANCE,
    make_detection,
    make_frames,
    make_info,
    make_records,
    make_source_record,
)

GATE, YARD = make_info("gate", "monday"), make_info("yard", "monday")
SECRET = "written of frame {} of {}"


@pytest.fixture
def db(tmp_path: Path) -> Path:
    """Two sources of three frames, with two detections each, and a table of verdicts on frames."""
    with open_chroma(tmp_path / "db", PROVENANCE) as store:
        for info in (GATE, YARD):
            rows = [make_detection(info, frame, person) for frame in (1, 2, 3) for person in (1, 2)]
            frames = make_frames(info, 1, 2, 3, stamp=FileStamp(1, 2, "digest"))
            store.add(make_records(rows, range(6)), make_source_record(info), frames)
    with closing(sqlite3.connect(tmp_path / "db" / "reidsearch.sqlite3")) as ledger, ledger:
        ledger.execute(
            "CREATE TABLE verdicts (source INTEGER, frame INTEGER, said TEXT, FOREIGN KEY "
            "(source, frame) REFERENCES frames (source, number) ON DELETE CASCADE)"
        )
        ledger.executemany(
            "INSERT INTO verdicts VALUES (?, ?, ?)",
            [
                (source, frame, SECRET.format(frame, info))
                for source, info in ((1, GATE), (2, YARD))
                for frame in (1, 2, 3)
            ],
        )
    return tmp_path / "db"


def verdicts(db: Path) -> list[str]:
    with closing(sqlite3.connect(db / "reidsearch.sqlite3")) as ledger:
        assert ledger.execute("PRAGMA foreign_key_check").fetchall() == []
        rows = ledger.execute("SELECT said FROM verdicts ORDER BY source, frame").fetchall()
    return [said for (said,) in rows]


def require_sound(db: Path) -> None:
    assert {finding.state for finding in open_database(db).check()} <= {"good", "warning"}


ALL = [SECRET.format(frame, info) for info in (GATE, YARD) for frame in (1, 2, 3)]


def test_erased_frames_take_what_is_said_of_them_along(db: Path) -> None:
    with open_to_read(db) as store:
        people = [s for s in store.detections(Filter((GATE.key,))) if s.frame != 2]
        erasure = Erasure(people, store.state, {GATE.key: frozenset({1, 3})})
    open_database(db).erase(erasure)
    assert verdicts(db) == [ALL[1], *ALL[3:]]
    files = [path.read_bytes() for path in db.rglob("*") if path.is_file()]
    assert not any(ALL[0].encode() in data for data in files)
    assert any(ALL[1].encode() in data for data in files)
    require_sound(db)


def test_erased_source_takes_what_is_said_of_it_along(db: Path) -> None:
    with open_to_read(db) as store:
        people = store.detections(Filter((YARD.key,)))
        erasure = Erasure(people, store.state, {YARD.key: frozenset({1, 2, 3})})
    open_database(db).erase(erasure)
    assert verdicts(db) == ALL[:3]
    with open_to_read(db) as store:
        assert store.sources() == (make_source_record(GATE, (1, 2, 3), 6),)
    require_sound(db)


def test_erased_people_leave_their_frames_and_what_is_said_of_them(db: Path) -> None:
    with open_to_read(db) as store:
        [gone, *_] = store.detections(Filter((GATE.key,), frame=2))
        open_database(db).erase(Erasure([gone], store.state))
    assert verdicts(db) == ALL
    with open_chroma(db) as store:
        assert [s.index for s in store.detections(Filter((GATE.key,), frame=2))] == [2]
        assert dict(store.stamps(GATE.key)) == dict.fromkeys((1, 2, 3), FileStamp(1, 2, "digest"))
    require_sound(db)


def lose_a_frame(db: Path) -> None:
    with chromadb.PersistentClient(db) as client:
        people = client.get_collection("people", embedding_function=None)
        people.delete([f"{GATE}:1:1"])


def lose_the_index(db: Path) -> None:
    for path in (db / "index").iterdir():
        path.unlink()


def lose_both(db: Path) -> None:
    lose_a_frame(db)
    lose_the_index(db)


@pytest.mark.parametrize(
    ("damage", "left"),
    [
        pytest.param(lose_a_frame, ALL, id="chroma"),
        pytest.param(lose_the_index, ALL, id="index"),
        pytest.param(lose_both, ALL[1:], id="a-frame-of-both"),
    ],
)
def test_repair_keeps_what_is_said(
    db: Path, damage: Callable[[Path], None], left: list[str]
) -> None:
    damage(db)
    open_database(db).repair()
    assert verdicts(db) == left
    require_sound(db)


@pytest.mark.parametrize("is_written", [False, True], ids=["alone", "beside-a-writer"])
def test_backup_keeps_what_is_said(db: Path, tmp_path: Path, is_written: bool) -> None:
    if is_written:
        with writing(db):
            open_database(db).backup(tmp_path / "b.zip")
    else:
        open_database(db).backup(tmp_path / "b.zip")
    open_database(tmp_path / "new").restore(tmp_path / "b.zip")
    assert verdicts(tmp_path / "new") == ALL
    require_sound(tmp_path / "new")


def test_frame_that_is_done_again_loses_what_was_said(db: Path) -> None:
    """What must outlive that is keyed by ids and crop hashes."""
    with open_chroma(db, PROVENANCE) as store:
        store.remove(GATE.key, [2])
    assert verdicts(db) == [ALL[0], *ALL[2:]]
