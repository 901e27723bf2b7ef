"""Keeping the exact index in step with the rows that it is made from."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from reidsearch.database.checking import require_stored
from reidsearch.database.index_file import (
    DamagedIndexError,
    append,
    new_manifest,
    read_manifest,
    remove_manifest,
    without,
    write_manifest,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from reidsearch.core.provenance import Provenance, SourceRecord
    from reidsearch.core.types import Records
    from reidsearch.database.checking import Proven
    from reidsearch.database.index_file import Manifest

    Key = tuple[str, str]
    OnStep = Callable[[int, int], None]


_MOST_GONE = 1_000_000  # frames; more were never there, but in an index of somebody else


class IndexKeeper:
    """The index of a database that is being written; no other process writes it meanwhile.

    Attributes:
        problem: why there is no index any more, or empty; what is stored is not touched by that.
    """

    def __init__(self, folder: Path, collection: str, provenance: Provenance) -> None:
        self.problem = ""
        self._folder = folder
        self._manifest = new_manifest(collection, provenance)
        with suppress(DamagedIndexError):
            known = read_manifest(folder)
            if (known.collection, known.provenance) == (collection, provenance):
                self._manifest = known

    def catch_up(self, store: Proven, generation: int, on_step: OnStep) -> None:
        """Add what the index lacks and drop what is gone; `on_step` gets rows done and to do.

        Raises:
            StoreError: what the database has is not what was stored.
        """
        records = {record.info.key: record for record in store.sources()}
        known = {record.info.key: record for record in self._manifest.sources}
        is_in_step = self._manifest.generation == generation and known == records
        if self.problem or (is_in_step and known):
            return
        if not self._can_follow(records, known, generation):
            self._manifest = new_manifest(self._manifest.collection, self._manifest.provenance)
            known = {}
        gone = {key: record.frames - records[key].frames for key, record in known.items()}
        if any(gone.values()):
            with self._giving_up():
                self._manifest = without(self._folder, self._manifest, gone)
        done = self._manifest.rows
        todo = sum(record.people for record in records.values())
        for key, record in records.items():
            have = known[key].frames if key in known else frozenset()
            self._manifest = self._with(record)
            for checked in store.check(record, record.frames - have):
                require_stored(record.info, checked.wrong)
                self._append(checked.rows)
                done += len(checked.rows)
                on_step(min(done, todo), todo)
        self._confirm(generation)

    def _can_follow(
        self, records: Mapping[Key, SourceRecord], known: Mapping[Key, SourceRecord], now: int
    ) -> bool:
        """Whether the index is what a killed writer left, one step behind, and no older copy."""
        return (
            0 <= now - self._manifest.generation <= 1
            and known.keys() <= records.keys()
            and all(len(r.frames) - len(records[k].frames) < _MOST_GONE for k, r in known.items())
            and self._manifest.rows == sum(record.people for record in known.values())
        )

    def add(self, records: Records, source: SourceRecord, generation: int) -> None:
        """Add rows of frames that were just recorded."""
        self._manifest = self._with(source)
        self._append(records)
        self._confirm(generation)

    def _with(self, source: SourceRecord) -> Manifest:
        """The manifest with a source's record, new or renewed."""
        known = [record.info.key for record in self._manifest.sources]
        sources = [*self._manifest.sources]
        if source.info.key in known:
            sources[known.index(source.info.key)] = source
        else:
            sources.append(source)
        return replace(self._manifest, sources=tuple(sources))

    def _append(self, records: Records) -> None:
        """Write rows; they count when they are confirmed."""
        if self.problem:
            return
        with self._giving_up():
            self._folder.mkdir(exist_ok=True)
            self._manifest = append(self._folder, self._manifest, records)

    def _confirm(self, generation: int) -> None:
        if self.problem:
            return
        with self._giving_up():
            self._folder.mkdir(exist_ok=True)
            self._manifest = replace(self._manifest, generation=generation)
            write_manifest(self._folder, self._manifest)

    @contextmanager
    def _giving_up(self) -> Iterator[None]:
        """Do without an index where it cannot be written: the database itself is."""
        try:
            yield
        except OSError as error:
            self.problem = f"cannot write {self._folder}: {error.strerror}"
            remove_manifest(self._folder)
