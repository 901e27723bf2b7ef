"""A store in one collection of a persistent Chroma database.

Each row's metadata holds camera, source, frame, time_s, x1, y1, x2, y2, score, path and crop_hash;
the collection's metadata holds the provenance and, under `source:camera/name`, one JSON text per
source.
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
from filelock import ReadWriteLock, Timeout

from reidsearch.errors import DatabaseBusyError, ModelMismatchError, SchemaError, StoreError
from reidsearch.frame_set import FrameSet
from reidsearch.provenance import Provenance, SourceRecord
from reidsearch.types import Embeddings, Filter, Match, Records, Sighting

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from chromadb.api.client import Client
    from chromadb.api.collection_configuration import CreateCollectionConfiguration
    from numpy.typing import NDArray

COLLECTION = "people"
SCHEMA = 2
LOCK_WAIT_S = 3.0

_DATABASE_FILE = "chroma.sqlite3"
_LOCK_FILE = "reidsearch.lock"
_SOURCE_PREFIX = "source:"
# Fixed at creation. Recall matters more here than the milliseconds it costs.
_INDEX: CreateCollectionConfiguration = {
    "hnsw": {"space": "l2", "ef_construction": 200, "max_neighbors": 32, "ef_search": 256}
}


class ChromaStore:
    """See `Store`; made by `open_chroma` only."""

    def __init__(self, client: Client, collection: chromadb.Collection) -> None:
        self._collection = collection
        self._batch_rows = client.get_max_batch_size()
        metadata = dict(collection.metadata)
        self.provenance = Provenance(**{f.name: metadata[f.name] for f in fields(Provenance)})
        self._sources = {
            record.info.key: record
            for key, text in metadata.items()
            if key.startswith(_SOURCE_PREFIX)
            for record in [SourceRecord.from_json(str(text))]
        }

    def sources(self) -> tuple[SourceRecord, ...]:
        """See `Store.sources`."""
        return tuple(self._sources[key] for key in sorted(self._sources))

    def add(self, records: Records, source: SourceRecord) -> None:
        """See `Store.add`."""
        if records.embeddings.fingerprint != self.provenance.fingerprint:
            raise ModelMismatchError(
                gallery=self.provenance.embedder, query="these vectors", hint="use another --db"
            )
        if source.info.key not in self._sources:  # no row shall be without its source
            self._record(replace(source, frames=FrameSet(), people=0))
        for start in range(0, len(records), self._batch_rows):
            rows = slice(start, start + self._batch_rows)
            self._collection.upsert(
                ids=[sighting.id for sighting in records.sightings[rows]],
                embeddings=records.embeddings.vectors[rows],
                metadatas=[_to_metadata(sighting) for sighting in records.sightings[rows]],
            )
        self._record(source)

    def _record(self, source: SourceRecord) -> None:
        self._sources[source.info.key] = source
        texts = {f"{_SOURCE_PREFIX}{r.info}": r.to_json() for r in self._sources.values()}
        self._collection.modify(metadata=_header(self.provenance) | texts)

    def query(self, vector: NDArray[np.float32], wanted: Filter, top: int) -> list[Match]:
        """See `Store.query`."""
        if len(self) == 0:
            return []
        found = self._collection.query(
            query_embeddings=vector[np.newaxis],
            n_results=min(top, len(self)),
            where=_to_where(wanted),
            include=["metadatas", "distances"],
        )
        # Chroma's l2 is squared; rounding can leave the square of zero a little below it.
        distances = np.sqrt(np.maximum((found["distances"] or [[]])[0], 0.0))
        rows = zip(found["ids"][0], (found["metadatas"] or [[]])[0], distances, strict=True)
        ranked = sorted(
            ((float(distance), _to_sighting(id_, row)) for id_, row, distance in rows),
            key=lambda pair: (pair[0], _footage_order(pair[1])),
        )
        return [Match(rank, *pair) for rank, pair in enumerate(ranked, start=1)]

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
def open_chroma(folder: Path, create: Provenance | None = None) -> Iterator[ChromaStore]:
    """Open the database in `folder` and hold it until the context ends.

    Any number of processes may read a database, or one may write it: Chroma itself does not keep
    a second process from hanging or from reading stale vectors.

    Args:
        folder: the Chroma folder.
        create: given to write; a database that does not exist yet, or has nothing in it, is
            made with these models.

    Raises:
        StoreError: the folder holds no database of ours (and may not get one), or is read-only.
        DatabaseBusyError: another process writes, or reads while this one wants to write.
        SchemaError: a newer reidsearch made it.
    """
    _require_database(folder, may_create=create is not None)
    with ExitStack() as held:
        try:
            held.enter_context(_lock(folder, exclusive=create is not None))
            client = held.enter_context(_open_client(folder))
            store = ChromaStore(client, _open_collection(client, folder, create))
        except (sqlite3.Error, OSError) as error:
            raise _explain(error, folder) from error
        yield store


def size_on_disk(folder: Path) -> int:
    """Bytes of all files in a database folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _require_database(folder: Path, *, may_create: bool) -> None:
    if (folder / _DATABASE_FILE).is_file():
        return
    hint = "`reidsearch ingest SOURCE` makes one; --db names its folder"
    if folder.exists() and not folder.is_dir():
        raise StoreError(f"{folder} is not a folder", hint=hint)
    if not may_create:
        raise StoreError(f"there is no database in {folder}", hint=hint)
    ours = {_LOCK_FILE, "README.md"}
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
def _lock(folder: Path, *, exclusive: bool) -> Iterator[None]:
    lock = ReadWriteLock(folder / _LOCK_FILE, is_singleton=False)
    try:
        with lock.write_lock(LOCK_WAIT_S) if exclusive else lock.read_lock(LOCK_WAIT_S):
            yield
    except Timeout:
        raise DatabaseBusyError(
            f"another reidsearch is using the database {folder}",
            hint="wait until it has finished; an ingest may be stopped, what it stored stays",
        ) from None


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
    return any(key.startswith(_SOURCE_PREFIX) for key in collection.metadata)


def _explain(error: Exception, folder: Path) -> StoreError:
    if "readonly" in str(error) or isinstance(error, PermissionError):
        return StoreError(
            f"the database folder {folder} is read-only",
            hint="Chroma needs to write even for a search; copy the folder, or change its rights",
        )
    return StoreError(f"the database in {folder} does not work: {error}")


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
    if wanted.after_s is not None:
        clauses.append({"time_s": {"$gt": wanted.after_s}})
    if len(clauses) > 1:
        return {"$and": clauses}
    return clauses[0] if clauses else None
