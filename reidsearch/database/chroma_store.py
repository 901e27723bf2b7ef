"""A store in one collection of a persistent Chroma database.

Each row's metadata holds camera, source, frame, time_s, x1, y1, x2, y2, score, path and crop_hash;
the collection's metadata holds schema and provenance. Rows count once the journal has their frames.
"""

from __future__ import annotations

import sqlite3
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import replace
from itertools import count
from typing import TYPE_CHECKING, Any, cast

import chromadb
import numpy as np
from chromadb.api.shared_system_client import SharedSystemClient as Systems
from chromadb.config import Settings
from chromadb.errors import ChromaError, NotFoundError

from reidsearch.core.errors import ModelMismatchError, StoreError
from reidsearch.core.exact_search import fuse_distances
from reidsearch.core.files import atomic_write
from reidsearch.core.frame_set import FrameSet
from reidsearch.core.types import Match
from reidsearch.database.checking import check, in_parts
from reidsearch.database.chroma_rows import (
    as_half,
    footage_order,
    header,
    read_frames,
    read_provenance,
    read_records,
    to_metadata,
    to_sighting,
    to_where,
)
from reidsearch.database.index_file import FOLDER
from reidsearch.database.index_keeper import IndexKeeper
from reidsearch.database.journal import (
    Journal,
    create_journal,
    open_journal,
)
from reidsearch.database.layout import (
    AUDIT_FILE,
    AUDIT_HEAD_FILE,
    AUDIT_LOCK_FILE,
    COLLECTION,
    JOURNAL_FILE,
    LOCK_FILE,
    OWNER_FILE,
    REPAIR_HINT,
    explain,
    has_database,
    require_database,
    require_schema,
)
from reidsearch.database.lock import WAIT_S, reading, writing
from reidsearch.database.swap import settle, settle_held

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence, Set
    from pathlib import Path

    from chromadb.api.client import Client
    from chromadb.api.collection_configuration import CreateCollectionConfiguration
    from numpy.typing import NDArray

    from reidsearch.core.provenance import Provenance, SourceRecord
    from reidsearch.core.store import SnapshotId
    from reidsearch.core.types import FileStamp, Filter, Fuse, Records, StoredDetection
    from reidsearch.database.checking import Checked
    from reidsearch.models.backends import Precision

_FIRST_ASKED = 100
_FRAMES_TO_DELETE = 100
# Fixed at creation. The exact index answers, so building the graph need only be cheap: with twice
# the neighbours and efforts, 20,000 people took 1.8 times as long, with half of them as long.
_INDEX: CreateCollectionConfiguration = {
    "hnsw": {"space": "l2", "ef_construction": 100, "max_neighbors": 16, "ef_search": 256}
}


