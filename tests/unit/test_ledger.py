import sqlite3
from contextlib import closing
from dataclasses import replace

import pytest

from reidsearch.core.errors import SchemaError, StoreError
from reidsearch.core.ids import SourceKey
from reidsearch.core.types import FileStamp, StoredFrame
from reidsearch.database.checksum import checksum_fields, checksum_rows
from reidsearch.database.index_files import Manifest, Part
from reidsearch.database.ledger import open_ledger
from reidsearch.database.ledger_schema import create_ledger, read_state
from reidsearch.database.runs import read_runs
from reidsearch.database.snapshot import read_old_frames, read_snapshot
from tests.unit.builders import (
    PROVENANCE,
    make_detection,
    make_frames,
    make_info,
    make_records,
    make_source_record,
)

INFO = make_info()
KEY = INFO.key
STAMP = FileStamp(10, 20, "digest")
NOBODY = make_records([], ())


@pytest.fixture
def folder(tmp_path):
    create_ledger(tmp_path / "reidsearch.sqlite3", "collection", PROVENANCE)
    return tmp_path


def people(*frames):
    return make_records([make_detection(INFO, frame) for frame in frames], frames)


def store(ledger, frames, records, index=(None, None), source=None):
    """Announce and commit frames."""
    ledger.announce(source or make_source_record(INFO), [frame.number for frame in frames])
    sums = checksum_rows(KEY, [frame.number for frame in frames], records)
    ledger.commit(KEY, frames, sums, index)


def read_all(folder):
    with open_ledger(folder) as ledger:
        ledger.require_consistent()
        return ledger.sources(), ledger.state, ledger.provenance


def change(folder, statement):
    with closing(sqlite3.connect(folder / "reidsearch.sqlite3")) as connection, connection:
        assert connection.execute(statement).rowcount == 1


def rows_of(folder, table):
    with closing(sqlite3.connect(folder / "reidsearch.sqlite3")) as connection:
        return connection.execute(f"SELECT * FROM {table}").fetchall()


def test_empty(folder):
    with open_ledger(folder) as ledger:
        assert (ledger.sources(), ledger.pending(), ledger.manifest) == ({}, {}, None)
        assert [*ledger.stamps(KEY)] == []
        assert ledger.frames(KEY).tolist() == []
        assert ledger.provenance == PROVENANCE
    assert read_state(folder).generation == 0
    assert read_runs(folder) == []


def test_frames_count_once_confirmed(folder):
    with open_ledger(folder) as ledger:
        ledger.announce(make_source_record(INFO), [1, 2])
        assert ledger.sources() == {KEY: make_source_record(INFO)}
        assert ledger.pending() == {KEY: [1, 2]}
        frames = make_frames(INFO, 1, stamp=STAMP) + make_frames(INFO, 2)
        ledger.commit(KEY, frames, checksum_rows(KEY, [1, 2], people(1)))
        assert ledger.sources() == {KEY: make_source_record(INFO, [1, 2], 1)}
        assert ledger.pending() == {}
        assert [*ledger.stamps(KEY)] == [(1, STAMP)]
        store(ledger, make_frames(INFO, 5, stamp=STAMP), NOBODY)
        assert ledger.frames(KEY).tolist() == [1, 2, 5]
        assert ledger.frames(KEY, 2, 4).tolist() == [2]
        assert ledger.entries(KEY, [1, 5]) == make_frames(INFO, 1, 5, stamp=STAMP)
    assert read_all(folder)[0] == {KEY: make_source_record(INFO, [1, 2, 5], 1)}
    assert read_state(folder).generation == 2


def test_deleted_frames_are_pending_until_purged(folder):
    with open_ledger(folder) as ledger:
        store(ledger, make_frames(INFO, 1, 2, 3), people(1, 3))
        ledger.mark_deleted(KEY, [2, 3])
        assert ledger.state.generation == 2
        assert ledger.sources() == {KEY: make_source_record(INFO, [1], 1)}
        assert ledger.pending() == {KEY: [2, 3]}
        ledger.purge(KEY, [2, 3])
        assert ledger.pending() == {}
        store(ledger, make_frames(INFO, 3), people(3))
        assert ledger.sources() == {KEY: make_source_record(INFO, [1, 3], 2)}


