"""A store in one collection of a persistent Chroma database.

Each row's metadata holds camera, source, frame, time_s, x1, y1, x2, y2, score, path and crop_hash;
the collection's metadata holds the provenance and, under `source:camera/name`, one JSON text per
source, and a generation that grows by one with each change.
"""

from __future__ import annotations

import sqlite3
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, fields, replace
from typing import TYPE_CHECKING, Any, cast

import chromadb
import numpy as np
from chromadb.config import Settings
from chromadb.errors import ChromaError, NotFoundError

from reidsearch.errors import ModelMismatchError, SchemaError, StoreError
from reidsearch.frame_set import FrameSet
from reidsearch.provenance import Provenance, SourceRecord
from reidsearch.store.index_file import FOLDER
from reidsearch.store.index_keeper import IndexKeeper
from reidsearch.store.layout import (
    COLLECTION,
    LOCK_FILE,
    OWNER_FILE,
    SCHEMA,
    SOURCE_PREFIX,
    has_database,
    require_database,
)
from reidsearch.store.lock import WAIT_S, reading, writing
from reidsearch.types import Embeddings, Filter, Match, Records, Sighting

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from chromadb.api.client import Client
    from chromadb.api.collection_configuration import CreateCollectionConfiguration
    from numpy.typing import NDArray

    from reidsearch.types import Fuse

# Fixed at creation. The exact index answers, so building the graph need only be cheap: with twice
# the neighbours and efforts, 20,000 people took 1.8 times as long, with half of them as long.
_INDEX: CreateCollectionConfiguration = {
    "hnsw": {"space": "l2", "ef_construction": 100, "max_neighbors": 16, "ef_search": 256}
}


