"""A store in memory, with exact distances."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from reidsearch.core.errors import ModelMismatchError
from reidsearch.core.frame_set import FrameSet
from reidsearch.core.store import SnapshotId
from reidsearch.core.types import Embeddings, Filter, Match, Records, StoredDetection
from reidsearch.database.layout import SCHEMA

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from numpy.typing import NDArray

    from reidsearch.core.provenance import Provenance, SourceRecord
    from reidsearch.core.types import FileStamp, Fuse


class MemoryStore:
    """See `reidsearch.core.store.WritableStore`."""

    is_exact = True
    state = SnapshotId(SCHEMA, "memory", 0)

    def __init__(self, provenance: Provenance) -> None:
        self.provenance = provenance
        self._sources: dict[tuple[str, str], SourceRecord] = {}
        self._stamps: dict[tuple[str, str], dict[int, FileStamp | None]] = {}
        self._rows: dict[str, tuple[StoredDetection, NDArray[np.float32]]] = {}

    def sources(self) -> tuple[SourceRecord, ...]:
        return tuple(self._sources[key] for key in sorted(self._sources))

    def add(
        self, records: Records, source: SourceRecord, frames: Mapping[int, FileStamp | None]
    ) -> None:
        if records.embeddings.fingerprint != self.provenance.fingerprint:
            raise ModelMismatchError(
                gallery=self.provenance.embedder, query="these vectors", hint="use another store"
            )
        key = source.info.key
        known = self._sources.get(key, replace(source, frames=FrameSet(), people=0))
        if not known.frames.isdisjoint(frames):
            raise ValueError("stored already")
        for sighting, vector in zip(records.detections, records.embeddings.vectors, strict=True):
            self._rows[sighting.id] = sighting, np.array(vector, np.float32)
        self._sources[key] = replace(known, info=source.info).grown(frames, len(records))
        self._stamps.setdefault(key, {}).update(frames)

    def remove(self, key: tuple[str, str], frames: Collection[int]) -> None:
        gone = [s.id for s in self.detections(Filter(sources=(key,))) if s.frame in frames]
        for id_ in gone:
            del self._rows[id_]
        known = self._sources[key]
        left = FrameSet(known.frames - set(frames))
        self._sources[key] = replace(known, frames=left, people=known.people - len(gone))
        for number in frames:
            del self._stamps[key][number]

    def restamp(self, key: tuple[str, str], stamps: Mapping[int, FileStamp]) -> None:
        self._stamps[key].update(stamps)

    def written(self) -> tuple[int, int]:
        raise NotImplementedError

    def stamps(self, key: tuple[str, str]) -> list[tuple[int, FileStamp]]:
        return [(n, stamp) for n, stamp in sorted(self._stamps.get(key, {}).items()) if stamp]

    def nearest(
        self, query: NDArray[np.float32], wanted: Filter, fuse: Fuse = "min"
    ) -> Iterator[Match]:
        records = self.scan(wanted)
        apart = records.embeddings.vectors[:, np.newaxis] - query
        distances = np.linalg.norm(apart, axis=2)
        fused = distances.min(axis=1) if fuse == "min" else distances.mean(axis=1)
        for rank, row in enumerate(np.argsort(fused, kind="stable"), start=1):
            yield Match(rank, float(fused[row]), records.detections[row])

    def count(self, wanted: Filter) -> int:
        return len(self.detections(wanted))

    def detections(self, wanted: Filter) -> list[StoredDetection]:
        rows = [sighting for sighting, _ in self._rows.values() if _is_wanted(sighting, wanted)]
        return sorted(rows, key=_footage_order)

    def scan(self, wanted: Filter) -> Records:
        sightings = tuple(self.detections(wanted))
        vectors = np.empty((len(sightings), self.provenance.dimension), np.float32)
        for row, sighting in enumerate(sightings):
            vectors[row] = self._rows[sighting.id][1]
        return Records(sightings, Embeddings(vectors, self.provenance.fingerprint))

    def __len__(self) -> int:
        return len(self._rows)


def _is_wanted(sighting: StoredDetection, wanted: Filter) -> bool:
    key = sighting.camera, sighting.source
    return (
        (wanted.sources is None or key in wanted.sources)
        and (wanted.frame is None or sighting.frame == wanted.frame)
        and (wanted.after_frame is None or sighting.frame > wanted.after_frame)
        and (wanted.before_frame is None or sighting.frame < wanted.before_frame)
        and (wanted.before_s is None or sighting.time_s < wanted.before_s)
        and (wanted.min_score is None or sighting.score >= wanted.min_score)
        and (wanted.after_s is None or sighting.time_s > wanted.after_s)
    )


def _footage_order(sighting: StoredDetection) -> tuple[str, str, int, int]:
    person = int(sighting.id.rpartition(":")[2])
    return sighting.camera, sighting.source, sighting.frame, person
