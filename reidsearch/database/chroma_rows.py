"""How detections, vectors and filters are written in Chroma, and read."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from reidsearch.core.errors import StoreError
from reidsearch.core.ids import CropId
from reidsearch.core.provenance import Provenance
from reidsearch.core.types import Embeddings, Filter, Records, StoredDetection, is_number, is_unit
from reidsearch.database.layout import COLLECTION, REPAIR_HINT, SCHEMA

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import chromadb
    from numpy.typing import NDArray

    from reidsearch.core.ids import SourceKey


def collection_metadata(provenance: Provenance) -> dict[str, Any]:
    """The collection's metadata."""
    return {"schema": SCHEMA, **asdict(provenance)}


def read_provenance(metadata: Mapping[str, Any]) -> Provenance:
    """Read it from the collection's metadata; raises StoreError where it is not there."""
    try:
        return Provenance(**{f.name: metadata[f.name] for f in fields(Provenance)})
    except (KeyError, ValueError) as error:
        raise StoreError(
            f"the collection {COLLECTION} was created by another program: {error}"
        ) from error


def read_records(
    collection: chromadb.Collection,
    wanted: Filter,
    provenance: Provenance,
    counts: Callable[[Mapping[str, Any]], bool] = lambda _row: True,
) -> Records:
    """Read rows with their vectors, in the order of footage.

    Args:
        collection: whose rows.
        wanted: which rows.
        provenance: the database's.
        counts: says of a row's metadata whether it is taken.
    """
    found = collection.get(where=to_where(wanted), include=["metadatas", "embeddings"])
    rows = zip(found["ids"], found["metadatas"] or [], range(len(found["ids"])), strict=True)
    detections = [(to_detection(id_, row), at) for id_, row, at in rows if counts(row)]
    detections.sort(key=lambda pair: footage_order(pair[0]))
    vectors = np.asarray(found["embeddings"], np.float32)
    try:
        vectors = vectors.reshape(-1, provenance.dimension)
        embeddings = Embeddings(vectors[[at for _, at in detections]], provenance.fingerprint)
    except ValueError as error:
        raise StoreError(f"Chroma holds other vectors: {error}", hint=REPAIR_HINT) from error
    return Records(tuple(detection for detection, _ in detections), embeddings)


def read_frames(
    collection: chromadb.Collection,
    key: SourceKey,
    frames: Sequence[int],
    provenance: Provenance,
) -> Records:
    """Read the rows of frames of a source that rise and are near to each other.

    Rows that are none of ours are left out: checksums tell that they are missing.
    """
    wanted = Filter((key,), after_frame=frames[0] - 1, before_frame=frames[-1] + 1)
    chosen = set(frames)
    found = collection.get(where=to_where(wanted), include=["metadatas", "embeddings"])
    detections: list[tuple[StoredDetection, NDArray[np.float32]]] = []
    vectors = np.asarray(found["embeddings"], np.float32)
    rows = zip(found["ids"], found["metadatas"] or [], vectors, strict=True)
    for id_, row, vector in rows:
        with suppress(StoreError):
            detection = to_detection(id_, row)
            is_one = vector.shape == (provenance.dimension,) and is_unit(vector)
            if detection.frame in chosen and is_one:
                detections.append((detection, vector))
    detections.sort(key=lambda pair: footage_order(pair[0]))
    kept = np.array([vector for _, vector in detections], np.float32)
    embeddings = Embeddings(kept.reshape(-1, provenance.dimension), provenance.fingerprint)
    return Records(tuple(detection for detection, _ in detections), embeddings)


def to_metadata(detection: StoredDetection) -> dict[str, str | int | float]:
    """A row's metadata; its id stands beside them."""
    x1, y1, x2, y2 = detection.box_xyxy
    return {
        "camera": detection.camera,
        "source": detection.source,
        "frame": detection.frame,
        "time_s": detection.time_s,
        "x1": x1,
        "y1": y1,
        "x2": x2,
        "y2": y2,
        "score": detection.score,
        "path": detection.path,
        "crop_hash": detection.crop_hash,
    }


def to_detection(id_: str, row: Mapping[str, Any]) -> StoredDetection:
    """Read what `to_metadata` wrote; raises StoreError where something else did."""
    try:
        detection = StoredDetection(
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
    except KeyError as error:
        raise StoreError(f"the row {id_} has no {error}", hint=REPAIR_HINT) from error
    texts = (detection.camera, detection.source, detection.path, detection.crop_hash)
    numbers = (detection.frame, detection.time_s, detection.score, *detection.box_xyxy)
    if not (
        all(isinstance(text, str) for text in texts)
        and all(map(is_number, numbers))
        and _is_id_of(id_, detection)
    ):
        raise StoreError(f"the row {id_} is not as reidsearch writes it", hint=REPAIR_HINT)
    return detection


def _is_id_of(id_: str, detection: StoredDetection) -> bool:
    try:
        person = CropId.parse(id_).index
    except ValueError:
        return False
    return id_ == str(CropId(detection.camera, detection.source, detection.frame, person))


def footage_order(detection: StoredDetection) -> tuple[str, str, int, int]:
    """Sort by camera, source, frame and falling score."""
    return detection.camera, detection.source, detection.frame, detection.index


def to_where(wanted: Filter) -> dict[str, Any] | None:
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
