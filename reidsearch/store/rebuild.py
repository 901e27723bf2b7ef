"""A database written anew: without what shall be gone, or from what is still whole of it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from reidsearch.errors import StoreError
from reidsearch.store.chroma_store import open_chroma, open_held
from reidsearch.store.index_file import (
    FOLDER,
    DamagedIndexError,
    read_manifest,
    remove_manifest,
)
from reidsearch.store.index_store import IndexStore
from reidsearch.store.journal import open_journal, require_stored
from reidsearch.store.layout import require_database
from reidsearch.store.lock import writing
from reidsearch.store.probe import probe
from reidsearch.store.swap import settle, settle_held, swapping
from reidsearch.types import Records

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Set
    from pathlib import Path

    from reidsearch.provenance import Provenance
    from reidsearch.store import CheckedStore
    from reidsearch.store.index_file import Manifest

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
    folder: Path, gone: Gone, on_step: OnStep, on_made: Callable[[], None] = lambda: None
) -> None:
    """Write a database anew without some of it: Chroma would keep the bytes of what is deleted.

    Needs as much room again while it works; killed before its end, it leaves all as it was.

    Args:
        folder: the database.
        gone: what is left out.
        on_step: called with rows done and to do.
        on_made: called when nothing but the swap is left to do.

    Raises:
        StoreError: there is no database, it is damaged, or there is no room for another.
        DatabaseBusyError: others use it.
    """
    require_database(folder)
    with writing(folder):
        settle_held(folder)
        with swapping(folder) as made, open_held(folder, writes=False) as store:
            _copy(store, store.provenance, made, gone, on_step, history=folder)
            on_made()


def repair(folder: Path, on_step: OnStep) -> str:
    """Make good what can be made good, and say in a sentence what was done.

    Raises:
        StoreError: neither Chroma, with the journal, nor the exact index is whole.
        DatabaseBusyError: others use the database.
    """
    settle(folder)
    require_database(folder)
    manifest = _read_whole_index(folder)
    try:
        damaged = probe(folder).damaged
    except StoreError as error:
        if manifest is None:
            raise StoreError(
                f"neither Chroma nor the exact index of {folder} is whole: {error}",
                hint="`reidsearch restore` a backup, or ingest the footage into a new --db",
            ) from error
    else:
        if not damaged:
            remove_manifest(folder / FOLDER)
            with open_chroma(folder, mend=True, on_step=on_step):
                return "the exact index was made anew"
        if manifest is None:
            lost = {(camera, name): frozenset(frames) for camera, name, frames in damaged}
            erase_rows(folder, Gone(lost), on_step)
            count = sum(map(len, lost.values()))
            return f"{count} frames were damaged and are gone: ingest the same footage again"
    with writing(folder), swapping(folder) as made:
        index = IndexStore(folder / FOLDER, manifest)
        history = folder if _has_whole_journal(folder) else None
        _copy(index, manifest.provenance, made, Gone(), on_step, history)
    return "the database was made anew from the exact index"


def _copy(
    store: CheckedStore,
    provenance: Provenance,
    made: Path,
    gone: Gone,
    on_step: OnStep,
    history: Path | None,
) -> None:
    todo, done = sum(record.people for record in store.sources()), 0
    with open_held(made, provenance) as new:
        for record in store.sources():
            kept = record.frames - gone.frames.get(record.info.key, frozenset())
            for frames, rows, wrong in store.check(record, kept):
                require_stored(record.info, wrong)
                new.add(_without(rows, gone.ids), record, dict.fromkeys(frames))
                done += len(rows)
                on_step(min(done, todo), todo)
        if history is not None:
            new.take_history(history)


def _without(records: Records, ids: Set[str]) -> Records:
    kept = [row for row, sighting in enumerate(records.sightings) if sighting.id not in ids]
    vectors = records.embeddings.vectors[kept]
    sightings = tuple(records.sightings[row] for row in kept)
    return Records(sightings, replace(records.embeddings, vectors=vectors))


def _read_whole_index(folder: Path) -> Manifest | None:
    try:
        return read_manifest(folder / FOLDER, is_thorough=True)
    except DamagedIndexError:
        return None


def _has_whole_journal(folder: Path) -> bool:
    try:
        with open_journal(folder) as journal:
            return journal.sources() is not None
    except StoreError:
        return False
