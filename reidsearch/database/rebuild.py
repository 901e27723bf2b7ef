"""A database written anew: without what shall be gone, or from what is still whole of it."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from reidsearch.core.errors import StoreError
from reidsearch.core.files import copy_sqlite
from reidsearch.core.types import Records
from reidsearch.database.checking import FRAMES_AT_ONCE, check, in_parts
from reidsearch.database.chroma_store import open_held
from reidsearch.database.index_file import (
    FOLDER,
    DamagedIndexError,
    read_manifest,
    remove_manifest,
)
from reidsearch.database.index_store import IndexStore
from reidsearch.database.journal import open_journal, read_state, require_own_schema
from reidsearch.database.layout import (
    DATABASE_FILE,
    JOURNAL_FILE,
    REPAIR_HINT,
    explain,
    find_strangers,
    require_database,
)
from reidsearch.database.lock import writing
from reidsearch.database.opening import open_index
from reidsearch.database.probe import BrokenChromaError, find_rot, probe
from reidsearch.database.swap import settle, settle_held, swapping

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence, Set
    from pathlib import Path

    from reidsearch.core.store import SnapshotId
    from reidsearch.database.checking import Readable
    from reidsearch.database.journal import Journal

    OnStep = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Gone:
    """What is left out of a copy.

    Attributes:
        frames: of each source, by camera and name, with all that was found in them.
        ids: single people in frames that stay.
    """

    frames: Mapping[tuple[str, str], Set[int]] = field(default_factory=dict)
    ids: Set[str] = frozenset()


def erase_rows(
    folder: Path,
    seen: SnapshotId,
    gone: Gone,
    on_step: OnStep,
    on_made: Callable[[], None],
    *,
    wait_s: float,
    on_note: Callable[[str], None],
) -> None:
    """Write a database anew without some of it: Chroma would keep the bytes of what is deleted.

    Needs as much room again while it works; killed before its end, it leaves all as it was.

    Args:
        folder: the database.
        seen: the state of the database for which `gone` was chosen.
        gone: what is left out.
        on_step: called with rows done and to do.
        on_made: called when nothing but the swap is left to do.
        wait_s: how long to wait for others; see `lock.writing`.
        on_note: called with a sentence when it waits.

    Raises:
        StoreError: there is no database, it was changed since, it is damaged, or there is no room
            for another.
        DatabaseBusyError: others use it.
    """
    require_database(folder)
    with writing(folder, wait_s, on_note):
        settle_held(folder)
        _require_alone(folder)
        if read_state(folder) != seen:
            raise StoreError(
                f"another process wrote to {folder} after it was looked at",
                hint="nothing was erased: the same command looks again",
            )
        try:
            with swapping(folder, on_made) as made:
                with open_held(folder, writes=False) as store, open_journal(folder) as journal:
                    lost = _copy(journal, [store], made, gone, on_step)
                if lost:
                    raise StoreError(f"{lost} frames are not what was stored", hint=REPAIR_HINT)
                with open_held(made) as new:
                    new.take_history(folder)
        except OSError as error:
            raise explain(error, folder) from error


def copy_live(folder: Path, made: Path, work: Path, on_step: OnStep) -> SnapshotId:
    """Write to a new database what is confirmed of one that another process writes meanwhile.

    Args:
        folder: the database, of which the exact index is read.
        made: an empty folder.
        work: a folder for what is needed meanwhile.
        on_step: called with rows done and to do.

    Returns:
        The state of the database that was copied.

    Raises:
        DamagedIndexError: there is no index that could be read meanwhile.
        StoreError: the database is damaged, or frames were done again under our hands.
    """
    index = open_index(folder)
    copy_sqlite(folder / JOURNAL_FILE, work / JOURNAL_FILE)
    with open_journal(work) as journal:
        journal.end_others("under way when it was copied")
        have = {record.info.key: record.frames for record in index.sources()}
        ahead = {
            key: record.frames - have.get(key, frozenset())
            for key, record in journal.sources().items()
        }
        lost = _copy(journal, [index], made, Gone(ahead), on_step)
    if lost:
        raise StoreError(
            f"{lost} frames are not what was stored, or were done again meanwhile",
            hint="try again; if that does not help, `reidsearch doctor`",
        )
    with open_held(made) as new:
        new.take_history(work)
    return index.state


def repair(folder: Path, on_step: OnStep) -> str:
    """Make good what can be made good, and say in a sentence what was done.

    Every frame that the journal confirms is taken from Chroma or from the exact index, whichever
    has it as it was stored. Without a journal, all is taken from the index.

    Raises:
        StoreError: nothing is whole, or it cannot be told now what is.
        DatabaseBusyError: others use the database.
    """
    settle(folder)
    require_database(folder)
    require_own_schema(folder)
    with writing(folder):
        settle_held(folder)
        index = _open_whole_index(folder)
        # Where only Chroma is left, a journal that can be read in part is better than none.
        is_rotten = index is not None and bool(find_rot(folder / JOURNAL_FILE))
        if is_rotten or not _has_whole_journal(folder):
            if index is None:
                raise _nothing_is_whole(folder, "the journal")
            _require_alone(folder)
            with swapping(folder) as made:
                _copy_unproven(index, made, on_step)
            return "everything was made anew from the exact index"
        try:
            seen = probe(folder)
        except BrokenChromaError:
            seen = None
        if seen is None and index is None:
            raise _nothing_is_whole(folder, "Chroma")
        if seen is None or seen.damaged or find_rot(folder / DATABASE_FILE):
            return _salvage(folder, index, on_step, with_chroma=seen is not None)
        return _renew_index(folder, index, on_step)


def _salvage(folder: Path, index: IndexStore | None, on_step: OnStep, *, with_chroma: bool) -> str:
    _require_alone(folder)
    with swapping(folder) as made, ExitStack() as held:
        journal = held.enter_context(open_journal(folder))
        stores: list[Readable] = []
        if with_chroma:
            stores.append(held.enter_context(open_held(folder, writes=False)))
        if index is not None:
            stores.append(index)
        lost = _copy(journal, stores, made, Gone(), on_step)
        held.enter_context(open_held(made)).take_history(folder)
    if lost:
        return (
            f"made anew from what is whole; {lost} frames are lost: ingest the same footage again"
        )
    return "everything was made anew from what is whole of Chroma and the exact index"


def _require_alone(folder: Path) -> None:
    """Check that nobody else keeps anything in the database, which would be lost."""
    if others := find_strangers(folder):
        raise StoreError(
            f"{folder} also has what is none of reidsearch's: {', '.join(others)}",
            hint="move those collections to a Chroma database of their own",
        )


def _renew_index(folder: Path, index: IndexStore | None, on_step: OnStep) -> str:
    state = read_state(folder)
    if index is not None and index.state == state:
        return "nothing was broken"
    if index is None:
        remove_manifest(folder / FOLDER)
    with open_held(folder, on_step=on_step) as store:
        if store.index_problem:
            raise StoreError(f"the exact index cannot be made: {store.index_problem}")
    return "the exact index was made anew"


def _nothing_is_whole(folder: Path, what: str) -> StoreError:
    return StoreError(
        f"neither {what} nor the exact index of {folder} is whole",
        hint="`reidsearch restore` a backup, or ingest the footage into a new --db",
    )


def _copy(
    journal: Journal, stores: Sequence[Readable], made: Path, gone: Gone, on_step: OnStep
) -> int:
    """Write what is to stay to a new database, and return how many frames no store has whole."""
    sources = journal.sources()
    todo, done, lost = sum(record.people for record in sources.values()), 0, 0
    with open_held(made, stores[0].provenance) as new:
        for key, record in sources.items():
            kept = record.frames - gone.frames.get(key, frozenset())
            for frames, rows, wrong in check(journal, stores, record, kept):
                new.add(_without(rows, gone.ids), record, dict.fromkeys(frames))
                lost += len(wrong)
                done += len(rows)
                on_step(min(done, todo), todo)
    return lost


def _copy_unproven(index: IndexStore, made: Path, on_step: OnStep) -> None:
    """Write all of an index, whose own checksums are right, to a new database."""
    done = 0
    with open_held(made, index.provenance) as new:
        for record in index.sources():
            for some in in_parts(sorted(record.frames), FRAMES_AT_ONCE):
                rows = index.read(record.info.key, some)
                new.add(rows, record, dict.fromkeys(some))
                done += len(rows)
                on_step(done, len(index))


def _without(records: Records, ids: Set[str]) -> Records:
    kept = [row for row, sighting in enumerate(records.detections) if sighting.id not in ids]
    vectors = records.embeddings.vectors[kept]
    sightings = tuple(records.detections[row] for row in kept)
    return Records(sightings, replace(records.embeddings, vectors=vectors))


def _open_whole_index(folder: Path) -> IndexStore | None:
    try:
        manifest = read_manifest(folder / FOLDER, is_thorough=True)
    except DamagedIndexError:
        return None
    return IndexStore(folder / FOLDER, manifest)


def _has_whole_journal(folder: Path) -> bool:
    try:
        with open_journal(folder) as journal:
            return journal.sources() is not None
    except StoreError:
        return False
