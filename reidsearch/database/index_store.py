"""A database read through its exact index; Chroma stays closed."""

from __future__ import annotations

import math
from itertools import count, groupby
from typing import TYPE_CHECKING

import numpy as np

from reidsearch.core.exact_search import nearest_rows
from reidsearch.core.store import SnapshotId
from reidsearch.core.types import Embeddings, Filter, Match, Records
from reidsearch.database.index_file import map_paths, map_table, map_vectors, sightings_of
from reidsearch.database.layout import SCHEMA

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from reidsearch.core.exact_search import Allowed
    from reidsearch.core.provenance import SourceRecord
    from reidsearch.core.types import Fuse, StoredDetection
    from reidsearch.database.index_file import Manifest, Segment


class IndexStore:
    """See `Store`; what it shows is the database as it was when the manifest was read.

    Args:
        folder: of the index.
        manifest: what it holds.
    """

    is_exact = True

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self.provenance = manifest.provenance
        self.state = SnapshotId(SCHEMA, manifest.collection, manifest.generation)
        self._manifest = manifest
        self._vectors = map_vectors(folder, manifest)
        self._table = map_table(folder, manifest)
        self._paths = map_paths(folder, manifest)

    def sources(self) -> tuple[SourceRecord, ...]:
        """See `Store.sources`."""
        return tuple(sorted(self._manifest.sources, key=lambda record: record.info.key))

    def nearest(
        self, query: NDArray[np.float32], wanted: Filter, fuse: Fuse = "min"
    ) -> Iterator[Match]:
        """See `Store.nearest`; exact, see `nearest_rows`."""
        blocks = nearest_rows(
            self._vectors,
            query.astype(np.float16),
            self._windows(wanted),
            fuse,
            self._scored(wanted),
            self._footage_order,
        )
        rank = count(1)
        for rows, distances in blocks:
            for distance, sighting in zip(distances.tolist(), self._in_order(rows), strict=True):
                yield Match(next(rank), distance, sighting)

    def count(self, wanted: Filter) -> int:
        """See `Store.count`."""
        scored = self._scored(wanted)
        windows = self._windows(wanted)
        if scored is None:
            return sum(window.stop - window.start for window in windows)
        return sum(int(scored(window).sum()) for window in windows)

    def detections(self, wanted: Filter) -> list[StoredDetection]:
        """See `Store.detections`."""
        return self._in_order(self._rows(wanted))

    def scan(self, wanted: Filter) -> Records:
        """See `Store.scan`."""
        return self._records(self._rows(wanted))

    def read(self, key: tuple[str, str], frames: Sequence[int]) -> Records:
        """See `checking.Readable`."""
        rows = self._rows(Filter((key,), None, frames[0] - 1, frames[-1] + 1))
        return self._records(rows[np.isin(self._table["frame"][rows], frames)])

    def __len__(self) -> int:
        return self._manifest.rows

    def _windows(self, wanted: Filter) -> list[slice]:
        """What is wanted, as slices of the table, those of each source together."""
        return [self._narrow(s, wanted) for s in self._segments(wanted)]

    def _segments(self, wanted: Filter) -> list[Segment]:
        records = self._manifest.sources
        chosen = [
            segment
            for segment in self._manifest.segments
            if wanted.sources is None or records[segment.source].info.key in wanted.sources
        ]
        return sorted(chosen, key=lambda segment: records[segment.source].info.key)

    def _scored(self, wanted: Filter) -> Allowed | None:
        if wanted.min_score is None:
            return None
        lowest = wanted.min_score
        return lambda rows: np.asarray(self._table["score"][rows] >= lowest)

    def _narrow(self, segment: Segment, wanted: Filter) -> slice:
        """The rows of a segment that are wanted: it rises by frame, and so by time."""
        table = self._table[segment.start : segment.stop]
        # The least numbers that are greater.
        after_frame = None if wanted.after_frame is None else wanted.after_frame + 1
        after_s = None if wanted.after_s is None else math.nextafter(wanted.after_s, math.inf)
        bounds = (
            ("frame", wanted.frame, None if wanted.frame is None else wanted.frame + 1),
            ("frame", after_frame, wanted.before_frame),
            ("time_s", after_s, wanted.before_s),
        )
        low, high = 0, len(table)
        for column, least, end in bounds:
            if least is not None:
                low = max(low, int(np.searchsorted(table[column], least)))
            if end is not None:
                high = min(high, int(np.searchsorted(table[column], end)))
        return slice(segment.start + low, segment.start + max(low, high))

    def _rows(self, wanted: Filter) -> NDArray[np.intp]:
        """What is wanted, in the order of footage."""
        found = [np.empty(0, np.intp)]
        scored = self._scored(wanted)
        for _, segments in groupby(self._segments(wanted), key=lambda segment: segment.source):
            windows = [self._narrow(segment, wanted) for segment in segments]
            rows = np.concatenate([np.arange(w.start, w.stop) for w in windows])
            if scored is not None:
                rows = rows[np.concatenate([scored(window) for window in windows])]
            table = self._table[rows]
            found.append(rows[np.lexsort((table["person"], table["frame"]))])
        return np.concatenate(found)

    def _records(self, rows: NDArray[np.intp]) -> Records:
        vectors = self._vectors[rows].astype(np.float32)
        embeddings = Embeddings(vectors, self.provenance.fingerprint)
        return Records(tuple(self._in_order(rows)), embeddings)

    def _footage_order(self, rows: NDArray[np.intp]) -> tuple[NDArray[np.intp], ...]:
        """Keys to sort some rows by: person, frame, and before these the source."""
        keys = [record.info.key for record in self._manifest.sources]
        place = np.empty(len(keys), np.intp)
        place[sorted(range(len(keys)), key=keys.__getitem__)] = np.arange(len(keys))
        table = self._table[rows]
        return table["person"], table["frame"], place[self._sources_of(rows)]

    def _in_order(self, rows: NDArray[np.intp]) -> list[StoredDetection]:
        """The sightings of some rows, in the order of these."""
        owner = self._sources_of(rows)
        found: dict[int, StoredDetection] = {}
        for source in np.unique(owner):
            own = rows[owner == source]
            record = self._manifest.sources[source]
            sightings = sightings_of(self._table[own], self._paths, record)
            found |= zip(own.tolist(), sightings, strict=True)
        return [found[row] for row in rows.tolist()]

    def _sources_of(self, rows: NDArray[np.intp]) -> NDArray[np.intp]:
        """Which of the manifest's sources some rows are of."""
        segments = self._manifest.segments
        stops = np.array([segment.stop for segment in segments], np.intp)
        sources = np.array([segment.source for segment in segments], np.intp)
        return sources[np.searchsorted(stops, rows, "right")] if len(rows) else rows
