"""A store in one collection of a persistent Chroma database.

Each row's metadata holds camera, source, frame, time_s, x1, y1, x2, y2, score, path and crop_hash;
the collection's metadata holds schema and provenance. Rows count once the ledger has their frames.
"""

from __future__ import annotations

import sqlite3
from contextlib import AbstractContextManager, ExitStack, contextmanager
from itertools import count
from typing import TYPE_CHECKING, Any

import numpy as np

from reidsearch.core.errors import ModelMismatchError, StoreError
from reidsearch.core.exact_search import fuse_distances
from reidsearch.core.files import atomic_write
from reidsearch.core.ids import SourceKey
from reidsearch.core.progress import SILENT
from reidsearch.core.store import LAST
from reidsearch.core.types import Match
from reidsearch.database.checksum import checksum_rows
from reidsearch.database.chroma_client import open_client, open_collection
from reidsearch.database.chroma_rows import (
    collection_metadata,
    footage_order,
    read_frames,
    read_provenance,
    read_records,
    to_detection,
    to_metadata,
    to_where,
)
from reidsearch.database.index_files import FOLDER, DamagedIndexError
from reidsearch.database.index_writer import IndexWriter
from reidsearch.database.layout import (
    LEDGER_FILE,
    REPAIR_HINT,
    explain,
    prepare,
    require_database,
)
from reidsearch.database.ledger import Ledger, open_ledger
from reidsearch.database.ledger_schema import create_ledger
from reidsearch.database.lock import WAIT_S, reading, writing
from reidsearch.database.swap import finish_swap, finish_swap_locked
from reidsearch.database.verify import batched, require_stored, verify_rows

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    import chromadb
    from chromadb.api.client import Client
    from numpy.typing import NDArray

    from reidsearch.core.progress import Progress
    from reidsearch.core.provenance import Provenance, SourceRecord
    from reidsearch.core.store import SnapshotId
    from reidsearch.core.types import FileStamp, Filter, Fuse, Records, StoredDetection, StoredFrame
    from reidsearch.database.index_files import Manifest
    from reidsearch.database.runs import CurrentRun
    from reidsearch.database.verify import VerifiedRows

_FIRST_ASKED = 100
_FRAMES_TO_DELETE = 100