class ChromaStore:
    """See `WritableStore`; made by `open_chroma` only."""

    is_exact = False

    def __init__(
        self, client: Client, collection: chromadb.Collection, index_folder: Path | None
    ) -> None:
        self._collection = collection
        self._batch_rows = client.get_max_batch_size()
        metadata = dict(collection.metadata)
        self.provenance = Provenance(**{f.name: metadata[f.name] for f in fields(Provenance)})
        self._sources = {
            record.info.key: record
            for key, text in metadata.items()
            if key.startswith(SOURCE_PREFIX)
            for record in [SourceRecord.from_json(str(text))]
        }
        self._generation = int(metadata.get("generation", 0))
        self._keeper: IndexKeeper | None = None
        if index_folder is not None:
            self._keeper = IndexKeeper(index_folder, str(collection.id), self.provenance)

    @property
    def index_problem(self) -> str:
        """Why the exact index is not kept, or nothing."""
        return self._keeper.problem if self._keeper else ""

    def catch_up(self, on_step: Callable[[int, int], None]) -> None:
        """Bring the exact index into step, if this process may write it."""
        if self._keeper:
            self._keeper.catch_up(self, self._generation, on_step)

    def sources(self) -> tuple[SourceRecord, ...]:
        """See `Store.sources`."""
        return tuple(self._sources[key] for key in sorted(self._sources))

    def add(self, records: Records, source: SourceRecord) -> None:
        """See `Store.add`."""
        if records.embeddings.fingerprint != self.provenance.fingerprint:
            raise ModelMismatchError(
                gallery=self.provenance.embedder, query="these vectors", hint="use another --db"
            )
        if self._keeper:
            self._keeper.prepare(records, source)
        vectors = _as_half(records.embeddings.vectors)
        if source.info.key not in self._sources:  # no row shall be without its source
            self._record(replace(source, frames=FrameSet(), people=0))
        for start in range(0, len(records), self._batch_rows):
            rows = slice(start, start + self._batch_rows)
            self._collection.upsert(
                ids=[sighting.id for sighting in records.sightings[rows]],
                embeddings=vectors[rows],
                metadatas=[_to_metadata(sighting) for sighting in records.sightings[rows]],
            )
        self._record(source)
        if self._keeper:
            self._keeper.add(records, source, self._generation)

    def _record(self, source: SourceRecord) -> None:
        self._sources[source.info.key] = source
        self._generation += 1
        texts = {f"{SOURCE_PREFIX}{r.info}": r.to_json() for r in self._sources.values()}
        header = _header(self.provenance) | {"generation": self._generation}
        self._collection.modify(metadata=header | texts)

    def query(
        self, queries: Sequence[NDArray[np.float32]], wanted: Filter, top: int, fuse: Fuse = "min"
    ) -> list[list[Match]]:
        """See `Store.query`; of several pictures, only what is near to one of them is found."""
        if len(self) == 0:
            return [[] for _ in queries]
        return [self._query(_as_half(query), wanted, top, fuse) for query in queries]

    def _query(
        self, query: NDArray[np.float32], wanted: Filter, top: int, fuse: Fuse
    ) -> list[Match]:
        found = self._collection.query(
            query_embeddings=query,
            n_results=min(top, len(self)),
            where=_to_where(wanted),
            include=["metadatas", "embeddings"],
        )
        people: dict[str, tuple[float, Sighting]] = {}
        lists = zip(found["ids"], found["metadatas"] or [], found["embeddings"] or [], strict=True)
        for ids, rows, vectors in lists:
            if not ids:
                continue
            # Chroma gives the squares of distances, in float32; these are theirs in float64.
            apart = np.asarray(vectors, np.float64)[:, np.newaxis] - query
            distances = np.sqrt(np.square(apart).sum(axis=2))
            fused = distances.min(axis=1) if fuse == "min" else distances.mean(axis=1)
            for id_, row, distance in zip(ids, rows, fused.tolist(), strict=True):
                people[id_] = distance, _to_sighting(id_, row)
        ranked = sorted(people.values(), key=lambda pair: (pair[0], _footage_order(pair[1])))[:top]
        return [Match(rank, *pair) for rank, pair in enumerate(ranked, start=1)]

    def count(self, wanted: Filter) -> int:
        """See `Store.count`."""
        return len(self._collection.get(where=_to_where(wanted), include=[])["ids"])

    def sightings(self, wanted: Filter) -> list[Sighting]:
        """See `Store.sightings`."""
        found = self._collection.get(where=_to_where(wanted), include=["metadatas"])
        rows = zip(found["ids"], found["metadatas"] or [], strict=True)
        return sorted((_to_sighting(id_, row) for id_, row in rows), key=_footage_order)

    def scan(self, wanted: Filter) -> Records:
        """See `Store.scan`."""
        found = self._collection.get(where=_to_where(wanted), include=["metadatas", "embeddings"])
        rows = zip(found["ids"], found["metadatas"] or [], strict=True)
        sightings = [_to_sighting(id_, row) for id_, row in rows]
        order = sorted(range(len(sightings)), key=lambda row: _footage_order(sightings[row]))
        vectors = np.asarray(found["embeddings"], np.float32)
        vectors = vectors.reshape(-1, self.provenance.dimension)[order]
        embeddings = Embeddings(vectors, self.provenance.fingerprint)
        return Records(tuple(sightings[row] for row in order), embeddings)

    def __len__(self) -> int:
        return self._collection.count()


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
        SchemaError: a newer reidsearch made it.
    """
    writes = create is not None or mend
    if create is None:
        require_database(folder)
    else:
        _prepare(folder)
    with ExitStack() as held:
        try:
            lock = writing(folder, wait_s, on_note) if writes else reading(folder)
            held.enter_context(lock)
            client = held.enter_context(_open_client(folder))
            collection = _open_collection(client, folder, create)
            store = ChromaStore(client, collection, folder / FOLDER if writes else None)
            store.catch_up(on_step)
            held.callback(store.catch_up, on_step)
        except (sqlite3.Error, OSError) as error:
            raise _explain(error, folder) from error
        yield store


def _prepare(folder: Path) -> None:
    """Make the folder of a new database, which must be empty."""
    if has_database(folder):
        return
    ours = {LOCK_FILE, OWNER_FILE, "README.md"}
    foreign = [p for p in folder.glob("*") if p.name not in ours and not p.name.startswith(".")]
    if foreign:
        raise StoreError(
            f"{folder} is not a Chroma database: it holds {foreign[0].name}",
            hint="give --db an empty or new folder",
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _explain(error, folder) from error


@contextmanager
def _open_client(folder: Path) -> Iterator[Client]:
    try:
        # Said here, or an environment variable or a .env file could send us to a server.
        settings = Settings(
            _env_file=None,  # type: ignore[call-arg]  # pydantic-settings takes it
            chroma_api_impl="chromadb.api.rust.RustBindingsAPI",
            anonymized_telemetry=False,
        )
        opened = cast("Client", chromadb.PersistentClient(folder, settings))
    except (ChromaError, ValueError) as error:
        raise _explain(error, folder) from error
    with opened as client:
        try:
            yield client
        except ChromaError as error:
            raise _explain(error, folder) from error


def _open_collection(
    client: Client, folder: Path, create: Provenance | None
) -> chromadb.Collection:
    try:
        collection = client.get_collection(COLLECTION, embedding_function=None)
    except NotFoundError:
        if create is None:
            raise StoreError(
                f"the Chroma database in {folder} is not one of reidsearch's",
                hint=f"it has no collection named {COLLECTION}",
            ) from None
        return client.create_collection(
            COLLECTION,
            embedding_function=None,
            metadata=_header(create),
            configuration=_INDEX,
        )
    schema = (collection.metadata or {}).get("schema")
    if not isinstance(schema, int):
        raise StoreError(
            f"the collection {COLLECTION} in {folder} is not one of reidsearch's",
            hint="it records no schema",
        )
    if schema > SCHEMA:
        raise SchemaError(
            f"a newer reidsearch made the database {folder}: its schema is {schema}, "
            f"this one knows {SCHEMA}",
            hint="pip install --upgrade reidsearch",
        )
    if schema < SCHEMA:
        raise SchemaError(
            f"an older reidsearch made the database {folder}: its schema is {schema}, "
            f"this one knows {SCHEMA}",
            hint="ingest the footage into a new --db",
        )
    if create is not None and not (collection.count() or _has_sources(collection)):
        # Nothing was stored since it was made, perhaps because its models did not load.
        collection.modify(metadata=_header(create))
    return collection


def _has_sources(collection: chromadb.Collection) -> bool:
    return any(key.startswith(SOURCE_PREFIX) for key in collection.metadata)


def _explain(error: Exception, folder: Path) -> StoreError:
    if "readonly" in str(error) or isinstance(error, PermissionError):
        return StoreError(
            f"the database folder {folder} is read-only",
            hint="Chroma needs to write even for a search; copy the folder, or change its rights",
        )
    return StoreError(f"the database in {folder} does not work: {error}")


def _as_half(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Round to float16, so that the exact index, half as large, holds the very same numbers."""
    return vectors.astype(np.float16).astype(np.float32)


