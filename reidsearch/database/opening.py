"""Opening a database to read it: through its exact index, rebuilt first where needed."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from reidsearch.core.errors import StoreError
from reidsearch.core.progress import SILENT
from reidsearch.database.index_files import FOLDER, DamagedIndexError, MissingIndexError
from reidsearch.database.index_store import IndexStore
from reidsearch.database.layout import LEDGER_FILE, require_database
from reidsearch.database.snapshot import read_snapshot
from reidsearch.database.swap import finish_swap

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from reidsearch.core.progress import Progress
    from reidsearch.core.store import Store
    from reidsearch.database.snapshot import Snapshot

_TRIES = 10


@contextmanager
def open_to_read(
    folder: Path,
    progress: Progress = SILENT,
) -> Iterator[Store]:
    """Open a database to read it, without Chroma where there is an exact index.

    Any number of processes may read, also while one writes: they see what it had confirmed when
    they began.

    Args:
        folder: the database.
        progress: told of an index that is made, and warned when it was damaged, or there can be
            none and Chroma answers instead.

    Raises:
        StoreError: the folder holds no database of ours, or a broken one.
        DatabaseBusyError: another process writes it, and there is no index yet.
        SchemaError: another version of reidsearch made it.
    """

    def rebuild(seen: Snapshot | None, damage: DamagedIndexError) -> Snapshot:
        """Rebuild the index, unless another process has done so meanwhile."""
        if seen is None or read_snapshot(folder).manifest == seen.manifest:
            problem = _rebuild_index(folder, progress)
            if problem:
                raise _NoIndexError(
                    f"the exact index cannot be used ({damage}) or rebuilt ({problem})"
                )
            if not isinstance(damage, MissingIndexError):
                progress.warn(f"the exact index was rebuilt: {damage}")
        return read_snapshot(folder)

    finish_swap(folder)
    require_database(folder)
    try:
        try:
            store = open_index(folder, rebuild)
        except DamagedIndexError as damage:
            rebuild(None, damage)
            store = _reopen(folder, rebuild)
    except _NoIndexError as error:
        progress.warn(str(error))
        from reidsearch.database.chroma_store import open_chroma

        with open_chroma(folder) as chroma:
            yield chroma
        return
    yield store


class _NoIndexError(StoreError):
    """There is no exact index that can be used, and none can be made."""


def _rebuild_index(folder: Path, progress: Progress) -> str:
    """Rebuild it, as a writer does; return why that failed, or nothing."""
    if not os.access(folder, os.W_OK):
        return f"the folder {folder} is read-only"
    from reidsearch.database.chroma_store import open_chroma

    with open_chroma(folder, rebuild_index=True, progress=progress) as store:
        return store.index_problem


def _refuse(_seen: Snapshot, damage: DamagedIndexError) -> Snapshot:
    raise damage


def open_index(
    folder: Path, on_damage: Callable[[Snapshot, DamagedIndexError], Snapshot] = _refuse
) -> IndexStore:
    """Open the exact index of the state that the ledger tells of.

    While another process writes, files may be taken away between two looks: then it looks again.

    Args:
        folder: the database.
        on_damage: see `IndexStore`.

    Raises:
        DamagedIndexError: the index is missing or damaged.
        StoreError: the ledger is damaged.
    """
    if not (folder / LEDGER_FILE).exists():  # none was made yet
        raise MissingIndexError("there is no ledger yet")
    for _ in range(_TRIES):
        snapshot = read_snapshot(folder)
        try:
            return IndexStore(folder / FOLDER, snapshot, on_damage)
        except DamagedIndexError:
            if read_snapshot(folder).manifest == snapshot.manifest:
                raise
    raise DamagedIndexError("another process keeps rebuilding it")


def _reopen(
    folder: Path, on_damage: Callable[[Snapshot, DamagedIndexError], Snapshot]
) -> IndexStore:
    """Open the index that was made just now."""
    try:
        return open_index(folder, on_damage)
    except DamagedIndexError as error:
        raise StoreError(f"the exact index of {folder} cannot be used: {error}") from error
