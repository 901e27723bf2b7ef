"""What a database that somebody else wrote may hold."""

import sqlite3
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reidsearch.core.errors import StoreError
from reidsearch.core.provenance import Provenance, SourceRecord
from reidsearch.core.types import StoredDetection
from reidsearch.database.checksum import checksum_rows
from reidsearch.database.chroma_rows import (
    collection_metadata,
    read_provenance,
    to_detection,
    to_metadata,
)
from reidsearch.database.layout import SCHEMA
from reidsearch.database.ledger import open_ledger
from reidsearch.database.ledger_schema import create_ledger, read_state
from reidsearch.database.runs import read_runs
from tests.fuzz.mutations import mutated, others_than
from tests.unit.builders import (
    PROVENANCE,
    make_detection,
    make_frames,
    make_info,
    make_records,
    make_source_record,
)

INFO = make_info()
SIGHTING = make_detection(INFO, 7)
RECORD = make_source_record(INFO)


@given(row=others_than(to_metadata(SIGHTING)), id_=st.just(SIGHTING.id) | st.text(max_size=20))
def test_any_row_is_a_sighting_or_an_error(row, id_):
    with suppress(StoreError):
        detection = to_detection(id_, row if isinstance(row, dict) else {})
        assert isinstance(detection, StoredDetection)
        assert detection.index >= 0


@given(metadata=others_than(collection_metadata(PROVENANCE)))
def test_any_metadata_are_a_provenance_or_an_error(metadata):
    with suppress(StoreError):
        assert isinstance(
            read_provenance(metadata if isinstance(metadata, dict) else {}), Provenance
        )


@given(document=others_than(RECORD.to_fields()))
def test_any_fields_are_a_source_or_an_error(document):
    with suppress(ValueError):
        record = SourceRecord.from_fields(document)
        assert SourceRecord.from_fields(record.to_fields()) == record
        str(record.info), record.span, record.info.time_of(1)


@pytest.fixture(scope="module")
def ledger(folder):
    """Bytes of a small one."""
    create_ledger(folder / "reidsearch.sqlite3", "collection", PROVENANCE)
    with open_ledger(folder) as made:
        made.announce(RECORD, [1, 2])
        rows = make_records([make_detection(INFO, 1)], (0,))
        made.commit(INFO.key, make_frames(INFO, 1, 2), checksum_rows(INFO.key, [1, 2], rows))
    with sqlite3.connect(folder / "reidsearch.sqlite3") as connection:
        connection.execute("PRAGMA page_size = 512")
        connection.commit()
        connection.execute("VACUUM")
    connection.close()
    return (folder / "reidsearch.sqlite3").read_bytes()


@given(data=st.data())
def test_any_ledger_is_as_it_was_or_an_error(ledger, folder, data):
    """Bytes that do not count may be others."""
    (folder / "reidsearch.sqlite3").write_bytes(data.draw(mutated([ledger])))
    with suppress(StoreError):
        assert read_state(folder).schema == SCHEMA
        read_runs(folder)
        with open_ledger(folder) as opened:
            opened.require_consistent()
            (record,) = opened.sources().values()
            assert record.info == INFO
            assert (record.frames, record.detections) == (2, 1)
            assert opened.provenance == PROVENANCE
            opened.pending(), [*opened.stamps(INFO.key)], opened.checksums(INFO.key, 1, 9)
            opened.entries(INFO.key, [1, 2]), opened.frames(INFO.key)
