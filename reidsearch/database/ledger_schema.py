"""The ledger's file: its tables, and the one way to open it."""

from __future__ import annotations

import sqlite3
from contextlib import closing, contextmanager
from dataclasses import astuple, fields, replace
from typing import TYPE_CHECKING, Any

from reidsearch.core.errors import SchemaError, StoreError
from reidsearch.core.provenance import Provenance, SourceRecord
from reidsearch.core.store import SnapshotId
from reidsearch.database.checksum import checksum_fields
from reidsearch.database.layout import LEDGER_FILE, REPAIR_HINT, SCHEMA, require_schema

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_WAIT_S = 10.0
# Other tables may refer to frames, and go with them: erase, repair and backup keep them.
# `about` and `user_version` stay as they are in all schemas: they say which schema it is.
_TABLES = """
    CREATE TABLE about (
        collection TEXT NOT NULL, generation INTEGER NOT NULL, crc32 INTEGER NOT NULL
    );
    CREATE TABLE provenance (
        embedder TEXT NOT NULL, fingerprint TEXT NOT NULL, dimension INTEGER NOT NULL,
        detector TEXT NOT NULL, detector_sha256 TEXT NOT NULL, precision TEXT NOT NULL,
        versions TEXT NOT NULL, package_version TEXT NOT NULL, crc32 INTEGER NOT NULL
    );
    CREATE TABLE runs (
        id INTEGER PRIMARY KEY, command TEXT NOT NULL, started TEXT NOT NULL, ended TEXT,
        outcome TEXT,
        version TEXT NOT NULL, precision TEXT NOT NULL, versions TEXT NOT NULL,
        frames INTEGER NOT NULL DEFAULT 0, detections INTEGER NOT NULL DEFAULT 0
    );
    CREATE TABLE sources (
        id INTEGER PRIMARY KEY, camera TEXT NOT NULL, name TEXT NOT NULL, path TEXT NOT NULL,
        fps REAL NOT NULL, start_s REAL, first_number INTEGER NOT NULL, digest TEXT NOT NULL,
        min_score REAL NOT NULL, min_height_px INTEGER NOT NULL, tiles TEXT NOT NULL,
        skip_unchanged INTEGER NOT NULL, boxes_sha256 TEXT NOT NULL,
        frames INTEGER NOT NULL DEFAULT 0, detections INTEGER NOT NULL DEFAULT 0,
        crc32 INTEGER NOT NULL DEFAULT 0,
        UNIQUE (camera, name)
    );
    CREATE TABLE run_sources (
        run INTEGER NOT NULL REFERENCES runs, source INTEGER NOT NULL REFERENCES sources
        ON DELETE CASCADE, PRIMARY KEY (run, source)
    ) WITHOUT ROWID;
    CREATE TABLE files (
        id INTEGER PRIMARY KEY, path TEXT NOT NULL, size INTEGER, mtime_ns INTEGER, digest TEXT
    );
    CREATE TABLE frames (
        source INTEGER NOT NULL REFERENCES sources ON DELETE CASCADE, number INTEGER NOT NULL,
        time_s REAL NOT NULL, file INTEGER NOT NULL REFERENCES files,
        detections INTEGER NOT NULL, crc32 INTEGER NOT NULL, stored_s REAL NOT NULL,
        PRIMARY KEY (source, number)
    ) WITHOUT ROWID;
    CREATE INDEX frames_of_file ON frames (file);
    CREATE TABLE pending (
        source INTEGER NOT NULL REFERENCES sources ON DELETE CASCADE, number INTEGER NOT NULL,
        PRIMARY KEY (source, number)
    ) WITHOUT ROWID;
    CREATE TABLE index_files (name TEXT PRIMARY KEY, size INTEGER NOT NULL);
    CREATE TABLE index_blocks (
        file TEXT NOT NULL REFERENCES index_files ON DELETE CASCADE, block INTEGER NOT NULL,
        checksum INTEGER NOT NULL, PRIMARY KEY (file, block)
    ) WITHOUT ROWID;
    CREATE TABLE index_dropped (frame INTEGER PRIMARY KEY);
"""

SOURCE_FIELDS = (
    *("camera", "name", "path", "fps", "start_s", "first_number", "digest"),
    *("min_score", "min_height_px", "tiles", "skip_unchanged", "boxes_sha256"),
)


