"""A database rewritten beside itself, which then takes its place as a whole.

What is made lies in a folder inside the database's; once it is complete, a list says so and its
parts are moved. A process killed before that leaves the old database, and one killed after it a
move that the next one finishes.
"""

from __future__ import annotations

import json
import os
import shutil
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING
from uuid import UUID

from reidsearch.core.errors import StoreError
from reidsearch.database.graph_files import wipe_unused
from reidsearch.database.index_files import FOLDER
from reidsearch.database.layout import (
    DATABASE_FILE,
    LEDGER_FILE,
    REBUILT_FOLDER,
    SQLITE_ENDS,
    require_own_files,
)
from reidsearch.database.lock import writing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_SQLITE_FILES = (DATABASE_FILE, LEDGER_FILE)
_COMPLETE = ".complete.json"


@contextmanager
def swapping(folder: Path, on_made: Callable[[], None] = lambda: None) -> Iterator[Path]:
    """Give an empty folder for a new database, which takes the old one's place when all went well.

    Args:
        folder: the database, whose lock this process holds, and which it has not opened.
        on_made: called when the new one is on the disk, before it takes the place.
    """
    made = folder / REBUILT_FOLDER
    shutil.rmtree(made, ignore_errors=True)
    made.mkdir()
    try:
        yield made
        wipe_unused(made)
        parts = [path.name for path in made.iterdir() if _is_part(path.name)]
        partial = made / f".{_COMPLETE}"
        partial.write_text(json.dumps(parts), "utf-8")
        for path in (*made.rglob("*"), made, folder):
            _sync(path)
        on_made()
        partial.replace(made / _COMPLETE)
        _sync(made)
    except BaseException:
        (made / _COMPLETE).unlink(missing_ok=True)  # first: without all its parts it is not
        shutil.rmtree(made, ignore_errors=True)
        raise
    _move(folder)


def finish_swap(folder: Path) -> None:
    """Finish a move that a killed process began.

    Raises:
        StoreError: somebody else began it, or this user may not go on with it.
        DatabaseBusyError: another process is moving.
    """
    require_own_files(folder)
    if not (folder / REBUILT_FOLDER / _COMPLETE).is_file():
        return
    try:
        with writing(folder):
            finish_swap_locked(folder)
    except OSError as error:
        raise StoreError(f"{folder} was left half swapped, and cannot be moved: {error}") from error


def finish_swap_locked(folder: Path) -> None:
    """See `finish_swap`; for a process that holds the lock."""
    if (folder / REBUILT_FOLDER / _COMPLETE).is_file():
        _move(folder)
    shutil.rmtree(folder / REBUILT_FOLDER, ignore_errors=True)


def _read_list(made: Path) -> list[str]:
    """What was made: names, and no paths, as a folder of somebody else might have them."""
    try:
        parts = [str(name) for name in json.loads((made / _COMPLETE).read_text("utf-8"))]
    except (ValueError, TypeError, RecursionError) as error:
        raise StoreError(f"{made / _COMPLETE} was changed by another program") from error
    if not all(map(_is_part, parts)):
        raise StoreError(f"{made / _COMPLETE} names files that are not a database's")
    return parts


def _move(folder: Path) -> None:
    """Each step can be done again when the process is killed after it."""
    made = folder / REBUILT_FOLDER
    parts = _read_list(made)
    for path in folder.iterdir():
        # What SQLite left beside an old file must not be played back into the new one.
        is_leftover = path.name.endswith(SQLITE_ENDS) and path.name.startswith(_SQLITE_FILES)
        if is_leftover or (_is_part(path.name) and path.name not in parts):
            _remove(path)
    for name in parts:
        if (made / name).exists():
            if (made / name).is_dir():
                _remove(folder / name)
            (made / name).replace(folder / name)
    _sync(folder)
    (made / _COMPLETE).unlink()
    shutil.rmtree(made, ignore_errors=True)


def _is_part(name: str) -> bool:
    """Whether that is a file or folder of Chroma, the ledger or the index."""
    with suppress(ValueError):  # Chroma names the folders of its graphs so
        return str(UUID(name)) == name
    return name in (FOLDER, *_SQLITE_FILES)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    """Have a file or folder on the disk; never the lock, which would be lost by closing it."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
