"""A database written anew beside itself, taking its own place as a whole.

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

from reidsearch.store.index_file import FOLDER
from reidsearch.store.layout import DATABASE_FILE, JOURNAL_FILE
from reidsearch.store.lock import writing

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_MADE = ".rebuilding"
_COMPLETE = ".complete.json"


@contextmanager
def swapping(folder: Path) -> Iterator[Path]:
    """Give an empty folder for a new database, which takes the old one's place when all went well.

    Args:
        folder: the database, whose lock this process holds, and which it has not opened.
    """
    made = folder / _MADE
    shutil.rmtree(made, ignore_errors=True)
    made.mkdir()
    try:
        yield made
        parts = [path.name for path in made.iterdir() if _is_part(path)]
        _sync(made)
        partial = made / f".{_COMPLETE}"
        partial.write_text(json.dumps(parts), "utf-8")
        _sync(made)
        partial.replace(made / _COMPLETE)
        _sync(made)
    except BaseException:
        shutil.rmtree(made, ignore_errors=True)
        raise
    _move(folder)


def settle(folder: Path) -> None:
    """Finish a move that a killed process began; raises DatabaseBusyError while one is moving."""
    if (folder / _MADE / _COMPLETE).exists():
        with writing(folder):
            settle_held(folder)


def settle_held(folder: Path) -> None:
    """See `settle`; for a process that holds the lock."""
    if (folder / _MADE / _COMPLETE).exists():
        _move(folder)
    shutil.rmtree(folder / _MADE, ignore_errors=True)


def _move(folder: Path) -> None:
    """Each step can be done again when the process is killed after it."""
    made = folder / _MADE
    parts = json.loads((made / _COMPLETE).read_text("utf-8"))
    for path in folder.iterdir():
        if _is_part(path) and path.name not in parts:
            _remove(path)
    for name in parts:
        if (made / name).exists():
            if (made / name).is_dir():
                _remove(folder / name)
            (made / name).replace(folder / name)
    _sync(folder)
    shutil.rmtree(made)


def _is_part(path: Path) -> bool:
    """Whether a file or folder is of Chroma, the journal or the index."""
    if path.is_dir():
        with suppress(ValueError):  # Chroma names the folders of its graphs so
            return bool(UUID(path.name))
        return path.name == FOLDER
    return path.name.startswith((DATABASE_FILE, JOURNAL_FILE))


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _sync(folder: Path) -> None:
    """Have everything in a folder on the disk before what depends on it."""
    for path in (*(p for p in folder.rglob("*") if not p.is_symlink()), folder):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