def _header(provenance: Provenance) -> dict[str, Any]:
    return {"schema": SCHEMA, **asdict(provenance)}


def _to_metadata(sighting: Sighting) -> dict[str, str | int | float]:
    x1, y1, x2, y2 = sighting.box_xyxy
    return {
        "camera": sighting.camera,
        "source": sighting.source,
        "frame": sighting.frame,
        "time_s": sighting.time_s,
        "x1": x1,
        "y1": y1,
        "x2": x2,
        "y2": y2,
        "score": sighting.score,
        "path": sighting.path,
        "crop_hash": sighting.crop_hash,
    }


def _to_sighting(id_: str, row: Mapping[str, Any]) -> Sighting:
    return Sighting(
        id=id_,
        camera=row["camera"],
        source=row["source"],
        frame=row["frame"],
        time_s=row["time_s"],
        box_xyxy=(row["x1"], row["y1"], row["x2"], row["y2"]),
        score=row["score"],
        path=row["path"],
        crop_hash=row["crop_hash"],
    )


def _footage_order(sighting: Sighting) -> tuple[str, str, int, int]:
    person = int(sighting.id.rpartition(":")[2])  # counts by falling score
    return sighting.camera, sighting.source, sighting.frame, person


def _to_where(wanted: Filter) -> dict[str, Any] | None:
    """Write a filter as a Chroma `where`; None matches everything."""
    clauses: list[dict[str, Any]] = []
    if wanted.sources is not None:
        pairs = [
            {"$and": [{"camera": camera}, {"source": name}]} for camera, name in wanted.sources
        ]
        clauses.append(pairs[0] if len(pairs) == 1 else {"$or": pairs})
    if wanted.frame is not None:
        clauses.append({"frame": wanted.frame})
    if wanted.after_frame is not None:
        clauses.append({"frame": {"$gt": wanted.after_frame}})
    if wanted.before_frame is not None:
        clauses.append({"frame": {"$lt": wanted.before_frame}})
    if wanted.after_s is not None:
        clauses.append({"time_s": {"$gt": wanted.after_s}})
    if wanted.before_s is not None:
        clauses.append({"time_s": {"$lt": wanted.before_s}})
    if wanted.min_score is not None:
        clauses.append({"score": {"$gte": wanted.min_score}})
    if len(clauses) > 1:
        return {"$and": clauses}
    return clauses[0] if clauses else None
