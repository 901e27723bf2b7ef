"""Databases that an older reidsearch made, brought up to date one schema at a time."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

from reidsearch.errors import SchemaError, StoreError
from reidsearch.files import whole_file
from reidsearch.provenance import SourceRecord
from reidsearch.store.checking import FRAMES_AT_ONCE, in_parts
from reidsearch.store.chroma_rows import (
    header,
    read_frames,
    read_provenance,
    to_where,
)
from reidsearch.store.journal import Journal, create_journal, read_state
from reidsearch.store.layout import JOURNAL_FILE, SCHEMA
from reidsearch.types import Filter

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import chromadb

    from reidsearch.provenance import Provenance

_SOURCE_PREFIX = "source:"


def require_known(schema: int, folder: Path) -> None:
    """Raise SchemaError unless a database of this schema can be used, or brought up to date."""
    if schema > SCHEMA:
        raise SchemaError(
            f"a newer reidsearch made the database {folder}: its schema is {schema}, "
            f"this one knows {SCHEMA}",
            hint="pip install --upgrade reidsearch",
        )
    if schema not in {SCHEMA, *_STEPS}:
        raise SchemaError(
            f"an older reidsearch made the database {folder}: its schema is {schema}, "
            f"this one knows {', '.join(map(str, sorted(_STEPS)))} and {SCHEMA}",
            hint="ingest the footage into a new --db",
        )


def migrate(collection: chromadb.Collection, folder: Path, on_note: Callable[[str], None]) -> None:
    """Bring a database up to date; killed at any moment, it is done again from its beginning.

    Args:
        collection: of the database, of a known schema.
        folder: of the database, kept for this process by its lock.
        on_note: called with a sentence when there was something to do.
    """
    while (schema := int(collection.metadata["schema"])) != SCHEMA:
        _STEPS[schema](collection, folder)
        on_note(f"the database {folder} was brought from schema {schema} to {schema + 1}")


def _to_3(collection: chromadb.Collection, folder: Path) -> None:
    """What was ingested stood in the collection's metadata; it moves into a journal."""
    provenance = read_provenance(collection.metadata)
    if not _has_journal(collection, folder):  # as one that was killed may have left
        with whole_file(folder / JOURNAL_FILE) as partial:
            _write_journal(collection, provenance, partial)
    collection.modify(metadata=header(provenance))


def _has_journal(collection: chromadb.Collection, folder: Path) -> bool:
    try:
        return read_state(folder).collection == str(collection.id)
    except StoreError:
        return False


def _write_journal(collection: chromadb.Collection, provenance: Provenance, path: Path) -> None:
    metadata = collection.metadata
    create_journal(path, str(collection.id), int(metadata.get("generation", 0)))
    with closing(sqlite3.connect(path)) as connection:
        journal = Journal(connection)
        for name, text in metadata.items():
            if not name.startswith(_SOURCE_PREFIX):
                continue
            record = SourceRecord.from_json(str(text))
            key = record.info.key
            for some in in_parts(sorted(record.frames), FRAMES_AT_ONCE):
                rows = read_frames(collection, key, some, provenance)
                journal.begin(record, some)
                journal.confirm(key, dict.fromkeys(some), rows)
            ids = collection.get(where=to_where(Filter((key,))), include=[])["ids"]
            stored = {int(id_.split(":")[-2]) for id_ in ids}
            journal.begin(record, stored - record.frames)  # those of an ingest that was killed


# By the schema that each starts from.
_STEPS = {2: _to_3}
