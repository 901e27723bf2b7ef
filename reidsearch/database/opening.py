"""Opening a database to read it: through its exact index, made or mended first where need be."""

from __future__ import annotations

import os
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from reidsearch.core.errors import StoreError
from reidsearch.database.index_file import FOLDER, DamagedIndexError, read_manifest
from reidsearch.database.index_store import IndexStore
from reidsearch.database.journal import read_state
from reidsearch.database.layout import JOURNAL_FILE, require_database, require_schema
from reidsearch.database.lock import is_being_written, read_owner
from reidsearch.database.swap import settle

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from reidsearch.core.store import Store

_TRIES, _PAUSE_S = 10, 0.05
_NO_JOURNAL, _BEHIND = "the database has no journal", "it is not in step with the database"


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
        on_problem: called with a sentence when the index was damaged, or there can be none and
            Chroma answers instead.

    Raises:
        StoreError: the folder holds no database of ours, or a broken one.
        DatabaseBusyError: another process writes it, and there is no index yet.
        SchemaError: another version of reidsearch made it.
    """
    settle(folder)
    require_database(folder)
    try:
        store = open_index(folder)
    except DamagedIndexError as damage:
        problem = _mend(folder, on_step, on_problem)
        if problem:
            on_problem(f"the exact index cannot be used, as {damage}, nor made: {problem}")
            from reidsearch.database.chroma_store import open_chroma

            with open_chroma(folder) as chroma:
                yield chroma
            return
        if str(damage) not in (_NO_JOURNAL, _BEHIND):
            on_problem(f"the exact index was made anew, as {damage}")
        store = _reopen(folder)
    yield store


def _mend(folder: Path, on_step: Callable[[int, int], None], on_note: Callable[[str], None]) -> str:
    """Let the index catch up, as a writer does; say why that cannot be, or nothing."""
    if not os.access(folder, os.W_OK):
        return f"the folder {folder} is read-only"
    from reidsearch.database.chroma_store import open_chroma

    with open_chroma(folder, mend=True, on_step=on_step, on_note=on_note) as store:
        return store.index_problem


def _reopen(folder: Path) -> IndexStore:
    """Open the index that was mended just now."""
    try:
        return open_index(folder)
    except DamagedIndexError as error:
        raise StoreError(f"the exact index of {folder} cannot be used: {error}") from error


def open_index(folder: Path) -> IndexStore:
    """Open the exact index of the state that the journal tells of.

    While another process writes, files may be taken away between two looks: then it looks again.

    Raises:
        DamagedIndexError: the index is missing, damaged, or of another state of the database.
        StoreError: the journal is damaged.
    """
    for _ in range(_TRIES):
        try:
            return _try_to_open(folder)
        except DamagedIndexError:
            if read_owner(folder) is None:  # who may only read cannot ask the lock
                break
        time.sleep(_PAUSE_S)
    return _try_to_open(folder)


def _try_to_open(folder: Path) -> IndexStore:
    if not (folder / JOURNAL_FILE).exists():  # before there were journals, or none was made yet
        raise DamagedIndexError(_NO_JOURNAL)
    manifest = read_manifest(folder / FOLDER)
    state = read_state(folder)
    require_schema(state.schema, folder)
    is_in_step = manifest.collection == state.collection and (
        manifest.generation == state.generation
        or is_being_written(folder)  # who writes brings it up
    )
    if not is_in_step:
        raise DamagedIndexError(_BEHIND)
    try:
        return IndexStore(folder / FOLDER, manifest)
    except FileNotFoundError as error:
        raise DamagedIndexError("another has just taken its place") from error
