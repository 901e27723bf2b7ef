"""Keeping the exact index in step with the rows that it is made from."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from reidsearch.frame_set import FrameSet
from reidsearch.store.index_file import (
    DamagedIndexError,
    append,
    new_manifest,
    read_manifest,
    remove_manifest,
    write_manifest,
)
from reidsearch.types import Filter, Records

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from reidsearch.provenance import Provenance, SourceRecord
    from reidsearch.store import Store
    from reidsearch.store.index_file import Manifest

    OnStep = Callable[[int, int], None]

_FRAMES_AT_ONCE = 1000


class IndexKeeper:
    """The index of a database that is being written; no other process writes it meanwhile.

    Attributes:
        problem: why there is no index any more, or empty; what is stored is not touched by that.
    """

    def __init__(self, folder: Path, collection: str, provenance: Provenance) -> None:
        self.problem = ""
        self._is_stale = False
        self._folder = folder
        self._manifest = new_manifest(collection, provenance)
        with suppress(DamagedIndexError):
            known = read_manifest(folder)
            if (known.collection, known.provenance) == (collection, provenance):
                self._manifest = known

    def catch_up(self, store: Store, generation: int, on_step: OnStep) -> None:
        """Add what the index lacks, or make it anew; `on_step` gets rows done and to do."""
        is_in_step = self._manifest.generation == generation and self._manifest.sources
        if self.problem or (is_in_step and not self._is_stale):
            return
        records = {record.info.key: record for record in store.sources()}
        known = {record.info.key: record for record in self._manifest.sources}
        lost = (key not in records or r.frames - records[key].frames for key, r in known.items())
        if self._is_stale or any(lost):
            self._is_stale = False
            self._manifest = new_manifest(self._manifest.collection, self._manifest.provenance)
            known = {}
        done = self._manifest.rows
        todo = sum(record.people for record in records.values())
        for key, record in records.items():
            have = known[key].frames if key in known else FrameSet()
            self._manifest = self._with(record)
            for found in _read_missing(store, record, have):
                self._append(found)
                done += len(found)
                on_step(min(done, todo), todo)
        self._confirm(generation)

    def prepare(self, records: Records, source: SourceRecord) -> None:
        """Look at rows before the database gets them: if they replace others, the index goes.

        Then `catch_up` makes it anew.
        """
        before = {record.info.key: record for record in self._manifest.sources}
        known = before[source.info.key].frames if source.info.key in before else FrameSet()
        if any(sighting.frame in known for sighting in records.sightings):
            self._is_stale = True
            remove_manifest(self._folder)

    def add(self, records: Records, source: SourceRecord, generation: int) -> None:
        """Add rows of frames that were just recorded."""
        if not self._is_stale:
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


def _read_missing(store: Store, record: SourceRecord, have: FrameSet) -> Iterator[Records]:
    """Rows of recorded frames that the index does not have, some frames at a time."""
    missing = sorted(record.frames - have)
    for start in range(0, len(missing), _FRAMES_AT_ONCE):
        some = missing[start : start + _FRAMES_AT_ONCE]
        wanted = Filter(
            sources=(record.info.key,), after_frame=some[0] - 1, before_frame=some[-1] + 1
        )
        yield _only(store.scan(wanted), set(some))


def _only(records: Records, frames: set[int]) -> Records:
    """The rows of some frames: others may be of an ingest that was killed."""
    rows = [i for i, sighting in enumerate(records.sightings) if sighting.frame in frames]
    if len(rows) == len(records):
        return records
    vectors = records.embeddings.vectors[rows]
    kept = replace(records.embeddings, vectors=vectors)
    return Records(tuple(records.sightings[row] for row in rows), kept)
