"""What a database folder holds."""

from __future__ import annotations

import stat
from contextlib import suppress
from typing import TYPE_CHECKING

from reidsearch.errors import StoreError

if TYPE_CHECKING:
    from pathlib import Path

COLLECTION = "people"
SCHEMA = 3

DATABASE_FILE = "chroma.sqlite3"
LOCK_FILE = "reidsearch.lock"
JOURNAL_FILE = "reidsearch.sqlite3"
SQLITE_ENDS = ("", "-journal", "-wal", "-shm")  # what SQLite keeps beside a file while it is open
OWNER_FILE = "reidsearch.owner.json"
AUDIT_FILE = "audit.jsonl"
AUDIT_HEAD_FILE = "audit.head"
AUDIT_LOCK_FILE = "audit.lock"

REPAIR_HINT = "`reidsearch doctor` says what is wrong; `doctor --repair` mends what it can"

_HINT = "`reidsearch ingest SOURCE` makes one; --db names its folder"


def has_database(folder: Path) -> bool:
    """Whether there is a database, or part of one.

    Raises:
        StoreError: `folder` is no folder, or has links, pipes or devices, as a folder that somebody
            else made may have: what was written to it would go elsewhere.
    """
    if not folder.is_dir():
        if folder.exists() or folder.is_symlink():
            raise StoreError(f"{folder} is not a folder", hint=_HINT)
        return False
    if not any((folder / name).exists() for name in (DATABASE_FILE, JOURNAL_FILE)):
        return False
    for path in (*folder.iterdir(), *folder.glob("*/*")):
        with suppress(FileNotFoundError):  # SQLite's own come and go
            mode = path.lstat().st_mode
            if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
                raise StoreError(
                    f"{path} is no regular file: the database is not as reidsearch made it",
                    hint="copy what is behind it to its place, if you trust it",
                )
    return True


def require_database(folder: Path) -> None:
    """Raise StoreError unless there is a database, or part of one."""
    if not has_database(folder):
        raise StoreError(f"there is no database in {folder}", hint=_HINT)


def size_on_disk(folder: Path) -> int:
    """Bytes of all files in a database folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
