"""Taking away a database in which nothing was stored."""

from __future__ import annotations

import shutil
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from reidsearch.core.errors import DatabaseBusyError, ReidsearchError, StoreError
from reidsearch.database.layout import LEDGER_FILE, LOCK_FILE, OWNER_FILE, has_database
from reidsearch.database.ledger_schema import connected, sources_of
from reidsearch.database.lock import writing

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path


@contextmanager
def discarded_if_empty(folder: Path) -> Iterator[None]:
    """Delete what an error leaves of a new database in which no frame was stored yet."""
    is_new = not has_database(folder)
    kept = {path.name for path in folder.glob("*")}
    try:
        yield
    except ReidsearchError as error:
        if is_new and not isinstance(error, DatabaseBusyError):
            with suppress(OSError, StoreError):  # the error that brought us here is to be said
                _discard_empty(folder, kept)
        raise


def _discard_empty(folder: Path, kept: Collection[str]) -> None:
    with writing(folder):
        if _has_frames(folder):
            return
        for path in folder.iterdir():
            if path.name in {*kept, LOCK_FILE, OWNER_FILE}:
                continue
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    if LOCK_FILE not in kept:
        (folder / LOCK_FILE).unlink()
    folder.rmdir()  # which fails where anything is left


def _has_frames(folder: Path) -> bool:
    if not (folder / LEDGER_FILE).exists():
        return False
    with connected(folder) as connection:
        return any(record.frames for record in sources_of(connection).values())
