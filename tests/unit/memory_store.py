"""A store in memory, with exact distances."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from reidsearch.core.errors import ModelMismatchError
from reidsearch.core.store import LAST, SnapshotId
from reidsearch.core.types import Embeddings, Filter, Match, Records, StoredDetection
from reidsearch.database.checksum import checksum_rows
from reidsearch.database.layout import SCHEMA

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from reidsearch.core.ids import SourceKey
    from reidsearch.core.provenance import Provenance, SourceRecord
    from reidsearch.core.types import FileStamp, Fuse, StoredFrame


class MemoryStore:
    """See `reidsearch.core.store.WritableStore`."""

    is_exact = True
    state = SnapshotId(SCHEMA, "memory", 0)

    def __init__(self, provenance: Provenance) -> None:
        self.provenance = provenance
        self._sources: dict[SourceKey, SourceRecord] = {}
        self._frames: dict[SourceKey, dict[int, StoredFrame]] = {}
        self._rows: dict[str, tuple[StoredDetection, NDArray[np.float32]]] = {}

    def sources(self) -> tuple[SourceRecord, ...]:
        return tuple(self._count(self._sources[key]) for key in sorted(self._sources))

    def _count(self, source: SourceRecord) -> SourceRecord:
        numbers = self._frames[source.info.key]
        people = len(self.detections(Filter(sources=(source.info.key,))))
        span = (min(numbers), max(numbers)) if numbers else None
        return replace(source, frames=len(numbers), detections=people, span=span)

    def frames(self, key: SourceKey, first: int = 0, last: int = LAST) -> NDArray[np.int64]:
        numbers = sorted(n for n in self._frames.get(key, {}) if first <= n <= last)
        return np.array(numbers, np.int64)

    def frame_checksums(self, key: SourceKey) -> NDArray[np.int64]:
        numbers = self.frames(key).tolist()
        found = checksum_rows(key, numbers, self.scan(Filter(sources=(key,))))
        return np.array([(n, found[n][1]) for n in numbers], np.int64).reshape(-1, 2)

    def add(self, records: Records, source: SourceRecord, frames: Sequence[StoredFrame]) -> None:
        if records.embeddings.fingerprint != self.provenance.fingerprint:
            raise ModelMismatchError(
                gallery=self.provenance.embedder, query="these vectors", hint="use another store"
            )
        known = self._frames.get(source.info.key, {})
        new = {frame.number: frame for frame in frames}
        if known.keys() & new.keys():
            raise ValueError("stored already")
        every = known | new
        times = [every[number].time_s for number in sorted(every)]
        if any(before >= after for before, after in pairwise(times)):
            raise ValueError("times do not rise")
        for detection in records.detections:
            frame = new.get(detection.frame)
            if frame is None or (frame.time_s, frame.path) != (detection.time_s, detection.path):
                raise ValueError("not of one of these frames")
        for detection, vector in zip(records.detections, records.embeddings.vectors, strict=True):
            self._rows[detection.id] = detection, np.array(vector, np.float32)
        self._sources[source.info.key] = source
        self._frames[source.info.key] = every

    def remove(self, key: SourceKey, frames: Collection[int]) -> None:
        for id_ in [s.id for s in self.detections(Filter(sources=(key,))) if s.frame in frames]:
            del self._rows[id_]
        for number in frames:
            del self._frames[key][number]

    def restamp(self, key: SourceKey, stamps: Mapping[int, FileStamp]) -> None:
        for number, stamp in stamps.items():
            self._frames[key][number] = replace(self._frames[key][number], stamp=stamp)

    def stamps(
        self, key: SourceKey, first: int = 0, last: int = LAST
    ) -> list[tuple[int, FileStamp]]:
        known = self._frames.get(key, {})
        stamps = ((number, known[number].stamp) for number in sorted(known))
        return [(number, stamp) for number, stamp in stamps if stamp and first <= number <= last]

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
        rows = [detection for detection, _ in self._rows.values() if _is_wanted(detection, wanted)]
        return sorted(rows, key=_footage_order)

    def scan(self, wanted: Filter) -> Records:
        detections = tuple(self.detections(wanted))
        vectors = np.empty((len(detections), self.provenance.dimension), np.float32)
        for row, detection in enumerate(detections):
            vectors[row] = self._rows[detection.id][1]
        return Records(detections, Embeddings(vectors, self.provenance.fingerprint))

    def __len__(self) -> int:
        return len(self._rows)


def _is_wanted(detection: StoredDetection, wanted: Filter) -> bool:
    key = detection.camera, detection.source
    return (
        (wanted.sources is None or key in wanted.sources)
        and (wanted.frame is None or detection.frame == wanted.frame)
        and (wanted.after_frame is None or detection.frame > wanted.after_frame)
        and (wanted.before_frame is None or detection.frame < wanted.before_frame)
        and (wanted.before_s is None or detection.time_s < wanted.before_s)
        and (wanted.min_score is None or detection.score >= wanted.min_score)
        and (wanted.after_s is None or detection.time_s > wanted.after_s)
    )


def _footage_order(detection: StoredDetection) -> tuple[str, str, int, int]:
    person = int(detection.id.rpartition(":")[2])
    return detection.camera, detection.source, detection.frame, person