def test_a_video_is_one_file_and_a_picture_is_its_own(folder):
    later = [StoredFrame(n, INFO.time_of(n), f"/f/{n}.png", STAMP) for n in (7, 8)]
    with open_ledger(folder) as ledger:
        store(ledger, make_frames(INFO, 1, 2, stamp=STAMP), NOBODY)
        store(ledger, make_frames(INFO, 3, 4, stamp=STAMP), NOBODY)
        store(ledger, later, NOBODY)
        touched = replace(STAMP, mtime_ns=99)
        ledger.restamp(KEY, {2: touched})
        assert dict(ledger.stamps(KEY)) == dict.fromkeys([1, 2, 3, 4], touched) | dict.fromkeys(
            [7, 8], STAMP
        )
    assert [row[1] for row in rows_of(folder, "files")] == [INFO.path, "/f/7.png", "/f/8.png"]
    with open_ledger(folder) as ledger:
        ledger.mark_deleted(KEY, [1, 2, 7])
    assert [row[1] for row in rows_of(folder, "files")] == [INFO.path, "/f/8.png"]


@pytest.mark.parametrize(
    ("numbers", "late_s", "says"),
    [
        pytest.param([2], 0.0, "stored already", id="known"),
        pytest.param([2, 8], 0.0, "stored already", id="known-beside-a-new-one"),
        pytest.param([7, 7], 0.0, "not later", id="twice"),
        pytest.param(
            [7],
            -0.6,
            "must rise with its number",
            id="earlier-than-the-one-before",
        ),
        pytest.param([7], -0.5, "must rise with its number", id="as-early-as-the-one-before"),
        pytest.param([3], 0.3, "must rise with its number", id="later-than-the-one-after"),
    ],
)
def test_times_rise_with_frames_that_are_new(folder, numbers, late_s, says):
    with open_ledger(folder) as ledger:
        store(ledger, make_frames(INFO, 1, 2, 5), NOBODY)
        ledger.require_new(KEY, make_frames(INFO, 3, 4, 7, 9))
        frames = make_frames(INFO, *numbers)
        frames = [replace(frame, time_s=frame.time_s + late_s) for frame in frames]
        with pytest.raises(ValueError, match=says):
            ledger.require_new(KEY, frames)


@pytest.mark.parametrize(
    ("error", "outcome"),
    [(None, "finished"), (KeyboardInterrupt, "interrupted"), (OSError, "failed")],
)
def test_runs_end_as_they_ended(folder, error, outcome):
    try:
        with open_ledger(folder) as ledger:
            store(ledger, make_frames(INFO, 1), people(1))
            store(ledger, make_frames(INFO, 2), people(2))
            assert read_runs(folder)[0].outcome == "killed"  # or under way, where there is a lock
            if error:
                raise error
    except (KeyboardInterrupt, OSError):
        assert error
    with open_ledger(folder):
        pass  # which wrote nothing
    (run,) = read_runs(folder)
    assert (run.outcome, run.frames, run.detections) == (outcome, 2, 2)
    assert run.ended >= run.started


def test_index_counts_with_the_frames(folder):
    """What was written of it is written once."""
    names = [f"{kind}-00000000" for kind in ("vectors", "rows", "frames", "paths")]
    small = Manifest.of_parts([Part(name, 9, (1,)) for name in names])
    large = Manifest.of_parts([Part(name, 2_000_000, (5, 6)) for name in names], [3])
    with open_ledger(folder) as ledger:
        store(ledger, make_frames(INFO, 1), NOBODY, (None, small))
        assert ledger.manifest == small
        store(ledger, make_frames(INFO, 2), NOBODY, (small, large))
    snapshot = read_snapshot(folder)
    assert (snapshot.manifest, snapshot.state.generation) == (large, 2)
    assert {*snapshot.sources.values()} == {make_source_record(INFO, [1, 2])}
    with open_ledger(folder) as ledger:
        store(ledger, make_frames(INFO, 3), NOBODY, (large, None))
        assert ledger.manifest is None


