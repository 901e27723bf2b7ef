"""What a database folder holds."""

from __future__ import annotations

import errno
import os
import sqlite3
import stat
from contextlib import closing, suppress
from pathlib import Path

from reidsearch.core.errors import ReadOnlyError, SchemaError, StoreError

COLLECTION = "people"
SCHEMA = 6

DATABASE_FILE = "chroma.sqlite3"
LOCK_FILE = "reidsearch.lock"
LEDGER_FILE = "reidsearch.sqlite3"
SQLITE_ENDS = ("-journal", "-wal", "-shm")  # of what SQLite keeps beside a file while it writes
OWNER_FILE = "reidsearch.owner.json"
PEOPLE_FILE = "people.jsonl"
AUDIT_FILE = "audit.jsonl"
AUDIT_HEAD_FILE = "audit.head"
AUDIT_LOCK_FILE = "audit.lock"

REBUILT_FOLDER = ".rebuilding"
_NAMES = (
    *(DATABASE_FILE, LOCK_FILE, LEDGER_FILE, OWNER_FILE, PEOPLE_FILE, REBUILT_FOLDER),
    *(AUDIT_FILE, AUDIT_HEAD_FILE, AUDIT_LOCK_FILE),
)

REPAIR_HINT = "`reidsearch doctor --db ...` says what is wrong; `doctor --repair` repairs it"
_REFUSED = (errno.EACCES, errno.EPERM, errno.EROFS)
_DAMAGED = ("malformed", "not a database", "unable to open", "no such table")  # as SQLite says it

_HINT = "create one with `reidsearch ingest SOURCE`, or name another with --db"


def has_database(folder: Path) -> bool:
    """Whether there is a database, or part of one.

    Raises:
        StoreError: `folder` is no folder, or another program's database; or see
            `require_own_files`.
    """
    _require_readable(folder)
    if not folder.is_dir():
        if folder.exists() or folder.is_symlink():
            raise StoreError(f"{folder} is not a folder", hint=_HINT)
        return False
    require_own_files(folder)
    if (folder / LEDGER_FILE).exists():
        return True
    if not (folder / DATABASE_FILE).exists():
        return False
    names = _collection_names(folder)
    if names and COLLECTION not in names:
        raise not_ours(folder)
    return True


def require_own_files(folder: Path) -> None:
    """Check that a database has no links, pipes or devices, as that of somebody else may have.

    What was written to it would go elsewhere, or never end. To be asked before anything is opened.

    Raises:
        StoreError: it has, or this user may not look.
    """
    _require_readable(folder)
    if not any(os.path.lexists(folder / name) for name in _NAMES):
        return  # somebody's documents, perhaps a great many
    for parent, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = Path(parent, name)
            with suppress(FileNotFoundError):  # SQLite's own come and go
                mode = path.lstat().st_mode
                if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
                    raise StoreError(
                        f"{path} is not a regular file: something else was put into the database",
                        hint="replace it by a copy of the file that it leads to, if you trust that",
                    )


def _require_readable(folder: Path) -> None:
    try:
        may_read = not folder.is_dir() or os.access(folder, os.R_OK | os.X_OK)
    except PermissionError:  # one above it keeps us out
        may_read = False
    if not may_read:
        raise StoreError(
            f"the database folder {folder} cannot be read: Permission denied",
            hint="ask its owner for read access, or name another with --db",
        )


def require_database(folder: Path) -> None:
    """Raise StoreError unless there is a database, or part of one."""
    if not has_database(folder):
        raise StoreError(f"there is no database in {folder}", hint=_HINT)


def prepare(folder: Path) -> None:
    """Make the folder of a new database, which must be empty."""
    if has_database(folder):
        return
    ours = {LOCK_FILE, OWNER_FILE, AUDIT_FILE, AUDIT_HEAD_FILE, AUDIT_LOCK_FILE, "README.md"}
    foreign = [p for p in folder.glob("*") if p.name not in ours and not p.name.startswith(".")]
    if foreign:
        raise StoreError(
            f"{folder} is not a Chroma database: it holds {foreign[0].name}",
            hint="give --db an empty or new folder",
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise explain(error, folder) from error


def require_schema(schema: int, folder: Path) -> None:
    """Raise SchemaError unless this version of reidsearch made a database of that schema."""
    if schema != SCHEMA:
        age = "a newer" if schema > SCHEMA else "an older"
        raise SchemaError(
            f"{age} reidsearch made the database {folder}: its schema is {schema}, "
            f"this one's is {SCHEMA}",
            hint="pip install --upgrade reidsearch"
            if schema > SCHEMA
            else "ingest the footage again, into a new --db",
        )


def not_ours(folder: Path) -> StoreError:
    """Say that a database is another program's."""
    return StoreError(
        f"the Chroma database in {folder} was created by another program",
        hint=f"it has no collection named {COLLECTION}: give --db another folder",
    )


def foreign_collections(folder: Path) -> list[str]:
    """Names of other programs' collections in a database."""
    return [name for name in _collection_names(folder) if name != COLLECTION]


def _collection_names(folder: Path) -> list[str]:
    """Read past Chroma, which may not open."""
    uri = f"{(folder / DATABASE_FILE).resolve().as_uri()}?mode=rw"
    try:
        with closing(sqlite3.connect(uri, uri=True)) as connection:
            rows = connection.execute("SELECT name FROM collections ORDER BY name")
            return [str(name) for [name] in rows]
    except (sqlite3.Error, UnicodeDecodeError):  # then nobody can read them
        return []


def explain(error: Exception, folder: Path) -> StoreError:
    """Say what kept us from using a database."""
    is_refused = isinstance(error, OSError) and error.errno in _REFUSED
    if is_refused or "readonly" in str(error):
        return ReadOnlyError(
            f"the database folder {folder} is read-only",
            hint="copy the folder, or change its permissions; `reidsearch search` and `backup` "
            "work on a read-only folder that has an exact index",
        )
    hint = REPAIR_HINT if any(word in str(error) for word in _DAMAGED) else ""
    return StoreError(f"the database in {folder} cannot be used: {error}", hint=hint)


def size_on_disk(folder: Path) -> int:
    """Bytes of all files in a database folder."""
    size = 0
    for path in folder.rglob("*"):
        with suppress(FileNotFoundError):  # others write meanwhile
            status = path.stat()
            size += status.st_size if stat.S_ISREG(status.st_mode) else 0
    return size
