import sqlite3
from contextlib import closing
from dataclasses import replace

import pytest

from reidsearch.core.errors import StoreError
from reidsearch.core.types import FileStamp
from reidsearch.database.checksum import checksum_fields, checksum_rows
from reidsearch.database.journal import (
    create_journal,
    open_journal,
    read_runs,
    read_state,
    read_stored_before,
)
from tests.unit.builders import make_info, make_records, make_sighting, make_source_record

INFO = make_info()
KEY = INFO.key
STAMP = FileStamp(10, 20, "digest")
NOBODY = make_records([], ())


@pytest.fixture
def folder(tmp_path):
    create_journal(tmp_path / "reidsearch.sqlite3", "collection")
    return tmp_path


def people(*frames):
    return make_records([make_sighting(INFO, frame) for frame in frames], frames)


def store(journal, frames, records):
    journal.begin(make_source_record(INFO), frames)
    return journal.confirm(KEY, frames, records)


def read_all(folder):
    with open_journal(folder) as journal:
        return journal.sources(), journal.state


def change(folder, statement):
    with closing(sqlite3.connect(folder / "reidsearch.sqlite3")) as connection, connection:
        assert connection.execute(statement).rowcount == 1


def test_empty(folder):
    with open_journal(folder) as journal:
        assert (journal.sources(), journal.pending(), journal.runs()) == ({}, {}, [])
        assert [*journal.stamps(KEY)] == []
    assert read_state(folder).generation == 0
    assert read_runs(folder) == []


def test_frames_count_once_confirmed(folder):
    with open_journal(folder) as journal:
        journal.begin(make_source_record(INFO), [1, 2])
        assert journal.sources() == {KEY: make_source_record(INFO)}
        assert journal.pending() == {KEY: [1, 2]}
        assert journal.confirm(KEY, {1: STAMP, 2: None}, people(1)) == 1
        assert journal.sources() == {KEY: make_source_record(INFO, [1, 2], 1)}
        assert journal.pending() == {}
        assert [*journal.stamps(KEY)] == [(1, STAMP)]
        assert store(journal, {5: STAMP}, NOBODY) == 2
    with open_journal(folder) as journal:
        assert journal.sources() == {KEY: make_source_record(INFO, [1, 2, 5], 1)}
    assert read_state(folder).generation == 2


def test_withdrawn_frames_are_pending_until_swept(folder):
    with open_journal(folder) as journal:
        store(journal, dict.fromkeys([1, 2, 3]), people(1, 3))
        assert journal.withdraw(KEY, [2, 3]) == 2
        assert journal.sources() == {KEY: make_source_record(INFO, [1], 1)}
        assert journal.pending() == {KEY: [2, 3]}
        journal.swept(KEY, [2, 3])
        assert journal.pending() == {}
        store(journal, {3: None}, people(3))
        assert journal.sources() == {KEY: make_source_record(INFO, [1, 3], 2)}


@pytest.mark.parametrize(
    ("error", "outcome"),
    [(None, "finished"), (KeyboardInterrupt, "interrupted"), (OSError, "failed")],
)
def test_runs_end_as_they_ended(folder, error, outcome):
    try:
        with open_journal(folder) as journal:
            store(journal, {1: None}, people(1))
            store(journal, {2: None}, people(2))
            assert read_runs(folder)[0].outcome == "killed"  # or under way, where there is a lock
            if error:
                raise error
    except (KeyboardInterrupt, OSError):
        assert error
    with open_journal(folder):
        pass  # which wrote nothing
    (run,) = read_runs(folder)
    assert (run.outcome, run.frames, run.people) == (outcome, 2, 2)
    assert run.ended >= run.started


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
    row = replace(make_sighting(make_info("tor \U0001fae8"), 7), path="\udce9/ü.jpg")
    found = checksum_rows(("tor \U0001fae8", "monday"), [7, 8], make_records([row], (0,)))
    assert found == {7: (1, 600828121), 8: (0, 3989945903)}
    assert checksum_fields("tor \U0001fae8", 7) == 2553634636


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE about SET generation = 9",
        "UPDATE sources SET people = 9",
        "UPDATE sources SET record = replace(record, '10.0', '11.0')",
        "UPDATE sources SET name = 'tuesday'",
        "DELETE FROM frames WHERE number = 1",
        "UPDATE frames SET people = 2 WHERE number = 1",
    ],
)
def test_values_that_were_changed_are_not_believed(folder, statement):
    with open_journal(folder) as journal:
        store(journal, {1: None, 2: None}, people(1))
    change(folder, statement)
    with pytest.raises(StoreError, match="damaged") as caught:
        read_all(folder)
    assert "doctor --repair" in caught.value.hint


def test_journal_that_is_missing_or_none(folder):
    (folder / "reidsearch.sqlite3").write_bytes(b"no journal" * 99)
    with pytest.raises(StoreError, match="not a database"), open_journal(folder):
        pass
    (folder / "reidsearch.sqlite3").unlink()
    with pytest.raises(StoreError, match="has no journal"):
        read_state(folder)
    assert not [*folder.iterdir()]


def test_age_is_that_of_each_frame(folder, monkeypatch):
    with open_journal(folder) as journal:
        for number in (1, 2, 3):
            monkeypatch.setattr("time.time", lambda now=number: 1000.0 * now)
            store(journal, {number: None}, NOBODY)
    assert read_stored_before(folder, KEY, 2500.0) == {1, 2}
    assert read_stored_before(folder, ("gate", "nobody"), 2500.0) == set()
