"""Turning addresses and pictures into queries."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from reidsearch.core.errors import QueryError, UsageError
from reidsearch.core.ids import CropId
from reidsearch.core.text import count
from reidsearch.core.types import Detections, Filter

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from numpy.typing import NDArray

    from reidsearch.core.provenance import SourceRecord
    from reidsearch.core.store import Store
    from reidsearch.core.types import StoredDetection
    from reidsearch.models.embedders import Embedder


@dataclass(frozen=True, slots=True, eq=False)
class Query:
    """A person to search for.

    Attributes:
        vectors: `(Q, D)` float32, of length 1: one, or those of several pictures of one person.
        detection: the stored person, or None for pictures from outside.
        crops: those pictures' `(h, w, 3)` uint8 RGB pixels of the person.
        paths: of those pictures.
        box_xyxy: where in its picture the person is, if that is a scene.
        found: how many people the detector found in that scene; None if it was not asked.
        name: of a person with a name, who is searched for by all that was confirmed.
        confirmed: stored detections that show that person; `vectors` are theirs.
        rejected: those that show somebody else.
    """

    vectors: NDArray[np.float32]
    detection: StoredDetection | None = None
    crops: tuple[NDArray[np.uint8], ...] = ()
    paths: tuple[str, ...] = ()
    box_xyxy: tuple[float, float, float, float] | None = None
    found: int | None = None
    name: str = ""
    confirmed: tuple[StoredDetection, ...] = ()
    rejected: tuple[StoredDetection, ...] = ()

    @property
    def shown(self) -> StoredDetection | None:
        """The stored detection that stands for it in pictures, if one does."""
        return next(iter(self.confirmed), self.detection)

    def __str__(self) -> str:
        if self.name:
            return self.name
        if self.detection is not None:
            return self.detection.id
        more = f" and {len(self.paths) - 1} more" if len(self.paths) > 1 else ""
        return f"{self.paths[0] if self.paths else 'a picture'}{more}"


@dataclass(frozen=True, slots=True, eq=False)
class StoredQuery(Query):
    """A stored detection to search for."""

    detection: StoredDetection


def find_source(store: Store, name: str, cameras: Collection[str] = ()) -> SourceRecord:
    """Look a source up by `CAMERA/SOURCE`, or by its name alone when no other has it.

    Args:
        store: the gallery.
        name: of the source.
        cameras: whose source is meant where several have one of that name.

    Raises:
        QueryError: there is none, or more than one.
    """
    camera, _, plain = name.rpartition("/")
    sources = store.sources()
    found = [r for r in sources if r.info.name == plain and camera in ("", r.info.camera)]
    found = [record for record in found if record.info.camera in cameras] or found
    if len(found) == 1:
        return found[0]
    if found:
        raise QueryError(
            f"{len(found)} cameras have a source {plain}",
            hint=f"name one: {', '.join(str(r.info) for r in found)}",
        )
    raise QueryError(
        f"the database has no source {name}",
        hint=f"it has {', '.join(str(r.info) for r in sources) or 'none at all'}",
    )


def find_frame(store: Store, address: str) -> tuple[SourceRecord, int]:
    """Look a frame up by `[CAMERA/]SOURCE:N`.

    Raises:
        UsageError: the address has another form.
        QueryError: that frame was not ingested.
    """
    found = re.fullmatch(r"(.+):(\d{1,18})", address, re.DOTALL)
    if not found:
        raise UsageError(f"{address!r} is not a valid frame", hint="write [CAMERA/]SOURCE:NUMBER")
    source, number = find_source(store, found[1]), int(found[2])
    if source.span is None:
        raise QueryError(f"no frame of {source.info} is in the database yet")
    if not len(store.frames(source.info.key, number, number)):
        frames = store.frames(source.info.key)
        nearest = frames[np.abs(frames - number).argmin()]
        raise QueryError(
            f"frame {number} of {source.info} is not in the database",
            hint=f"it has {count(source.frames, 'frame')} from {source.span[0]} to "
            f"{source.span[1]}; the nearest is {nearest}",
        )
    return source, number


def query_stored(store: Store, address: str, person: int = 1) -> StoredQuery:
    """Take the n-th person (from 1, by descending score) of frame `[CAMERA/]SOURCE:N`.

    Raises:
        UsageError: the address has another form.
        QueryError: that frame or person is not in the database.
    """
    source, frame = find_frame(store, address)
    records = store.scan(Filter(sources=(source.info.key,), frame=frame))
    wanted = str(CropId(*source.info.key, frame, person))
    for row, detection in enumerate(records.detections):
        if detection.id == wanted:
            return StoredQuery(records.embeddings.vectors[row : row + 1], detection)
    raise QueryError(
        f"{source.info}:{frame} has no detection {person}",
        hint=f"it has {', '.join(str(s.index) for s in records.detections) or 'none'}",
    )


def query_crop(store: Store, crop_id: str) -> StoredQuery:
    """Take the stored person with that id.

    Raises:
        UsageError: the id is not valid.
        QueryError: it is not in the database.
    """
    found = re.fullmatch(r"(.+:\d+):(\d{1,9})", crop_id, re.DOTALL)
    if not found:
        raise UsageError(
            f"{crop_id!r} is not a valid crop id", hint="write [CAMERA/]SOURCE:FRAME:N"
        )
    return query_stored(store, found[1], int(found[2]))


def query_picture(
    image: NDArray[np.uint8],
    embedder: Embedder,
    box_xyxy: tuple[float, float, float, float] | None = None,
    path: str = "",
    found: int | None = None,
) -> Query:
    """Take a person in a picture from outside.

    Args:
        image: `(H, W, 3)` uint8 RGB: a crop of the person, or a full frame when a box is given.
        embedder: of the gallery's vector space.
        box_xyxy: where the person is, in pixels of `image`.
        path: of the picture, to tell it by.
        found: how many people the detector found in it; None if it was not asked.

    Raises:
        QueryError: the box is empty or not inside the picture.
    """
    from reidsearch.footage.images import cut_crops  # and OpenCV, which no other query needs

    if box_xyxy is not None:
        height, width = image.shape[:2]
        x1, y1, x2, y2 = box_xyxy
        if not (0 <= x1 < x2 <= width and 0 <= y1 < y2 <= height):
            raise QueryError(
                f"the box {x1:g},{y1:g},{x2:g},{y2:g} does not fit the picture",
                hint=f"the picture is {width} x {height}; write X1,Y1,X2,Y2 with X1 < X2, Y1 < Y2",
            )
        box = Detections(np.array([box_xyxy], np.float32), np.ones(1, np.float32))
        image = cut_crops(image, box).images[0]
    return Query(embedder.embed([image]).vectors, None, (image,), (path,), box_xyxy, found)


def join_queries(queries: Sequence[Query]) -> Query:
    """Make one query of several pictures of one person."""
    if len(queries) == 1:
        return queries[0]
    return Query(
        np.concatenate([query.vectors for query in queries]),
        crops=tuple(crop for query in queries for crop in query.crops),
        paths=tuple(path for query in queries for path in query.paths),
    )