def test_checksums_tell_every_change():
    base = people(1, 2)
    first, second = base.detections
    frames = [1, 2, 3]
    whole = checksum_rows(KEY, frames, base)
    assert {number: count for number, (count, _) in whole.items()} == {1: 1, 2: 1, 3: 0}
    changes = {"score": 0.5, "path": "x", "crop_hash": "f" * 16, "time_s": 9.0, "id": "gate/m:1:2"}
    for name, value in changes.items():
        other = replace(base, detections=(replace(first, **{name: value}), second))
        found = checksum_rows(KEY, frames, other)
        assert found[1] != whole[1], name
        assert (found[2], found[3]) == (whole[2], whole[3])
    turned = make_records(base.detections, (1, 2.1))
    assert checksum_rows(KEY, frames, turned)[2] != whole[2]
    assert len({crc32 for _, crc32 in checksum_rows(KEY, range(99), NOBODY).values()}) == 99
    swapped = replace(base, detections=(second, first), embeddings=people(2, 1).embeddings)
    assert checksum_rows(KEY, frames, swapped) == whole


def test_checksums_are_the_same_in_every_version_of_python():
    """Part of the format: a database must stay whole when Python learns more of Unicode."""
    row = replace(make_detection(make_info("tor \U0001fae8"), 7), path="\udce9/ü.jpg")
    key = SourceKey("tor \U0001fae8", "monday")
    found = checksum_rows(key, [7, 8], make_records([row], (0,)))
    assert found == {7: (1, 600828121), 8: (0, 3989945903)}
    assert checksum_fields("tor \U0001fae8", 7) == 2553634636


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE about SET generation = 9",
        "UPDATE sources SET detections = 9",
        "UPDATE sources SET fps = 11.0",
        "UPDATE sources SET fps = 'fast'",
        "UPDATE sources SET name = 'tuesday'",
        "UPDATE provenance SET dimension = 3",
        "DELETE FROM frames WHERE number = 1",
        "UPDATE frames SET detections = 2 WHERE number = 1",
    ],
)
def test_values_that_were_changed_are_not_believed(folder, statement):
    with open_ledger(folder) as ledger:
        store(ledger, make_frames(INFO, 1, 2), people(1))
    change(folder, statement)
    with pytest.raises(StoreError, match="damaged") as caught:
        read_all(folder)
    assert "doctor --repair" in caught.value.hint


def test_ledger_that_is_missing_or_none(folder):
    (folder / "reidsearch.sqlite3").write_bytes(b"no ledger" * 99)
    with pytest.raises(StoreError, match="not a database"), open_ledger(folder):
        pass
    (folder / "reidsearch.sqlite3").unlink()
    with pytest.raises(StoreError, match="has no ledger"):
        read_state(folder)
    assert not [*folder.iterdir()]


def test_ledger_of_another_schema_is_told_from_damage(folder):
    def set_version(version):
        with closing(sqlite3.connect(folder / "reidsearch.sqlite3")) as connection, connection:
            connection.execute(f"PRAGMA user_version = {version}")

    set_version(99)
    assert read_state(folder).generation == 0  # the number is rot: the rest says that it is ours
    change(folder, f"UPDATE about SET crc32 = {checksum_fields(99, 'collection', 0)}")
    with pytest.raises(SchemaError, match="a newer reidsearch") as caught:
        read_state(folder)
    assert "pip install --upgrade" in caught.value.hint
    set_version(0)
    with closing(sqlite3.connect(folder / "reidsearch.sqlite3")) as connection, connection:
        connection.execute("DROP TABLE about")
        connection.execute("CREATE TABLE about (schema, collection, generation, crc32)")
        connection.execute("INSERT INTO about VALUES (4, 'collection', 7, 0)")
    with pytest.raises(SchemaError, match="an older reidsearch") as caught:
        read_state(folder)
    assert "ingest the footage again, into a new --db" in caught.value.hint


@pytest.mark.parametrize("start_s", [None, 1000.0], ids=["as-old-as-its-ingest", "dated"])
def test_age_is_that_of_each_frame(folder, monkeypatch, start_s):
    info = make_info(start_s=start_s, fps=0.001)
    with open_ledger(folder) as ledger:
        for number in (1, 2, 3):
            monkeypatch.setattr("time.time", lambda now=number: 1000.0 * now)
            store(ledger, make_frames(info, number), NOBODY, source=make_source_record(info))
    assert read_old_frames(folder, make_source_record(info), 2500.0) == {1, 2}
    other = make_source_record(make_info("gate", "nobody", start_s=start_s))
    assert read_old_frames(folder, other, 2500.0) == set()