class ChromaStore:
    """See `WritableStore`; made by `open_chroma` only."""

    is_exact = False

    def __init__(
        self,
        client: Client,
        collection: chromadb.Collection,
        journal: Journal,
        index_folder: Path | None,
    ) -> None:
        self._collection = collection
        self._client = client
        self.provenance = read_provenance(collection.metadata)
        self._journal = journal
        journal.precision = self.provenance.precision
        self._sources = journal.sources()
        self._keeper: IndexKeeper | None = None
        if index_folder is not None:
            self._keeper = IndexKeeper(index_folder, str(collection.id), self.provenance)

    @property
    def state(self) -> SnapshotId:
        """See `Store.state`."""
        return self._journal.state

    @property
    def index_problem(self) -> str:
        """Why the exact index is not kept, or nothing."""
        return self._keeper.problem if self._keeper else ""

    def recover(self, on_step: Callable[[int, int], None]) -> None:
        """Finish what a killed writer left, and bring the exact index into step."""
        for key, frames in self._journal.pending().items():
            for some in in_parts(frames, _FRAMES_TO_DELETE):
                own: list[Any] = [{"camera": key[0]}, {"source": key[1]}, {"frame": {"$in": some}}]
                self._collection.delete(where={"$and": own})
            self._journal.swept(key, frames)
        if self._keeper:
            self._keeper.catch_up(self, self._journal.state.generation, on_step)

    def sources(self) -> tuple[SourceRecord, ...]:
        """See `Store.sources`."""
        return tuple(self._sources[key] for key in sorted(self._sources))

    def stamps(self, key: tuple[str, str]) -> Iterator[tuple[int, FileStamp]]:
        """See `WritableStore.stamps`."""
        return self._journal.stamps(key)

    def restamp(self, key: tuple[str, str], stamps: Mapping[int, FileStamp]) -> None:
        """See `WritableStore.restamp`."""
        self._journal.restamp(key, stamps)

    def computes_in(self, precision: Precision) -> None:
        """Note that networks of this process compute in another precision than the database's."""
        self._journal.precision = precision

    def written(self) -> tuple[int, int]:
        """See `WritableStore.written`."""
        return self._journal.written()

    def add(
        self, records: Records, source: SourceRecord, frames: Mapping[int, FileStamp | None]
    ) -> None:
        """See `WritableStore.add`."""
        if records.embeddings.fingerprint != self.provenance.fingerprint:
            raise ModelMismatchError(
                gallery=self.provenance.embedder, query="these vectors", hint="use another --db"
            )
        key = source.info.key
        known = self._sources.setdefault(key, replace(source, frames=FrameSet(), people=0))
        if not known.frames.isdisjoint(frames):
            raise ValueError(f"some of these frames of {source.info} are stored already")
        self._journal.begin(source, frames)
        vectors = as_half(records.embeddings.vectors)
        most = self._client.get_max_batch_size()
        for start in range(0, len(records), most):
            rows = slice(start, start + most)
            self._collection.upsert(
                ids=[sighting.id for sighting in records.detections[rows]],
                embeddings=vectors[rows],
                metadatas=[to_metadata(sighting) for sighting in records.detections[rows]],
            )
        generation = self._journal.confirm(key, frames, records)
        self._sources[key] = replace(known, info=source.info).grown(frames, len(records))
        if self._keeper:
            self._keeper.add(records, self._sources[key], generation)

    @property
    def rows(self) -> int:
        """How many rows the collection has, also those that do not count."""
        return self._collection.count()

    def take_history(self, folder: Path) -> None:
        """Say of our frames and their makers what the database in another folder says."""
        self._journal.take_history(folder)

    def remove(self, key: tuple[str, str], frames: Collection[int]) -> None:
        """See `WritableStore.remove`."""
        self._journal.withdraw(key, frames)
        self._sources = self._journal.sources()
        self.recover(lambda _done, _total: None)

    def read(self, key: tuple[str, str], frames: Sequence[int]) -> Records:
        """See `checking.Readable`."""
        return read_frames(self._collection, key, frames, self.provenance)

    def check(self, record: SourceRecord, frames: Set[int]) -> Iterator[Checked]:
        """See `checking.check`."""
        return check(self._journal, [self], record, frames)

    def nearest(
        self, query: NDArray[np.float32], wanted: Filter, fuse: Fuse = "min"
    ) -> Iterator[Match]:
        """See `Store.nearest`; Chroma's graph can miss rows.

        It is asked for more and more rows. What it finds late though it is nearer than what was
        given stays missed, so that distances rise.
        """
        rank, last = count(1), (-1.0, ("", "", 0, 0))
        asked, is_all = _FIRST_ASKED, self.rows == 0
        while not is_all:
            people, is_all = self._ask(as_half(query), wanted, asked, fuse)
            for distance, sighting in people:
                if (place := (distance, footage_order(sighting))) > last:
                    last = place
                    yield Match(next(rank), distance, sighting)
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
        people: dict[str, tuple[float, StoredDetection]] = {}
        lists = zip(found["ids"], found["metadatas"] or [], found["embeddings"] or [], strict=True)
        for ids, rows, vectors in lists:
            if not ids:
                continue
            # Chroma gives the squares of distances, in float32; these are theirs in float64.
            apart = np.asarray(vectors, np.float64)[:, np.newaxis] - query
            fused = fuse_distances(np.sqrt(np.square(apart).sum(axis=2)).T, fuse)
            for id_, row, distance in zip(ids, rows, fused.tolist(), strict=True):
                if self._counts(row):
                    people[id_] = distance, to_sighting(id_, row)
        is_all = most == self.rows or max(map(len, found["ids"])) < most
        return sorted(people.values(), key=lambda pair: (pair[0], footage_order(pair[1]))), is_all

    def count(self, wanted: Filter) -> int:
        """See `Store.count`."""
        return len(self.detections(wanted))

    def detections(self, wanted: Filter) -> list[StoredDetection]:
        """See `Store.detections`."""
        found = self._collection.get(where=to_where(wanted), include=["metadatas"])
        rows = zip(found["ids"], found["metadatas"] or [], strict=True)
        return sorted(
            (to_sighting(id_, row) for id_, row in rows if self._counts(row)), key=footage_order
        )

    def scan(self, wanted: Filter) -> Records:
        """See `Store.scan`."""
        return read_records(self._collection, wanted, self.provenance, self._counts)

    def __len__(self) -> int:
        return sum(record.people for record in self._sources.values())

    def _counts(self, row: Mapping[str, Any]) -> bool:
        """Whether a row's frame is confirmed: others are of a writer that was killed."""
        record = self._sources.get((row.get("camera", ""), row.get("source", "")))
        return record is not None and row.get("frame") in record.frames


