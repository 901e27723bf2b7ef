"""A database read through its exact index; Chroma stays closed."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, TypeVar

from reidsearch.core.errors import StoreError
from reidsearch.core.store import LAST
from reidsearch.core.types import Filter
from reidsearch.database.index_files import (
    DamagedIndexError,
    IndexFiles,
    Manifest,
    MissingIndexError,
    Part,
    find_stale,
)
from reidsearch.database.index_reader import IndexReader
from reidsearch.database.index_sources import SOURCES_FILE, IndexSources, read_sources

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from reidsearch.core.ids import SourceKey
    from reidsearch.core.provenance import Provenance, SourceRecord
    from reidsearch.core.store import SnapshotId
    from reidsearch.core.types import Fuse, Match, Records, StoredDetection
    from reidsearch.database.snapshot import Snapshot

_Result = TypeVar("_Result")


def read_index(folder: Path, snapshot: Snapshot) -> IndexReader:
    """Map the index of a snapshot; what is in its files is checked when it is read.

    Raises:
        DamagedIndexError: it is missing, or there is less of it than the ledger says.
    """
    if snapshot.manifest is None:
        raise MissingIndexError("it is missing")
    files = IndexFiles(folder, snapshot.manifest, snapshot.provenance.dimension)
    frames = sum(source.frames for source in snapshot.sources.values())
    if len(files.frames) - len(snapshot.manifest.dropped) != frames:
        raise DamagedIndexError("it does not match the ledger")
    return IndexReader(files, snapshot.sources, snapshot.provenance)


def read_index_alone(folder: Path) -> IndexReader:
    """Map an index without the ledger: what its frames say proves what is in its rows.

    Raises:
        DamagedIndexError: it is missing, or its sources are not known.
    """
    known = read_sources(folder)
    try:
        sizes = {name: (folder / name).stat().st_size for name in known.files}
        parts = [Part(name, size, checksums=None) for name, size in sizes.items()]
        manifest = Manifest.of_parts(parts)
    except (OSError, ValueError) as error:
        raise DamagedIndexError(f"its files cannot be read: {error}") from error
    files = IndexFiles(folder, manifest, known.provenance.dimension)
    files.manifest = replace(manifest, dropped=find_stale(files))
    return IndexReader(files, known.sources, known.provenance)


def check_index(folder: Path, snapshot: Snapshot) -> IndexFiles:
    """Read all of an index, and compare it with the ledger.

    Raises:
        DamagedIndexError: it is not what was written.
    """
    reader = read_index(folder, snapshot)
    reader.files.check()
    if reader.count(Filter()) != sum(source.detections for source in snapshot.sources.values()):
        raise DamagedIndexError("it does not match the ledger")
    names = tuple(part.name for part in reader.files.manifest.parts)
    known = IndexSources(names, snapshot.provenance, snapshot.sources)
    if read_sources(folder).to_text() != known.to_text():
        raise DamagedIndexError(f"{SOURCES_FILE} does not match the ledger")
    return reader.files


class IndexStore:
    """See `Store`; what it shows is the database as it was when the snapshot was taken.

    Args:
        folder: of the index.
        snapshot: what the ledger says.
        on_damage: called when files turn out to be damaged while they are read: gives a snapshot
            with a rebuilt index, or raises StoreError.

    Raises:
        DamagedIndexError: see `read_index`.
    """

    is_exact = True

    def __init__(
        self,
        folder: Path,
        snapshot: Snapshot,
        on_damage: Callable[[Snapshot, DamagedIndexError], Snapshot],
    ) -> None:
        self._folder = folder
        self._snapshot = snapshot
        self._on_damage = on_damage
        self._reader = read_index(folder, snapshot)

    @property
    def provenance(self) -> Provenance:
        """See `Store.provenance`."""
        return self._snapshot.provenance

    @property
    def state(self) -> SnapshotId:
        """See `Store.state`."""
        return self._snapshot.state

    def sources(self) -> tuple[SourceRecord, ...]:
        """See `Store.sources`."""
        return tuple(sorted(self._snapshot.sources.values(), key=lambda source: source.info.key))

    def frames(self, key: SourceKey, first: int = 0, last: int = LAST) -> NDArray[np.int64]:
        """See `Store.frames`."""
        return self._ask(lambda reader: reader.frames(key, first, last))

    def frame_checksums(self, key: SourceKey) -> NDArray[np.int64]:
        """See `Store.frame_checksums`."""
        return self._ask(lambda reader: reader.frame_checksums(key))

    def nearest(
        self, query: NDArray[np.float32], wanted: Filter, fuse: Fuse = "min"
    ) -> Iterator[Match]:
        """See `Store.nearest`; it misses nobody."""
        given, state = 0, self.state
        while not given or self.state == state:
            try:
                for match in islice(self._reader.nearest(query, wanted, fuse), given, None):
                    given += 1
                    yield match
            except DamagedIndexError as damage:
                self._reopen(damage)
            else:
                return
        raise StoreError("the database changed while it was read", hint="try again")

    def count(self, wanted: Filter) -> int:
        """See `Store.count`."""
        return self._ask(lambda reader: reader.count(wanted))

    def detections(self, wanted: Filter) -> list[StoredDetection]:
        """See `Store.detections`."""
        return self._ask(lambda reader: reader.detections(wanted))

    def scan(self, wanted: Filter) -> Records:
        """See `Store.scan`."""
        return self._ask(lambda reader: reader.scan(wanted))

    def __len__(self) -> int:
        return sum(source.detections for source in self._snapshot.sources.values())

    def _ask(self, question: Callable[[IndexReader], _Result]) -> _Result:
        while True:
            try:
                return question(self._reader)
            except DamagedIndexError as damage:
                self._reopen(damage)

    def _reopen(self, damage: DamagedIndexError) -> None:
        self._snapshot = self._on_damage(self._snapshot, damage)
        self._reader = read_index(self._folder, self._snapshot)
