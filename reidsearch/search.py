"""From a query to ranked matches, under the later-frames rule.

The rule: a stored person is searched for in later frames only. Within its own source that means a
greater frame number; in another source, a greater time. A source's times rise with its frame
numbers, so both are one condition: a time greater than the query's. Times of sources whose start is
known count from the epoch and those of the others from zero, so only sources of the query's kind
are compared. A picture from outside has no time: every frame is searched.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np

from reidsearch import defaults
from reidsearch.calibration import LIKELY
from reidsearch.errors import QueryError, UsageError
from reidsearch.images import cut_crops
from reidsearch.types import Detections, Filter

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
        vector: `(D,)` float32, of length 1.
        sighting: the stored person, or None for a picture from outside.
        crop: that picture's `(h, w, 3)` uint8 RGB pixels of the person.
    """

    vector: NDArray[np.float32]
    sighting: Sighting | None = None
    crop: NDArray[np.uint8] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class StoredQuery(Query):
    """Someone in the database who is looked for."""

    sighting: Sighting


@dataclass(frozen=True, slots=True)
class After:
    """A moment after which matches must lie: a frame number or a time.

    Attributes:
        frame: a frame number, compared within every source.
        time_s: seconds, compared with `SourceInfo.time_of`.
        is_date: whether `time_s` counts from the epoch, not from a source's start.
    """

    frame: int | None = None
    time_s: float | None = None
    is_date: bool = False

    def __str__(self) -> str:
        if self.time_s is None:
            return f"frame {self.frame}"
        if self.is_date:
            return datetime.fromtimestamp(self.time_s).astimezone().isoformat()
        return f"{self.time_s:g} s"

    @classmethod
    def parse(cls, text: str) -> After:
        """Read a frame number (`120`), seconds (`4.8s`), clock (`1:02:03.5`) or ISO 8601 time.

        Raises:
            UsageError: it is none of these.
        """
        if re.fullmatch(r"\d{1,18}", text):
            return cls(frame=int(text))
        if re.fullmatch(r"\d{1,12}(\.\d+)?s", text):
            return cls(time_s=float(text[:-1]))
        clock = re.fullmatch(r"(?:(\d{1,6}):(?=[0-5]\d:))?(\d{1,6}):([0-5]\d(?:\.\d+)?)", text)
        if clock:
            hours, minutes, seconds = (float(part or 0) for part in clock.groups())
            return cls(time_s=3600 * hours + 60 * minutes + seconds)
        try:
            return cls(time_s=parse_start(text), is_date=True)
        except UsageError as error:
            raise UsageError(
                f"{text!r} is no frame or time",
                hint="write a frame (120), seconds (4.8s), a clock (1:02:03) or 2009-05-06T14:30",
            ) from error


@dataclass(frozen=True, slots=True)
class SearchResult:
    """What a search found.

    Attributes:
        query: who was looked for.
        matches: nearest first.
        scope: which frames were searched, in words.
        left_out: sources whose times cannot be compared with the query's.
        calibration: what gave the matches their probabilities, if anything did.
    """

    query: Query
    matches: list[Match]
    scope: str
    left_out: tuple[str, ...] = ()
    calibration: Calibration | None = None

    @property
    def likely(self) -> int | None:
        """How many matches are likelier right than wrong; None if that is not known."""
        if self.calibration is None:
            return None
        return sum((match.probability or 0) >= LIKELY for match in self.matches)


def parse_start(text: str) -> float:
    """Read an ISO 8601 time as epoch seconds; without a zone it is this machine's local time.

    Raises:
        UsageError: it is no such time.
    """
    try:
        time_s = datetime.fromisoformat(text).timestamp()
        datetime.fromtimestamp(time_s).astimezone()  # the last hours of the year 9999 are too late
    except (ValueError, OverflowError):
        raise UsageError(
            f"{text!r} is no time", hint="write ISO 8601, such as 2009-05-06T14:30:00"
        ) from None
    return time_s


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
    found = re.fullmatch(r"(.+):(\d{1,18})", address)
    if not found:
        raise UsageError(f"{address!r} is no frame", hint="write [CAMERA/]SOURCE:NUMBER")
    source, number = find_source(store, found[1]), int(found[2])
    if not source.frames:
        raise QueryError(f"no frame of {source.info} is in the database yet")
    if number not in source.frames:
        nearest = min(source.frames, key=lambda stored: abs(stored - number))
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
    wanted = f"{source.info}:{frame}:{person}"
    for row, sighting in enumerate(records.sightings):
        if sighting.id == wanted:
            return StoredQuery(records.embeddings.vectors[row], sighting)
    raise QueryError(
        f"{source.info}:{frame} has no person {person}",
        hint=f"people found in that frame: {len(records)}",
    )