class ChromaStore:
    """See `WritableStore`; made by `open_chroma` only."""

    is_exact = False

    def __init__(
        self,
        client: Client,
        collection: chromadb.Collection,
        ledger: Ledger,
        index: IndexWriter | None,
    ) -> None:
        self.provenance = ledger.provenance
        self._collection = collection
        self._client = client
        self._ledger = ledger
        ledger.run.precision = self.provenance.precision
        self._index = index

    @property
    def state(self) -> SnapshotId:
        """See `Store.state`."""
        return self._ledger.state

    @property
    def index_problem(self) -> str:
        """Why the exact index is not kept, or nothing."""
        return self._index.problem if self._index else ""

    def recover(self, progress: Progress = SILENT, *, rebuild_index: bool = False) -> None:
        """Finish what a killed writer left, and make the exact index where there is none."""
        for key, frames in self._ledger.pending().items():
            for batch in batched(frames, _FRAMES_TO_DELETE):
                own: list[Any] = [{"camera": key[0]}, {"source": key[1]}, {"frame": {"$in": batch}}]
                self._collection.delete(where={"$and": own})
            self._ledger.purge(key, frames)
        if self._index is None:
            return
        if rebuild_index or self._index.manifest is None:
            self._rebuild(self._index, progress)
        self._index.describe(self._ledger.numbered_sources(), self._index.manifest)

    def _rebuild(self, index: IndexWriter, progress: Progress) -> None:
        """Rebuild the exact index from all rows that are as stored."""
        manifest = index.new_manifest()
        sources = self._ledger.numbered_sources()
        progress.phase("indexing", sum(source.detections for source in sources.values()))
        for number, source in sources.items():
            key = source.info.key
            for verified in self.verify(key):
                require_stored(key, verified.wrong)
                frames = self._ledger.entries(key, verified.frames)
                sums = self._ledger.checksums(key, frames[0].number, frames[-1].number)
                manifest = index.append(manifest, number, frames, verified.rows, sums)
                progress.advance(len(verified.rows))
        self._ledger.set_index(manifest)
        index.adopt(manifest)

    def sources(self) -> tuple[SourceRecord, ...]:
        """See `Store.sources`."""
        sources = self._ledger.sources()
        return tuple(sources[key] for key in sorted(sources))

    def frames(self, key: SourceKey, first: int = 0, last: int = LAST) -> NDArray[np.int64]:
        """See `Store.frames`."""
        return self._ledger.frames(key, first, last)

    def frame_checksums(self, key: SourceKey) -> NDArray[np.int64]:
        """See `Store.frame_checksums`."""
        return self._ledger.frame_checksums(key)

    def stamps(
        self, key: SourceKey, first: int = 0, last: int = LAST
    ) -> Iterator[tuple[int, FileStamp]]:
        """See `WritableStore.stamps`."""
        return self._ledger.stamps(key, first, last)

    def restamp(self, key: SourceKey, stamps: Mapping[int, FileStamp]) -> None:
        """See `WritableStore.restamp`."""
        self._ledger.restamp(key, stamps)

    @property
    def run(self) -> CurrentRun:
        """Of this process."""
        return self._ledger.run

    def begin_run(self, keys: Iterable[SourceKey]) -> None:
        """See `Ledger.begin_run`."""
        self._ledger.begin_run(keys)

    def add(self, records: Records, source: SourceRecord, frames: Sequence[StoredFrame]) -> None:
        """See `WritableStore.add`."""
        if records.embeddings.fingerprint != self.provenance.fingerprint:
            raise ModelMismatchError(
                gallery=self.provenance.embedder, query="these vectors", hint="use another --db"
            )
        key, frames = source.info.key, sorted(frames, key=lambda frame: frame.number)
        _require_of_frames(records, frames)
        self._ledger.require_new(key, frames)
        if self._ledger.announce(source, [frame.number for frame in frames]) and self._index:
            self._index.describe(self._ledger.numbered_sources(), self._index.manifest)
        upsert(self._client, self._collection, records)
        sums = checksum_rows(key, [frame.number for frame in frames], records)
        before, after = self._manifest, None
        if self._index:
            number = self._ledger.source_id(key)
            after = self._index.append(before, number, frames, records, sums)
        self._ledger.commit(key, frames, sums, (before, after))
        self._adopt(after)

    @property
    def rows(self) -> int:
        """How many rows the collection has, also those that do not count."""
        return self._collection.count()

    def remove(self, key: SourceKey, frames: Collection[int]) -> None:
        """See `WritableStore.remove`."""
        before, after = self._manifest, None
        if self._index:
            after = self._index.drop(self._ledger.source_id(key), frames)
        self._ledger.mark_deleted(key, frames, (before, after))
        self._adopt(after)
        self.recover()

    @property
    def _manifest(self) -> Manifest | None:
        return self._index.manifest if self._index else None

    def _adopt(self, manifest: Manifest | None) -> None:
        if self._index:
            self._index.adopt(manifest)

    def read(self, key: SourceKey, frames: Sequence[int]) -> Records:
        """See `verify.Readable`."""
        return read_frames(self._collection, key, frames, self.provenance)

    def verify(self, key: SourceKey) -> Iterator[VerifiedRows]:
        """Read all frames of a source; see `verify_rows`."""
        return verify_rows(self._ledger, [self], key, self.frames(key).tolist())

    def nearest(
        self, query: NDArray[np.float32], wanted: Filter, fuse: Fuse = "min"
    ) -> Iterator[Match]:
        """See `Store.nearest`; Chroma's graph can miss rows.

        It is asked for more and more rows. What it finds late though it is nearer than what was
        given stays missed, so that distances rise.
        """
        rank, last = count(1), (-1.0, ("", "", 0, 0))
        asked, is_all = _FIRST_ASKED, self.rows == 0
        stored = query.astype(np.float16).astype(np.float32)
        while not is_all:
            detections, is_all = self._ask(stored, wanted, asked, fuse)
            for distance, detection in detections:
                if (place := (distance, footage_order(detection))) > last:
                    last = place
                    yield Match(next(rank), distance, detection)
            asked *= 4

    def _ask(
        self, query: NDArray[np.float32], wanted: Filter, most: int, fuse: Fuse
    ) -> tuple[list[tuple[float, StoredDetection]], bool]:
        """Distances to what Chroma finds nearest to each picture, and whether that is all."""
        most = min(most, self.rows)
        found = self._collection.query(
            query_embeddings=query,
            n_results=most,
            where=to_where(wanted),
            include=["metadatas", "embeddings"],
        )
        detections: dict[str, tuple[float, StoredDetection]] = {}
        lists = zip(found["ids"], found["metadatas"] or [], found["embeddings"] or [], strict=True)
        for ids, rows, vectors in lists:
            if not ids:
                continue
            # Chroma gives the squares of distances, in float32; these are theirs in float64.
            apart = np.asarray(vectors, np.float64)[:, np.newaxis] - query
            fused = fuse_distances(np.sqrt(np.square(apart).sum(axis=2)).T, fuse)
            for id_, row, distance in zip(ids, rows, fused.tolist(), strict=True):
                if self._counts(row):
                    detections[id_] = distance, to_detection(id_, row)
        is_all = most == self.rows or max(map(len, found["ids"])) < most
        return sorted(
            detections.values(), key=lambda pair: (pair[0], footage_order(pair[1]))
        ), is_all

    def count(self, wanted: Filter) -> int:
        """See `Store.count`."""
        return len(self.detections(wanted))

    def detections(self, wanted: Filter) -> list[StoredDetection]:
        """See `Store.detections`."""
        found = self._collection.get(where=to_where(wanted), include=["metadatas"])
        rows = zip(found["ids"], found["metadatas"] or [], strict=True)
        return sorted(
            (to_detection(id_, row) for id_, row in rows if self._counts(row)), key=footage_order
        )

    def scan(self, wanted: Filter) -> Records:
        """See `Store.scan`."""
        return read_records(self._collection, wanted, self.provenance, self._counts)

    def __len__(self) -> int:
        return sum(source.detections for source in self._ledger.sources().values())

    def _counts(self, row: Mapping[str, Any]) -> bool:
        """Whether a row's frame is confirmed: others are of a writer that was killed."""
        key, frame = SourceKey(row.get("camera", ""), row.get("source", "")), row.get("frame")
        return isinstance(frame, int) and self._ledger.has_frame(key, frame)


