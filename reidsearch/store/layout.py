"""What a database folder holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reidsearch.errors import StoreError

if TYPE_CHECKING:
    from pathlib import Path

COLLECTION = "people"
SCHEMA = 3

DATABASE_FILE = "chroma.sqlite3"
LOCK_FILE = "reidsearch.lock"
JOURNAL_FILE = "reidsearch.sqlite3"
OWNER_FILE = "reidsearch.owner.json"
AUDIT_FILE = "audit.jsonl"
AUDIT_HEAD_FILE = "audit.head"
AUDIT_LOCK_FILE = "audit.lock"

_HINT = "`reidsearch ingest SOURCE` makes one; --db names its folder"


def has_database(folder: Path) -> bool:
    """Whether there is a database, or part of one; StoreError where `folder` is no folder."""
    if folder.exists() and not folder.is_dir():
        raise StoreError(f"{folder} is not a folder", hint=_HINT)
    return any((folder / name).is_file() for name in (DATABASE_FILE, JOURNAL_FILE))


def require_database(folder: Path) -> None:
    """Raise StoreError unless there is a database, or part of one."""
    if not has_database(folder):
        raise StoreError(f"there is no database in {folder}", hint=_HINT)


def size_on_disk(folder: Path) -> int:
    """Bytes of all files in a database folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
