"""Opening a database to read it: through its exact index, made or mended first where need be."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing, contextmanager
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from filelock import ReadWriteLock, Timeout

from reidsearch.errors import StoreError
from reidsearch.provenance import Provenance, SourceRecord
from reidsearch.store.index_file import FOLDER, DamagedIndexError, read_manifest
from reidsearch.store.index_store import IndexStore
from reidsearch.store.layout import (
    COLLECTION,
    DATABASE_FILE,
    LOCK_FILE,
    SCHEMA,
    SOURCE_PREFIX,
    require_database,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from reidsearch.store import Store
    from reidsearch.store.index_file import Manifest

_SQLITE_WAIT_S = 5.0
_TRIES = 3


@contextmanager
def open_to_read(
    folder: Path,
    *,
    on_step: Callable[[int, int], None] = lambda _done, _total: None,
    on_problem: Callable[[str], None] = lambda _problem: None,
) -> Iterator[Store]:
    """Open a database to read it, without Chroma where the exact index is in step with it.

    Any number of processes may read, also while one writes: they see what it had confirmed when
    they began.

    Args:
        folder: the database.
        on_step: called with rows done and to do while an index is made.
        on_problem: called with a sentence when there can be no index, and Chroma answers instead.

    Raises:
        StoreError: the folder holds no database of ours, or a broken one.
        DatabaseBusyError: another process writes it, and there is no index yet.
        SchemaError: another version of reidsearch made it.
    """
    require_database(folder)
    try:
        manifest = _read_in_step(folder)
    except DamagedIndexError as damage:
        problem = _mend(folder, on_step)
        if problem:
            on_problem(f"the exact index cannot be used, as {damage}, nor made: {problem}")
            from reidsearch.store.chroma_store import open_chroma

            with open_chroma(folder) as store:
                yield store
            return
        manifest = read_manifest(folder / FOLDER)
    yield IndexStore(folder / FOLDER, manifest)


def _mend(folder: Path, on_step: Callable[[int, int], None]) -> str:
    """Let the index catch up, as a writer does; say why that cannot be, or nothing."""
    if not os.access(folder, os.W_OK):
        return f"the folder {folder} is read-only"
    from reidsearch.store.chroma_store import open_chroma

    with open_chroma(folder, mend=True, on_step=on_step) as store:
        return store.index_problem


def _read_in_step(folder: Path) -> Manifest:
    """Read the manifest, and compare it with what Chroma has.

    Raises:
        DamagedIndexError: the index is missing, damaged, or of another state of the database.
    """
    for _ in range(_TRIES):
        manifest = read_manifest(folder / FOLDER)
        collection, schema, generation = read_stamp(folder)
        if schema == SCHEMA and manifest.collection == collection:
            if manifest.generation == generation:
                return manifest
            if _is_being_written(folder):  # by who checked it, and will bring it up
                return manifest
    raise DamagedIndexError("it is not in step with the database")


def read_stamp(folder: Path) -> tuple[str, int, int]:
    """The collection's id, schema and generation, from Chroma's own tables.

    To open Chroma instead would take a second.

    Raises:
        DamagedIndexError: they cannot be read.
    """
    try:
        collection, metadata = _read_metadata(folder, "AND m.key IN ('schema', 'generation')")
    except sqlite3.Error as error:
        raise DamagedIndexError(f"the database cannot be compared with it: {error}") from error
    return collection, int(metadata.get("schema", 0)), int(metadata.get("generation", 0))


def read_records(folder: Path) -> tuple[Provenance, tuple[SourceRecord, ...]]:
    """What a database says of itself, from Chroma's own tables.

    Raises:
        StoreError: it says nothing that we know.
    """
    try:
        _, metadata = _read_metadata(folder)
        texts = [value for key, value in metadata.items() if key.startswith(SOURCE_PREFIX)]
        records = tuple(SourceRecord.from_json(str(text)) for text in texts)
        provenance = Provenance(**{f.name: metadata[f.name] for f in fields(Provenance)})
    except (sqlite3.Error, ValueError, KeyError, TypeError) as error:
        raise StoreError(f"the database in {folder} is not one of reidsearch's: {error}") from error
    return provenance, records


def _read_metadata(folder: Path, only: str = "") -> tuple[str, dict[str, Any]]:
    """The collection's id and metadata."""
    query = f"""
        SELECT c.id, m.key, COALESCE(m.str_value, m.int_value) FROM collections c
        JOIN collection_metadata m ON m.collection_id = c.id WHERE c.name = ? {only}
    """  # noqa: S608  # what is put in is written above
    uri = f"{(folder / DATABASE_FILE).resolve().as_uri()}?mode=ro"
    with closing(sqlite3.connect(uri, timeout=_SQLITE_WAIT_S, uri=True)) as connection:
        rows = connection.execute(query, (COLLECTION,)).fetchall()
    return rows[0][0] if rows else "", {key: value for _, key, value in rows}


def _is_being_written(folder: Path) -> bool:
    try:
        with ReadWriteLock(folder / LOCK_FILE, is_singleton=False).read_lock(0):
            return False
    except Timeout:
        return True
    except (OSError, sqlite3.Error):  # a folder that may not be written
        return False
