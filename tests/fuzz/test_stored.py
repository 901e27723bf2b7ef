"""What a database that somebody else wrote may hold."""

import json
import sqlite3
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reidsearch.core.errors import StoreError
from reidsearch.core.provenance import Provenance, SourceRecord
from reidsearch.core.types import StoredDetection
from reidsearch.database.chroma_rows import header, read_provenance, to_metadata, to_sighting
from reidsearch.database.journal import create_journal, open_journal, read_runs, read_state
from reidsearch.database.layout import SCHEMA
from tests.fuzz.mutations import mutated, others_than
from tests.unit.builders import (
    PROVENANCE,
    make_info,
    make_records,
    make_sighting,
    make_source_record,
)

INFO = make_info()
SIGHTING = make_sighting(INFO, 7)
RECORD = make_source_record(INFO, (1, 2, 30), 4)


@given(row=others_than(to_metadata(SIGHTING)), id_=st.just(SIGHTING.id) | st.text(max_size=20))
def test_any_row_is_a_sighting_or_an_error(row, id_):
    with suppress(StoreError):
        sighting = to_sighting(id_, row if isinstance(row, dict) else {})
        assert isinstance(sighting, StoredDetection)
        assert sighting.index >= 0


@given(metadata=others_than(header(PROVENANCE)))
def test_any_metadata_are_a_provenance_or_an_error(metadata):
    with suppress(StoreError):
        assert isinstance(
            read_provenance(metadata if isinstance(metadata, dict) else {}), Provenance
        )


@given(document=others_than(json.loads(RECORD.to_json())))
def test_any_text_is_a_source_or_an_error(document):
    with suppress(ValueError):
        record = SourceRecord.from_json(json.dumps(document))
        assert SourceRecord.from_json(record.to_json()) == record
        str(record.info), record.span, record.info.time_of(1)


@pytest.fixture(scope="module")
def journal(folder):
    """Bytes of a small one."""
    create_journal(folder / "reidsearch.sqlite3", "collection")
    with open_journal(folder) as made:
        made.begin(RECORD, [1, 2])
        made.confirm(INFO.key, {1: None, 2: None}, make_records([make_sighting(INFO, 1)], (0,)))
    with sqlite3.connect(folder / "reidsearch.sqlite3") as connection:
        connection.execute("PRAGMA page_size = 512")
        connection.commit()
        connection.execute("VACUUM")
    connection.close()
    return (folder / "reidsearch.sqlite3").read_bytes()


@given(data=st.data())
def test_any_journal_is_as_it_was_or_an_error(journal, folder, data):
    """Bytes that do not count may be others."""
    (folder / "reidsearch.sqlite3").write_bytes(data.draw(mutated([journal])))
    with suppress(StoreError):
        assert read_state(folder).schema == SCHEMA
        read_runs(folder)
        with open_journal(folder) as opened:
            (record,) = opened.sources().values()
            assert record.info == INFO
            assert (len(record.frames), record.people) == (2, 1)
            opened.pending(), [*opened.stamps(INFO.key)], opened.checksums(INFO.key, 1, 9)