def create_ledger(path: Path, collection: str, provenance: Provenance) -> None:
    """Make an empty ledger for a collection."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executescript(_TABLES)
        connection.execute(f"PRAGMA user_version = {SCHEMA}")
        write_state(connection, SnapshotId(SCHEMA, collection, 0))
        write_provenance(connection, provenance)


@contextmanager
def connected(folder: Path) -> Iterator[sqlite3.Connection]:
    """Open the ledger of a database; what SQLite has against it becomes a StoreError.

    Raises:
        StoreError: it is missing, damaged, or another program's.
        SchemaError: another version of reidsearch made it.
    """
    path = folder / LEDGER_FILE
    if not path.is_file():
        raise StoreError(f"the database {folder} has no ledger", hint=REPAIR_HINT)
    try:
        # Written to also by readers: they play back what a killed writer left half done.
        uri = f"{path.resolve().as_uri()}?mode=rw"
        with closing(sqlite3.connect(uri, timeout=_WAIT_S, uri=True)) as connection:
            connection.execute("PRAGMA trusted_schema = OFF")
            connection.execute("PRAGMA foreign_keys = ON")
            # Others may have made the file: a view could be read without an end.
            kinds = connection.execute("SELECT DISTINCT type FROM sqlite_master").fetchall()
            if {kind for (kind,) in kinds} - {"table", "index"}:
                raise StoreError(f"the ledger of {folder} was created by another program")
            _require_own_schema(connection, folder)
            yield connection
    except (sqlite3.Error, UnicodeDecodeError) as error:  # the latter of its own messages
        raise _explain(folder, error) from error


def read_state(folder: Path) -> SnapshotId:
    """Which state a database is in, without opening more of it; raises as `connected` does."""
    with connected(folder) as connection:
        return state_of(connection)


def require_own_schema(folder: Path) -> None:
    """Raise SchemaError where a database says that another version of reidsearch made it."""
    try:
        read_state(folder)
    except SchemaError:
        raise
    except StoreError:
        return


def state_of(connection: sqlite3.Connection) -> SnapshotId:
    """Which state the database is in; StoreError where that cannot be believed."""
    rows = connection.execute("SELECT collection, generation, crc32 FROM about").fetchall()
    if len(rows) != 1 or rows[0][2] != checksum_fields(SCHEMA, *rows[0][:2]):
        raise StoreError("the ledger's first page is damaged", hint=REPAIR_HINT)
    return SnapshotId(SCHEMA, *rows[0][:2])


def write_state(connection: sqlite3.Connection, state: SnapshotId) -> None:
    """Say that the database is in another state."""
    connection.execute("DELETE FROM about")
    connection.execute(
        "INSERT INTO about VALUES (?, ?, ?)",
        (state.collection, state.generation, checksum_fields(*astuple(state))),
    )


def provenance_of(connection: sqlite3.Connection) -> Provenance:
    """The models behind every row; StoreError where that cannot be believed."""
    names = ", ".join(field.name for field in fields(Provenance))
    rows = connection.execute(f"SELECT {names}, crc32 FROM provenance").fetchall()  # noqa: S608
    if len(rows) != 1 or rows[0][-1] != checksum_fields(*rows[0][:-1]):
        raise StoreError("what the ledger says of models is damaged", hint=REPAIR_HINT)
    return Provenance(*rows[0][:-1])


def write_provenance(connection: sqlite3.Connection, provenance: Provenance) -> None:
    """Say which models are behind every row."""
    values = astuple(provenance)
    connection.execute("DELETE FROM provenance")
    connection.execute(
        f"INSERT INTO provenance VALUES ({', '.join('?' * (len(values) + 1))})",  # noqa: S608
        (*values, checksum_fields(*values)),
    )


def sources_of(connection: sqlite3.Connection) -> dict[int, SourceRecord]:
    """All sources, by their numbers; raises StoreError where one contradicts itself."""
    found = {}
    rows: list[tuple[Any, ...]] = connection.execute(
        f"SELECT {', '.join(SOURCE_FIELDS)}, frames, detections, crc32, id, "  # noqa: S608
        "(SELECT MIN(number) FROM frames WHERE source = id), "
        "(SELECT MAX(number) FROM frames WHERE source = id) FROM sources"
    ).fetchall()
    for *values, crc32, number, first, last in rows:
        fields = dict(zip(SOURCE_FIELDS, values, strict=False))
        try:
            source = SourceRecord.from_fields(
                fields | {"skip_unchanged": bool(fields["skip_unchanged"])}
            )
        except ValueError:
            source = None
        if source is None or checksum_fields(*values) != crc32:
            raise StoreError("what the ledger says of a source is damaged", hint=REPAIR_HINT)
        frames, detections = values[len(SOURCE_FIELDS) :]
        span = None if first is None else (first, last)
        found[number] = replace(source, frames=frames, detections=detections, span=span)
    return found


def _require_own_schema(connection: sqlite3.Connection, folder: Path) -> None:
    """Raise SchemaError for a ledger of another schema, and nothing where its number is rot."""
    [(schema,)] = connection.execute("PRAGMA user_version")
    columns = {row[1] for row in connection.execute("PRAGMA table_info(about)")}
    if schema == 0 and "schema" in columns:  # as ledgers were before they had numbers
        [schema] = connection.execute("SELECT MAX(schema) FROM about").fetchone()
        require_schema(schema or 0, folder)
    if schema != SCHEMA and {"collection", "generation", "crc32"} <= columns:
        rows = connection.execute("SELECT collection, generation, crc32 FROM about").fetchall()
        if [checksum_fields(schema, *row[:2]) for row in rows] == [row[2] for row in rows]:
            require_schema(schema, folder)


def _explain(folder: Path, error: Exception) -> StoreError:
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF
    is_passing = code in (
        *(sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL),
        *(sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_IOERR),
    )
    hint = "" if is_passing else REPAIR_HINT
    return StoreError(f"the ledger of {folder} cannot be used: {error}", hint=hint)
