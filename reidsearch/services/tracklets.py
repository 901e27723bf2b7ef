"""The tracklets of a database: kept in files beside its index, and made again where stale."""

from __future__ import annotations

import zlib
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from reidsearch.core.types import Filter
from reidsearch.database.tracklet_files import PART, read_tracklets, write_tracklets
from reidsearch.people.linking import step_of
from reidsearch.people.tracklets import LINKED, SourceTracklets, link_records, mean_look
from reidsearch.search.query import query_crop

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from reidsearch.core.calibration import Calibration
    from reidsearch.core.ids import SourceKey
    from reidsearch.core.store import Store
    from reidsearch.core.types import Passage, StoredDetection

_FORMAT = 2  # grows when other tracklets are made of the same rows
_PART_S = 300.0


class StoredTracklets:
    """See `Tracklets`; each source's are read when they are first needed.

    Tracklets end with every five minutes of footage. So of footage that grows only the last part
    is linked again.

    Args:
        folder: of the database.
        store: one state of it.
        calibration: of its embedder.
    """

    def __init__(self, folder: Path, store: Store, calibration: Calibration | None) -> None:
        self._folder = folder
        self._store = store
        self._calibration = calibration
        self._sources: dict[SourceKey, SourceTracklets] = {}

    def of(self, key: SourceKey) -> SourceTracklets:
        """Of a source."""
        if key not in self._sources:
            self._sources[key] = SourceTracklets(self._link(key))
        return self._sources[key]

    def name(self, detection: StoredDetection) -> tuple[SourceKey, int]:
        """See `Tracklets.name`."""
        return detection.key, self.of(detection.key).number_of(detection)

    def passage(self, detection: StoredDetection, wanted: Filter) -> Passage:
        """See `Tracklets.passage`."""
        own = self.of(detection.key)
        return own.passage(own.number_of(detection), wanted)

    def mean_look(self, detection: StoredDetection) -> NDArray[np.float32]:
        """See `Tracklets.mean_look`."""
        crops = self.of(detection.key).exemplars(detection)
        found = (query_crop(self._store, str(crop)).vectors for crop in crops)
        nothing = np.empty((0, self._store.provenance.dimension), np.float32)
        return mean_look(np.concatenate([nothing, *found]))

    def _link(self, key: SourceKey) -> NDArray[np.void]:
        """Link what is new, and keep it."""
        parts, rows = read_tracklets(self._folder, key, LINKED)
        ends = np.cumsum(parts["rows"])
        known = {
            (part["part"], part["checksum"]): rows[end - part["rows"] : end]
            for part, end in zip(parts, ends, strict=True)
        }
        made, linked = [], []
        for part, checksum, times_s, (first, last) in self._parts(key):
            if (part, checksum) not in known:
                wanted = Filter(sources=(key,), after_frame=first - 1, before_frame=last + 1)
                records, step_s = self._store.scan(wanted), step_of(times_s)
                known[part, checksum] = link_records(records, self._calibration, step_s)
            linked.append(known[part, checksum])
            made.append((part, checksum, len(linked[-1])))
        table = np.array(made, PART)
        rows = np.concatenate([np.empty(0, LINKED), *linked])
        if table.tobytes() != parts.tobytes():
            keys = [record.info.key for record in self._store.sources()]
            write_tracklets(self._folder, self._store.state, key, keys, table, rows)
        return _number_through(rows, table["rows"])

    def _parts(
        self, key: SourceKey
    ) -> Iterator[tuple[int, int, NDArray[np.float64], tuple[int, int]]]:
        """Parts of a source: number, checksum of all in it, times, first and last frame."""
        frames = self._store.frame_checksums(key)
        [info] = [record.info for record in self._store.sources() if record.info.key == key]
        times_s = info.times_of(frames[:, 0])
        numbers = np.floor(times_s / _PART_S).astype(np.int64)
        seed = zlib.crc32(f"{_FORMAT} {self._calibration} {info.fps} {info.start_s}".encode())
        firsts = np.flatnonzero(np.diff(numbers, prepend=numbers[:1] - 1))
        for first, stop in pairwise([*firsts.tolist(), len(frames)]):
            own = np.ascontiguousarray(frames[first:stop])
            checksum = zlib.crc32(own.tobytes(), seed)
            ends = int(own[0, 0]), int(own[-1, 0])
            yield int(numbers[first]), checksum, times_s[first:stop], ends


def _number_through(rows: NDArray[np.void], sizes: NDArray[np.int64]) -> NDArray[np.void]:
    """Give tracklets of all parts numbers of their own."""
    begun = 0
    for size, end in zip(sizes.tolist(), np.cumsum(sizes).tolist(), strict=True):
        part = rows[end - size : end]["tracklet"]
        part += begun
        begun = int(part.max(initial=begun - 1)) + 1
    return rows
