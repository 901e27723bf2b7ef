"""Rewriting a database: without what is erased, or from what is undamaged."""

from __future__ import annotations

import sqlite3
from contextlib import ExitStack, suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from reidsearch.core.errors import StoreError
from reidsearch.core.text import count
from reidsearch.database.chroma_store import open_locked
from reidsearch.database.copying import Exclusion, fill
from reidsearch.database.index_files import FOLDER, DamagedIndexError, Manifest
from reidsearch.database.index_store import check_index, read_index, read_index_alone
from reidsearch.database.layout import (
    DATABASE_FILE,
    REPAIR_HINT,
    explain,
    foreign_collections,
    require_database,
)
from reidsearch.database.ledger import open_ledger
from reidsearch.database.ledger_copy import copy_ledger, recreate_ledger
from reidsearch.database.ledger_schema import read_state, require_own_schema
from reidsearch.database.lock import writing
from reidsearch.database.probe import BrokenChromaError, integrity_error, probe
from reidsearch.database.snapshot import read_snapshot
from reidsearch.database.swap import finish_swap, finish_swap_locked, swapping

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from reidsearch.core.progress import Progress
    from reidsearch.core.store import SnapshotId
    from reidsearch.database.index_reader import IndexReader
    from reidsearch.database.verify import Readable


def erase_rows(
    folder: Path,
    seen: SnapshotId,
    exclusion: Exclusion,
    on_made: Callable[[], None],
    progress: Progress,
    *,
    wait_s: float,
) -> None:
    """Rewrite a database without some of it: Chroma would keep the bytes of what is deleted.

    Needs as much room again while it works; killed before its end, it leaves all as it was.

    Args:
        folder: the database.
        seen: the state of the database for which `exclusion` was chosen.
        exclusion: what is left out.
        on_made: called when nothing but the swap is left to do.
        progress: told of each row, and warned when it waits.
        wait_s: how long to wait for others; see `lock.writing`.

    Raises:
        StoreError: there is no database, it was changed since, it is damaged, or there is no room
            for another.
        DatabaseBusyError: others use it.
    """
    require_database(folder)
    with writing(folder, wait_s, progress):
        finish_swap_locked(folder)
        _require_no_foreign_collections(folder)
        if read_state(folder) != seen:
            raise StoreError(
                f"another process wrote to {folder} in the meantime",
                hint="nothing was erased: run the command again",
            )
        try:
            with swapping(folder, on_made) as made:
                copy_ledger(folder, made)
                with open_locked(folder, writes=False) as store:
                    lost = fill(made, [store], exclusion, progress)
                if lost:
                    raise StoreError(f"{count(lost, 'frame')} not as stored", hint=REPAIR_HINT)
        except (sqlite3.Error, OSError) as error:
            raise explain(error, folder) from error


def copy_live(folder: Path, made: Path, progress: Progress) -> SnapshotId:
    """Write to a new database what is confirmed of one that another process writes meanwhile.

    Args:
        folder: the database, of which the exact index is read.
        made: an empty folder.
        progress: told of each row.

    Returns:
        The state of the database that was copied.

    Raises:
        DamagedIndexError: there is no index that could be read meanwhile.
        StoreError: the database is damaged.
    """
    copy_ledger(folder, made)
    snapshot = read_snapshot(made)
    index = read_index(folder / FOLDER, snapshot)
    lost = fill(made, [index], Exclusion(), progress, outcome="running when it was copied")
    if lost:
        raise StoreError(
            f"{count(lost, 'frame')} not as stored",
            hint="try again; if that does not help, `reidsearch doctor`",
        )
    return snapshot.state


def repair(folder: Path, progress: Progress) -> str:
    """Make good what can be made good, and say in a sentence what was done.

    Every frame that the ledger confirms is taken from Chroma or from the exact index, whichever
    has it as it was stored. Without a ledger, all is taken from the index.

    Raises:
        StoreError: nothing is whole, or it cannot be told now what is.
        DatabaseBusyError: others use the database.
    """
    finish_swap(folder)
    require_database(folder)
    require_own_schema(folder)
    with writing(folder):
        finish_swap_locked(folder)
        if not _has_whole_ledger(folder):
            return _remake_ledger(folder, progress)
        index = _open_index(folder)
        try:
            seen = probe(folder)
        except BrokenChromaError:
            seen = None
        if seen is None and index is None:
            raise _nothing_is_whole(folder, "Chroma")
        if seen is None or seen.damaged or integrity_error(folder / DATABASE_FILE):
            return _salvage(folder, index, progress, with_chroma=seen is not None)
        return _renew_index(folder, index, progress)


def _remake_ledger(folder: Path, progress: Progress) -> str:
    try:
        index = read_index_alone(folder / FOLDER)
    except DamagedIndexError:
        raise _nothing_is_whole(folder, "the ledger") from None
    _require_no_foreign_collections(folder)
    with swapping(folder) as made:
        recreate_ledger(index, made)
        lost = fill(made, [index], Exclusion(), progress)
    return _lost(lost) or "everything was rebuilt from the exact index"


def _salvage(
    folder: Path, index: IndexReader | None, progress: Progress, *, with_chroma: bool
) -> str:
    _require_no_foreign_collections(folder)
    with swapping(folder) as made, ExitStack() as held:
        stores: list[Readable] = []
        if with_chroma:
            stores.append(held.enter_context(open_locked(folder, writes=False)))
        if index is not None:
            stores.append(index)
        copy_ledger(folder, made)
        lost = fill(made, stores, Exclusion(), progress)
    what = "everything was rebuilt from Chroma and the exact index"
    return _lost(lost) or what


def _lost(frames: int) -> str:
    if not frames:
        return ""
    return f"rebuilt, but {count(frames, 'frame')} lost: ingest the same footage again"


def _require_no_foreign_collections(folder: Path) -> None:
    """Check that nobody else keeps anything in the database, which would be lost."""
    if others := foreign_collections(folder):
        raise StoreError(
            f"{folder} also holds collections of other programs: {', '.join(others)}",
            hint="move those collections to a Chroma database of their own",
        )


def _renew_index(folder: Path, index: IndexReader | None, progress: Progress) -> str:
    if index is not None:
        with suppress(DamagedIndexError):
            check_index(folder / FOLDER, read_snapshot(folder))
            return "nothing needed repair"
    with open_locked(folder, rebuild_index=True, progress=progress) as store:
        if store.index_problem:
            raise StoreError(f"the exact index cannot be rebuilt: {store.index_problem}")
    return "the exact index was rebuilt"


def _nothing_is_whole(folder: Path, what: str) -> StoreError:
    return StoreError(
        f"both {what} and the exact index of {folder} are damaged",
        hint="`reidsearch restore` a backup, or ingest the footage into a new --db",
    )


def _open_index(folder: Path) -> IndexReader | None:
    """The index, whatever is in it and of whatever state: the ledger proves each frame's rows."""
    with suppress(DamagedIndexError):
        return read_index_alone(folder / FOLDER)
    with suppress(DamagedIndexError, StoreError):  # nothing beside it says whose rows it has
        snapshot = read_snapshot(folder)
        if snapshot.manifest is not None:
            parts = [replace(part, checksums=None) for part in snapshot.manifest.parts]
            manifest = Manifest.of_parts(parts, snapshot.manifest.dropped)
            return read_index(folder / FOLDER, replace(snapshot, manifest=manifest))
    return None


def _has_whole_ledger(folder: Path) -> bool:
    try:
        with open_ledger(folder) as ledger:
            ledger.require_consistent()
    except StoreError:
        return False
    return True