@contextmanager
def open_chroma(
    folder: Path,
    create: Provenance | None = None,
    *,
    mend: bool = False,
    wait_s: float = WAIT_S,
    on_step: Callable[[int, int], None] = lambda _done, _total: None,
    on_note: Callable[[str], None] = lambda _note: None,
) -> Iterator[ChromaStore]:
    """Open the database in `folder` and hold it until the context ends.

    Any number of processes may read a database, or one may write it: Chroma itself does not keep
    a second process from hanging or from reading stale vectors.

    Args:
        folder: the Chroma folder.
        create: given to write; a database that does not exist yet, or has nothing in it, is
            made with these models.
        mend: bring the exact index into step, as happens when writing too.
        wait_s: how long to wait for other processes, to write; see `lock.writing`.
        on_step: called with rows done and to do when the index takes a while.
        on_note: called with a sentence when the last writer died at its work.

    Raises:
        StoreError: the folder holds no database of ours (and may not get one), or is read-only.
        DatabaseBusyError: another process writes, or reads while this one wants to write.
        SchemaError: another version of reidsearch made it.
    """
    writes = create is not None or mend
    if create is None:
        settle(folder)
        require_database(folder)
    else:
        prepare(folder)
    with ExitStack() as held:
        try:
            held.enter_context(writing(folder, wait_s, on_note) if writes else reading(folder))
            if writes:
                settle_held(folder)
        except OSError as error:
            raise explain(error, folder) from error
        store = open_held(folder, create, writes=writes, on_step=on_step)
        yield held.enter_context(store)


@contextmanager
def open_held(
    folder: Path,
    create: Provenance | None = None,
    *,
    writes: bool = True,
    on_step: Callable[[int, int], None] = lambda _done, _total: None,
) -> Iterator[ChromaStore]:
    """Open a database whose lock this process holds already; see `open_chroma`."""
    with ExitStack() as held:
        try:
            client = held.enter_context(_open_client(folder))
            collection = _open_collection(client, folder, create)
            journal = held.enter_context(_open_journal(collection, folder))
            if journal.state.collection != str(collection.id):
                raise StoreError(f"the journal in {folder} is another database's", hint=REPAIR_HINT)
            if create is not None and not journal.sources():
                # Nothing was stored since it was made, perhaps because its models did not load.
                collection.modify(metadata=header(create))
            store = ChromaStore(client, collection, journal, folder / FOLDER if writes else None)
            if writes:
                store.recover(on_step)
        except (sqlite3.Error, OSError) as error:
            raise explain(error, folder) from error
        yield store


def prepare(folder: Path) -> None:
    """Make the folder of a new database, which must be empty."""
    if has_database(folder):
        return
    ours = {LOCK_FILE, OWNER_FILE, AUDIT_FILE, AUDIT_HEAD_FILE, AUDIT_LOCK_FILE, "README.md"}
    foreign = [p for p in folder.glob("*") if p.name not in ours and not p.name.startswith(".")]
    if foreign:
        raise StoreError(
            f"{folder} is not a Chroma database: it holds {foreign[0].name}",
            hint="give --db an empty or new folder",
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise explain(error, folder) from error


@contextmanager
def _open_client(folder: Path) -> Iterator[Client]:
    folder_id = str(folder.resolve())  # Chroma opens a folder once in a process, by its name
    kept, users = Systems._identifier_to_system, Systems._identifier_to_refcount  # noqa: SLF001
    is_open = folder_id in kept
    try:
        # Said here, or an environment variable or a .env file could send us to a server.
        settings = Settings(
            _env_file=None,  # type: ignore[call-arg]  # pydantic-settings takes it
            chroma_api_impl="chromadb.api.rust.RustBindingsAPI",
            anonymized_telemetry=False,
        )
        opened = cast("Client", chromadb.PersistentClient(folder_id, settings))
    except BaseException as error:  # its panics are no Exception
        # Chroma keeps a system that did not start, and would hand it out at the next opening.
        if not is_open:
            kept.pop(folder_id, None)
            users.pop(folder_id, None)
        if isinstance(error, ChromaError | ValueError):
            raise explain(error, folder) from error
        raise
    with opened as client:
        try:
            yield client
        except ChromaError as error:
            raise explain(error, folder) from error


def _open_collection(
    client: Client, folder: Path, create: Provenance | None
) -> chromadb.Collection:
    try:
        collection = client.get_collection(COLLECTION, embedding_function=None)
    except NotFoundError:
        if (folder / JOURNAL_FILE).is_file():
            raise StoreError(f"Chroma has lost the people of {folder}", hint=REPAIR_HINT) from None
        if create is None or client.list_collections():
            raise StoreError(
                f"the Chroma database in {folder} is not one of reidsearch's",
                hint=f"it has no collection named {COLLECTION}",
            ) from None
        return client.create_collection(
            COLLECTION,
            embedding_function=None,
            metadata=header(create),
            configuration=_INDEX,
        )
    schema = (collection.metadata or {}).get("schema")
    if not isinstance(schema, int):
        raise StoreError(
            f"the collection {COLLECTION} in {folder} is not one of reidsearch's",
            hint="it records no schema",
        )
    require_schema(schema, folder)
    return collection


def _open_journal(collection: chromadb.Collection, folder: Path) -> AbstractContextManager[Journal]:
    if not (folder / JOURNAL_FILE).exists() and not collection.count():  # it was just made
        with atomic_write(folder / JOURNAL_FILE) as partial:
            create_journal(partial, str(collection.id))
    return open_journal(folder)