def query_crop(store: Store, crop_id: str) -> StoredQuery:
    """Take the stored person with that id.

    Raises:
        UsageError: it is no id.
        QueryError: it is not in the database.
    """
    found = re.fullmatch(r"(.+:\d+):(\d{1,9})", crop_id)
    if not found:
        raise UsageError(f"{crop_id!r} is no crop id", hint="write [CAMERA/]SOURCE:FRAME:PERSON")
    return query_stored(store, found[1], int(found[2]))


def query_picture(
    image: NDArray[np.uint8],
    embedder: Embedder,
    box_xyxy: tuple[float, float, float, float] | None = None,
) -> Query:
    """Take a person in a picture from outside.

    Args:
        image: `(H, W, 3)` uint8 RGB: a crop of the person, or a full frame when a box is given.
        embedder: of the gallery's vector space.
        box_xyxy: where the person is, in pixels of `image`.

    Raises:
        QueryError: the box is empty or not inside the picture, or a scene was given without one.
    """
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
    return Query(embedder.embed([image]).vectors[0], crop=image)


def find_later(
    store: Store,
    query: Query,
    *,
    top: int = defaults.TOP,
    camera: str | None = None,
    after: After | None = None,
    calibration: Calibration | None = None,
) -> SearchResult:
    """Rank the people in later frames by their distance to the query.

    Args:
        store: the gallery.
        query: who is looked for.
        top: how many matches to return at most.
        camera: search this camera only.
        after: matches must also lie after this moment.
        calibration: of the store's embedder.

    Raises:
        UsageError: `top` is less than 1.
        QueryError: no source has that camera, or a clock that `after` can be compared with.
    """
    if top < 1:
        raise UsageError(f"{top} matches cannot be shown")
    sources = store.sources()
    chosen = [r for r in sources if camera in (None, r.info.camera)]
    if camera is not None and not chosen:
        cameras = sorted({r.info.camera for r in sources})
        raise QueryError(
            f"the database has no camera {camera}", hint=f"it has {', '.join(cameras) or 'none'}"
        )
    comparable = [r for r in chosen if has_clock_of(r, query, sources, after)]
    left_out = tuple(str(r.info) for r in chosen if r not in comparable)
    moments = [query.sighting.time_s] if query.sighting is not None else []
    if after is not None and after.time_s is not None:
        moments.append(after.time_s)
    if after is not None and after.time_s is not None and chosen and not comparable:
        raise QueryError(
            f"no source can be searched after {after}: times with and without --start "
            "cannot be compared",
            hint="for sources with --start write a date, such as 2009-05-06T14:30; for others "
            "seconds or a clock; a frame number suits both",
        )
    matches: list[Match] = []
    if comparable:
        wanted = Filter(
            sources=tuple(r.info.key for r in comparable) if comparable != [*sources] else None,
            after_frame=after.frame if after is not None else None,
            after_s=max(moments, default=None),
        )
        matches = store.query(query.vector, wanted, top)
    if calibration is not None:
        said = calibration.probability(np.array([match.distance for match in matches]))
        matches = [
            replace(match, probability=probability)
            for match, probability in zip(matches, said.tolist(), strict=True)
        ]
    scope = _describe_scope(query, camera, after)
    return SearchResult(query, matches, scope, left_out, calibration)


def has_clock_of(
    record: SourceRecord,
    query: Query,
    sources: Sequence[SourceRecord],
    after: After | None = None,
) -> bool:
    """Whether a source's times can be compared with all moments that a search names."""
    is_dated = record.info.start_s is not None
    if after is not None and after.time_s is not None and after.is_date != is_dated:
        return False
    if query.sighting is None:
        return True
    own_key = query.sighting.camera, query.sighting.source
    own = next(r for r in sources if r.info.key == own_key)
    return is_dated == (own.info.start_s is not None)


def _describe_scope(query: Query, camera: str | None, after: After | None) -> str:
    scope = "all frames" if query.sighting is None else "later frames"
    if camera is not None:
        scope += f" of camera {camera}"
    if after is not None:
        scope += f" after {after}"
    return scope
