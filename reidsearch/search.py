"""From a query to ranked matches."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from reidsearch.errors import QueryError, UsageError
from reidsearch.grouping import Grouping
from reidsearch.ids import CropId
from reidsearch.later import find_scope
from reidsearch.types import Detections, Filter
from reidsearch.window import Window

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from reidsearch.calibration import Calibration
    from reidsearch.embedders import Embedder
    from reidsearch.provenance import SourceRecord
    from reidsearch.store import Store
    from reidsearch.types import Match, Sighting


@dataclass(frozen=True, slots=True, eq=False)
class Query:
    """Who is looked for.

    Attributes:
        vectors: `(Q, D)` float32, of length 1: one, or those of several pictures of one person.
        sighting: the stored person, or None for pictures from outside.
        crops: those pictures' `(h, w, 3)` uint8 RGB pixels of the person.
        paths: of those pictures.
    """

    vectors: NDArray[np.float32]
    sighting: Sighting | None = None
    crops: tuple[NDArray[np.uint8], ...] = ()
    paths: tuple[str, ...] = ()

    def __str__(self) -> str:
        if self.sighting is not None:
            return self.sighting.id
        more = f" and {len(self.paths) - 1} more" if len(self.paths) > 1 else ""
        return f"{self.paths[0] if self.paths else 'a picture'}{more}"


@dataclass(frozen=True, slots=True, eq=False)
class StoredQuery(Query):
    """Someone in the database who is looked for."""

    sighting: Sighting


@dataclass(frozen=True, slots=True)
class SearchResult:
    """What a search found.

    Attributes:
        query: who was looked for.
        matches: nearest first.
        scope: which frames were searched, in words.
        left_out: sources whose times cannot be compared with the query's.
        calibration: what gave the matches their probabilities, if anything did.
        exact: whether no nearer person can have been missed.
        candidates: how many people were compared, where that is known.
        ms: how long that took.
    """

    query: Query
    matches: list[Match]
    scope: str
    left_out: tuple[str, ...] = ()
    calibration: Calibration | None = None
    exact: bool = True
    candidates: int | None = None
    ms: float = 0.0

    @property
    def likely(self) -> int | None:
        """How many matches are likelier right than wrong; None if that is not known."""
        if self.calibration is None:
            return None
        return sum(match.is_likely for match in self.matches)


def find_source(store: Store, name: str) -> SourceRecord:
    """Look a source up by `CAMERA/SOURCE`, or by its name alone when no other has it.

    Raises:
        QueryError: there is none, or more than one.
    """
    camera, _, plain = name.rpartition("/")
    sources = store.sources()
    found = [r for r in sources if r.info.name == plain and camera in ("", r.info.camera)]
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
        raise UsageError(f"{address!r} is no frame", hint="write [CAMERA/]SOURCE:NUMBER")
    source, number = find_source(store, found[1]), int(found[2])
    if not source.frames:
        raise QueryError(f"no frame of {source.info} is in the database yet")
    if number not in source.frames:
        nearest = source.frames.nearest(number)
        raise QueryError(
            f"frame {number} of {source.info} is not in the database",
            hint=f"it has {len(source.frames)} frames from {source.frames.first} to "
            f"{source.frames.last}; the nearest is {nearest}",
        )
    return source, number


def query_stored(store: Store, address: str, person: int = 1) -> StoredQuery:
    """Take the n-th person (from 1, by falling score) of frame `[CAMERA/]SOURCE:N`.

    Raises:
        UsageError: the address has another form.
        QueryError: that frame or person is not in the database.
    """
    source, frame = find_frame(store, address)
    records = store.scan(Filter(sources=(source.info.key,), frame=frame))
    wanted = str(CropId(*source.info.key, frame, person))
    for row, sighting in enumerate(records.sightings):
        if sighting.id == wanted:
            return StoredQuery(records.embeddings.vectors[row : row + 1], sighting)
    raise QueryError(
        f"{source.info}:{frame} has no person {person}",
        hint=f"it has {', '.join(str(s.person) for s in records.sightings) or 'nobody'}",
    )


def query_crop(store: Store, crop_id: str) -> StoredQuery:
    """Take the stored person with that id.

    Raises:
        UsageError: it is no id.
        QueryError: it is not in the database.
    """
    found = re.fullmatch(r"(.+:\d+):(\d{1,9})", crop_id, re.DOTALL)
    if not found:
        raise UsageError(f"{crop_id!r} is no crop id", hint="write [CAMERA/]SOURCE:FRAME:PERSON")
    return query_stored(store, found[1], int(found[2]))


def query_picture(
    image: NDArray[np.uint8],
    embedder: Embedder,
    box_xyxy: tuple[float, float, float, float] | None = None,
    path: str = "",
) -> Query:
    """Take a person in a picture from outside.

    Args:
        image: `(H, W, 3)` uint8 RGB: a crop of the person, or a full frame when a box is given.
        embedder: of the gallery's vector space.
        box_xyxy: where the person is, in pixels of `image`.
        path: of the picture, to tell it by.

    Raises:
        QueryError: the box is empty or not inside the picture, or a scene was given without one.
    """
    from reidsearch.images import cut_crops  # and OpenCV, which no other query needs

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
    elif image.shape[1] > image.shape[0]:
        raise QueryError(
            "the picture is wider than high, which nobody standing or walking is",
            hint="say where the person is in it: --box X1,Y1,X2,Y2",
        )
    return Query(embedder.embed([image]).vectors, crops=(image,), paths=(path,))


def join_queries(queries: Sequence[Query]) -> Query:
    """Make one query of several pictures of one person."""
    if len(queries) == 1:
        return queries[0]
    return Query(
        np.concatenate([query.vectors for query in queries]),
        crops=tuple(crop for query in queries for crop in query.crops),
        paths=tuple(path for query in queries for path in query.paths),
    )


def find_later(
    store: Store,
    query: Query,
    window: Window | None = None,
    grouping: Grouping | None = None,
    calibration: Calibration | None = None,
) -> SearchResult:
    """Rank the people in later frames by their distance to the query.

    Args:
        store: the gallery.
        query: who is looked for.
        window: which part of the footage is searched; all of it by default.
        grouping: which of the people found become matches.
        calibration: of the store's embedder.

    Raises:
        QueryError: no source has that camera, or a clock that the window can be compared with.
    """
    window, grouping = window or Window(), grouping or Grouping()
    scope = find_scope(window, query.sighting, store.sources())
    started = time.perf_counter()
    matches: list[Match] = []
    candidates = 0 if store.is_exact else None
    if scope.wanted is not None:
        candidates = store.count(scope.wanted) if store.is_exact else None
        people = store.nearest(query.vectors, scope.wanted, grouping.fuse)
        limit = None if calibration is None else calibration.likely_distance
        matches = grouping.choose(people, len(scope.sources), limit)
    return SearchResult(
        query,
        _with_probability(matches, calibration),
        f"{'all' if query.sighting is None else 'later'} frames{window}",
        tuple(str(record.info) for record in scope.left_out),
        calibration,
        exact=store.is_exact,
        candidates=candidates,
        ms=1000 * (time.perf_counter() - started),
    )


def find_in_each_frame(
    store: Store, query: Query, record: SourceRecord, max_distance: float | None = None
) -> dict[int, Match]:
    """Find the nearest person of each later frame of a source.

    Returns:
        Matches by frame number; frames without anyone within `max_distance` are not among them.

    Raises:
        QueryError: the source's times cannot be compared with the query's.
    """
    scope = find_scope(Window(sources=(record,)), query.sighting, store.sources())
    if scope.wanted is None:
        raise QueryError(
            f"the times of {record.info} cannot be compared with the person's",
            hint="only one of the two sources was ingested with --start",
        )
    best: dict[int, Match] = {}
    for match in store.nearest(query.vectors, scope.wanted):
        if max_distance is not None and match.distance > max_distance:
            break
        best.setdefault(match.sighting.frame, match)
    return best


def _with_probability(matches: list[Match], calibration: Calibration | None) -> list[Match]:
    if calibration is None:
        return matches
    said = calibration.probability(np.array([match.distance for match in matches]))
    return [
        replace(match, probability=probability)
        for match, probability in zip(matches, said.tolist(), strict=True)
    ]
