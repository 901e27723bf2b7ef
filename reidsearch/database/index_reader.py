"""Rows and frames as the exact index has them."""

from __future__ import annotations

from functools import cached_property
from itertools import count, pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from reidsearch.core.exact_search import CHUNK_ROWS, nearest_rows
from reidsearch.core.ids import CropId, SourceKey
from reidsearch.core.store import LAST
from reidsearch.core.types import Embeddings, Filter, Match, Records, StoredDetection, StoredFrame

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from reidsearch.core.exact_search import Part
    from reidsearch.core.provenance import Provenance, SourceRecord
    from reidsearch.core.types import Fuse
    from reidsearch.database.index_files import IndexFiles

    Rows = NDArray[np.intp]

_LONG_RUN = 1 << 9  # rows; what is shorter is looked at together with what comes next


class IndexReader:
    """See `Store` for what has the same name.

    All methods raise DamagedIndexError where they come upon what is not as it was written.

    Args:
        files: of the index, which are an attribute too.
        sources: by their numbers in it.
        provenance: the database's.
    """

    def __init__(
        self, files: IndexFiles, sources: Mapping[int, SourceRecord], provenance: Provenance
    ) -> None:
        self.provenance = provenance
        self.files = files
        self._sources = sources
        self._columns: dict[str, NDArray[Any]] = {}
        nothing = np.empty(0, np.intp)
        self._last_runs: tuple[Filter | None, tuple[Rows, Rows]] = None, (nothing, nothing)
        self._numbers = {source.info.key: number for number, source in sources.items()}

    def nearest(
        self, query: NDArray[np.float32], wanted: Filter, fuse: Fuse = "min"
    ) -> Iterator[Match]:
        """See `Store.nearest`; exact, see `nearest_rows`."""
        vectors = self.files.vectors.array  # of parts that were checked
        blocks = nearest_rows(
            vectors, query.astype(np.float16), self._parts(wanted), fuse, self._footage_order
        )
        rank = count(1)
        for rows, distances in blocks:
            for distance, detection in zip(distances.tolist(), self._detections(rows), strict=True):
                yield Match(next(rank), distance, detection)

    def count(self, wanted: Filter) -> int:
        """See `Store.count`."""
        starts, lengths = self._runs(wanted)
        if wanted.min_score is None:
            return int(lengths.sum())
        parts = (self._scores[part] >= wanted.min_score for part in _cut(starts, lengths))
        return sum(int(np.count_nonzero(is_wanted)) for is_wanted in parts)

    def detections(self, wanted: Filter) -> list[StoredDetection]:
        """See `Store.detections`."""
        return self._detections(self._rows(wanted))

    def scan(self, wanted: Filter) -> Records:
        """See `Store.scan`."""
        return self._records(self._rows(wanted))

    def sources(self) -> tuple[SourceRecord, ...]:
        """All that the index has rows of."""
        return tuple(self._sources.values())

    def frames(self, key: SourceKey, first: int = 0, last: int = LAST) -> NDArray[np.int64]:
        """See `Store.frames`."""
        numbers = self._column("number")[self._places(key)]
        return numbers[np.searchsorted(numbers, first) : np.searchsorted(numbers, last, "right")]

    def frame_checksums(self, key: SourceKey) -> NDArray[np.int64]:
        """See `Store.frame_checksums`."""
        places = self._places(key)
        return np.stack([self._column(name)[places] for name in ("number", "crc32")], axis=1)

    def read(self, key: SourceKey, frames: Sequence[int]) -> Records:
        """See `verify.Readable`."""
        rows = self._rows_of(self._find(key, frames))
        lengths = np.linalg.norm(self.files.vectors[rows].astype(np.float32), axis=1)
        return self._records(rows[np.isclose(lengths, 1.0, atol=1e-3)])

    def checksums(self, key: SourceKey, first: int, last: int) -> dict[int, tuple[int, int]]:
        """See `verify.Proof`."""
        table = self._table[self._find(key, self.frames(key, first, last))]
        columns = (table[name].tolist() for name in ("number", "detections", "crc32"))
        return {
            number: (detections, crc32) for number, detections, crc32 in zip(*columns, strict=True)
        }

    def entries(self, key: SourceKey, frames: Sequence[int]) -> list[StoredFrame]:
        """What is known of frames, but what their files were."""
        table = self._table[self._find(key, frames)]
        columns = (table[name].tolist() for name in ("number", "time_s", "path"))
        return [
            StoredFrame(number, time_s, self.files.paths.text(at))
            for number, time_s, at in zip(*columns, strict=True)
        ]

    @cached_property
    def _table(self) -> NDArray[np.void]:
        """All frames, also those that were dropped."""
        return self.files.frames[:]

    def _column(self, name: str) -> NDArray[Any]:
        """A column of that table, side by side in memory."""
        if name not in self._columns:
            self._columns[name] = np.ascontiguousarray(self._table[name])
        return self._columns[name]

    @cached_property
    def _scores(self) -> NDArray[np.float64]:
        """Of all rows."""
        return np.ascontiguousarray(self.files.rows[:]["score"])

    @cached_property
    def _places_of_sources(self) -> Rows:
        """Places of sources by camera and name; -1 for numbers that none has."""
        places = np.full(max(self._sources, default=0) + 1, -1, np.intp)
        places[[self._numbers[key] for key in sorted(self._numbers)]] = np.arange(
            len(self._numbers)
        )
        return places

    def _places(self, key: SourceKey) -> Rows:
        """Where in the table the frames of a source are, by number."""
        places = np.flatnonzero(self._chosen(Filter((key,))))
        numbers = self._column("number")[places]
        return places if (np.diff(numbers) > 0).all() else places[np.argsort(numbers)]

    def _find(self, key: SourceKey, frames: Sequence[int] | NDArray[np.int64]) -> Rows:
        """Where in the table those frames of a source are that it has, by number."""
        places = self._places(key)
        return places[np.isin(self._column("number")[places], frames)]

    def _chosen(self, wanted: Filter) -> NDArray[np.bool_]:
        """Which frames of the table are wanted."""
        column = self._column
        chosen = np.ones(len(self._table), np.bool_)
        chosen[[*self.files.manifest.dropped]] = False
        if wanted.sources is not None:
            numbers = [self._numbers[key] for key in wanted.sources if key in self._numbers]
            chosen &= np.isin(column("source"), numbers)
        if wanted.frame is not None:
            chosen &= column("number") == wanted.frame
        if wanted.after_frame is not None:
            chosen &= column("number") > wanted.after_frame
        if wanted.before_frame is not None:
            chosen &= column("number") < wanted.before_frame
        if wanted.after_s is not None:
            chosen &= column("time_s") > wanted.after_s
        if wanted.before_s is not None:
            chosen &= column("time_s") < wanted.before_s
        return chosen

    def _runs(self, wanted: Filter) -> tuple[Rows, Rows]:
        """Rows of frames that are wanted, as runs: where each starts, and how long it is."""
        known, runs = self._last_runs
        if known != wanted:  # what is ranked was counted just before
            edges = np.flatnonzero(np.diff(self._chosen(wanted), prepend=False, append=False))
            firsts, lasts = edges[::2], edges[1::2] - 1
            starts = self._column("row")[firsts]
            lengths = self._column("row")[lasts] + self._column("detections")[lasts] - starts
            runs = starts[lengths > 0], lengths[lengths > 0]
            self._last_runs = wanted, runs
        return runs

    def _parts(self, wanted: Filter) -> Iterator[Part]:
        """Rows that are wanted, whose vectors are as they were written, for `nearest_rows`."""
        for part in _cut(*self._runs(wanted)):
            self.files.vectors.check(part)
            if wanted.min_score is None:
                yield part
            else:
                rows = np.arange(part.start, part.stop) if isinstance(part, slice) else part
                yield rows[self._scores[part] >= wanted.min_score]

    def _rows(self, wanted: Filter) -> Rows:
        """Rows that are wanted, in the order of footage."""
        places = np.flatnonzero(self._chosen(wanted))
        numbers, sources = self._column("number")[places], self._column("source")[places]
        rows = self._rows_of(places[np.lexsort((numbers, self._places_of_sources[sources]))])
        if wanted.min_score is None:
            return rows
        return rows[self._scores[rows] >= wanted.min_score]

    def _rows_of(self, places: Rows) -> Rows:
        """Rows of frames in some places of the table, in their order."""
        return _expand(self._column("row")[places], self._column("detections")[places])

    def _records(self, rows: Rows) -> Records:
        vectors = self.files.vectors[rows].astype(np.float32)
        return Records(
            tuple(self._detections(rows)), Embeddings(vectors, self.provenance.fingerprint)
        )

    def _footage_order(self, rows: Rows) -> tuple[Rows, ...]:
        """Keys to sort rows by: person, frame, and before these the source."""
        frames = self._table[self._frames_of(rows)]
        person = self.files.rows[rows]["person"]
        return person, frames["number"], self._places_of_sources[frames["source"]]

    def _frames_of(self, rows: Rows) -> Rows:
        """Where in the table the frames of rows are."""
        return np.searchsorted(self._column("row"), rows, "right") - 1

    def _detections(self, rows: Rows) -> list[StoredDetection]:
        """The detections of rows, in the order of these."""
        frames = self._table[self._frames_of(rows)]
        paths = {at: self.files.paths.text(at) for at in {*frames["path"].tolist()}}
        known = zip(
            *(frames[name].tolist() for name in ("source", "number", "time_s", "path")),
            self.files.rows[rows].tolist(),
            strict=True,
        )
        found = []
        for source, number, time_s, at, (box, score, crop_hash, person) in known:
            key = self._sources[source].info.key
            found.append(
                StoredDetection(
                    id=str(CropId(*key, number, person)),
                    camera=key.camera,
                    source=key.source,
                    frame=number,
                    time_s=time_s,
                    box_xyxy=tuple(box),
                    score=score,
                    path=paths[at],
                    crop_hash=crop_hash.decode(errors="replace"),
                )
            )
        return found


def _cut(starts: Rows, lengths: Rows) -> Iterator[Part]:
    """Cut runs of rows into parts that are not too small and not too large."""
    ends = [-1, *np.flatnonzero(lengths >= _LONG_RUN).tolist(), len(lengths)]
    for before, here in pairwise(ends):
        rows = _expand(starts[before + 1 : here], lengths[before + 1 : here])
        for start in range(0, len(rows), CHUNK_ROWS):
            yield rows[start : start + CHUNK_ROWS]
        if here < len(lengths):
            stop = int(starts[here] + lengths[here])
            for start in range(int(starts[here]), stop, CHUNK_ROWS):
                yield slice(start, min(start + CHUNK_ROWS, stop))


def _expand(starts: Rows, lengths: NDArray[np.integer]) -> Rows:
    """All rows of runs, one after another."""
    ends = np.cumsum(lengths, dtype=np.intp)
    shifts = np.repeat(starts - (ends - lengths), lengths)
    return np.arange(len(shifts), dtype=np.intp) + shifts
