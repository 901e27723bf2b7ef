"""Keeping the exact index in step with the rows that it is made from."""

from __future__ import annotations

from contextlib import suppress
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
        if is_in_step and not self._is_stale:
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
            for found in _read_missing(store, record, have):
                self._write(found, self._with(record), generation, confirmed=False)
                done += len(found)
                on_step(min(done, todo), todo)
        if not self.problem:
            self._write(None, self._manifest, generation, confirmed=True)

    def add(self, records: Records, source: SourceRecord, generation: int) -> None:
        """Add rows of frames that were just recorded."""
        before = {record.info.key: record for record in self._manifest.sources}
        known = before[source.info.key].frames if source.info.key in before else FrameSet()
        if any(sighting.frame in known for sighting in records.sightings):
            self._is_stale = True  # rows were replaced: `catch_up` makes the index anew
            remove_manifest(self._folder)
        if not (self.problem or self._is_stale):
            self._write(records, self._with(source), generation, confirmed=True)

    def _with(self, source: SourceRecord) -> Manifest:
        """The manifest with a source's record, new or renewed."""
        known = [record.info.key for record in self._manifest.sources]
        sources = [*self._manifest.sources]
        if source.info.key in known:
            sources[known.index(source.info.key)] = source
        else:
            sources.append(source)
        return replace(self._manifest, sources=tuple(sources))

    def _write(
        self, records: Records | None, manifest: Manifest, generation: int, *, confirmed: bool
    ) -> None:
        if self.problem:
            return
        try:
            self._folder.mkdir(exist_ok=True)
            if records is not None:
                manifest = append(self._folder, manifest, records)
            self._manifest = replace(manifest, generation=generation)
            if confirmed:
                write_manifest(self._folder, self._manifest)
        except OSError as error:
            self._give_up(f"cannot write {self._folder}: {error.strerror}")

    def _give_up(self, problem: str) -> None:
        self.problem = problem
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