def upsert(client: Client, collection: chromadb.Collection, records: Records) -> None:
    """Write rows, as many at a time as Chroma takes."""
    vectors = records.embeddings.as_stored().vectors
    most = client.get_max_batch_size()
    for start in range(0, len(records), most):
        rows = slice(start, start + most)
        collection.upsert(
            ids=[detection.id for detection in records.detections[rows]],
            embeddings=vectors[rows],
            metadatas=[to_metadata(detection) for detection in records.detections[rows]],
        )


def _require_of_frames(records: Records, frames: Sequence[StoredFrame]) -> None:
    """Raise ValueError unless rows are of these frames, and have their times and paths."""
    places = {frame.number: (frame.time_s, frame.path) for frame in frames}
    for detection in records.detections:
        if places.get(detection.frame) != (detection.time_s, detection.path):
            raise ValueError(f"{detection.id} is not of one of these frames, or of another time")


@contextmanager
def open_chroma(
    folder: Path,
    create: Provenance | None = None,
    *,
    rebuild_index: bool = False,
    wait_s: float = WAIT_S,
    progress: Progress = SILENT,
) -> Iterator[ChromaStore]:
    """Open the database in `folder` and hold it until the context ends.

    Any number of processes may read a database, or one may write it: Chroma itself does not keep
    a second process from hanging or from reading stale vectors.

    Args:
        folder: the Chroma folder.
        create: given to write; a database that does not exist yet, or has nothing in it, is
            made with these models.
        rebuild_index: write too, and rebuild the exact index even if there is one.
        wait_s: how long to wait for other processes, to write; see `lock.writing`.
        progress: told of an index that is made, and warned when it waits, or when the last writer
            died at its work.

    Raises:
        StoreError: the folder holds no database of ours (and may not get one), or is read-only.
        DatabaseBusyError: another process writes, or reads while this one wants to write.
        SchemaError: another version of reidsearch made it.
    """
    writes = create is not None or rebuild_index
    if create is None:
        finish_swap(folder)
        require_database(folder)
    else:
        prepare(folder)
    with ExitStack() as held:
        try:
            held.enter_context(writing(folder, wait_s, progress) if writes else reading(folder))
            if writes:
                finish_swap_locked(folder)
        except OSError as error:
            raise explain(error, folder) from error
        store = open_locked(
            folder, create, writes=writes, rebuild_index=rebuild_index, progress=progress
        )
        yield held.enter_context(store)


@contextmanager
def open_locked(
    folder: Path,
    create: Provenance | None = None,
    *,
    writes: bool = True,
    rebuild_index: bool = False,
    progress: Progress = SILENT,
) -> Iterator[ChromaStore]:
    """Open a database whose lock this process holds already; see `open_chroma`."""
    with ExitStack() as held:
        try:
            client = held.enter_context(open_client(folder))
            collection = open_collection(client, folder, create)
            ledger = held.enter_context(_open_ledger(collection, folder))
            if create is not None and not ledger.sources():
                # Nothing was stored since it was made, perhaps because its models did not load.
                ledger.set_provenance(create)
                collection.modify(metadata=collection_metadata(create))
            _require_same_database(collection, ledger, folder)
            index = _open_index(ledger, folder) if writes else None
            store = ChromaStore(client, collection, ledger, index)
            if writes:
                store.recover(progress, rebuild_index=rebuild_index)
        except (sqlite3.Error, OSError) as error:
            raise explain(error, folder) from error
        yield store


def _open_ledger(collection: chromadb.Collection, folder: Path) -> AbstractContextManager[Ledger]:
    if not (folder / LEDGER_FILE).exists() and not collection.count():  # it was just made
        with atomic_write(folder / LEDGER_FILE) as partial:
            create_ledger(partial, str(collection.id), read_provenance(collection.metadata))
    return open_ledger(folder)


def _open_index(ledger: Ledger, folder: Path) -> IndexWriter:
    try:
        manifest = ledger.manifest
    except DamagedIndexError:
        manifest = None
    return IndexWriter(folder / FOLDER, manifest, ledger.provenance)


def _require_same_database(collection: chromadb.Collection, ledger: Ledger, folder: Path) -> None:
    """Check that Chroma and the ledger are of one database."""
    if ledger.state.collection != str(collection.id):
        raise StoreError(f"the ledger in {folder} is another database's", hint=REPAIR_HINT)
    if ledger.provenance != read_provenance(collection.metadata):
        raise StoreError(
            f"Chroma and the ledger of {folder} do not name the same models", hint=REPAIR_HINT
        )
