"""From a query to ranked matches."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from reidsearch.core.types import Filter
from reidsearch.search.grouping import Grouping
from reidsearch.search.later import find_scope
from reidsearch.search.window import Window

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping, Sequence

    from reidsearch.core.calibration import Calibration
    from reidsearch.core.provenance import SourceRecord
    from reidsearch.core.store import Store, Tracklets
    from reidsearch.core.types import Match, Passage, StoredDetection
    from reidsearch.search.query import Query


_MOST_VECTORS = 50  # of a query


@dataclass(frozen=True, slots=True)
class SearchResult:
    """What a search found.

    Attributes:
        query: who was searched for.
        matches: nearest first.
        scope: which frames were searched, in words.
        left_out: sources whose times cannot be compared with the query's.
        calibration: what gave the matches their probabilities, if anything did.
        exact: whether no nearer person can have been missed.
        candidates: how many detections were compared, where that is known.
        ms: how long that took.
        disagreeing: of several pictures, the two farthest apart, if two people are likelier.
        own: the passage that the query itself is from, which is no match, where tracklets are
            answered.
    """

    query: Query
    matches: list[Match]
    scope: str
    left_out: tuple[str, ...] = ()
    calibration: Calibration | None = None
    exact: bool = True
    candidates: int | None = None
    ms: float = 0.0
    disagreeing: tuple[str, ...] = ()
    own: Passage | None = None

    @property
    def likely(self) -> int | None:
        """How many matches are likelier right than wrong; None if that is not known."""
        if self.calibration is None:
            return None
        return sum(match.is_likely for match in self.matches)


@dataclass(frozen=True, slots=True, eq=False)
class FootageMatches:
    """Where a search found its query in the frames of one source.

    Attributes:
        query: who was searched for.
        record: of the source.
        detections: of each frame stored, by its number.
        matches: the nearest detection of each frame that has a match, by its number.
    """

    query: Query
    record: SourceRecord
    detections: Mapping[int, Sequence[StoredDetection]]
    matches: Mapping[int, Match]


def find_later(
    store: Store,
    query: Query,
    window: Window | None = None,
    grouping: Grouping | None = None,
    calibration: Calibration | None = None,
    tracklets: Tracklets | None = None,
) -> SearchResult:
    """Rank the detections in later frames by their distance to the query.

    Where tracklets are answered, a stored query is looked for by the mean of its own tracklet, too:
    the nearer counts. A person with a name is looked for by all that was confirmed; tracklets with
    a confirmed detection come first, and those with a rejected one never.

    Args:
        store: the gallery.
        query: who is searched for.
        window: which part of the footage is searched; all of it by default.
        grouping: which detections become matches.
        calibration: of the store's embedder.
        tracklets: of the store, where these are answered; else frames or detections are.

    Raises:
        UsageError, QueryError: as `find_scope` raises them.
    """
    window, grouping = window or Window(), grouping or Grouping()
    tracklets = tracklets if grouping.by == "tracklet" else None
    scope = find_scope(window, query.detection, store.sources())
    started = time.perf_counter()
    candidates = store.count(scope.wanted) if store.is_exact else None
    name = _frame_of if tracklets is None else tracklets.name
    vectors, own = query.vectors, None
    shown = {name(one): one for one in (query.detection, *query.confirmed) if one is not None}
    if tracklets is not None and shown:
        means = map(tracklets.mean_look, shown.values())
        vectors = np.concatenate([*means, vectors])
        rows = np.linspace(0, len(vectors) - 1, min(len(vectors), _MOST_VECTORS))
        vectors = vectors[rows.round().astype(np.intp)]
    if tracklets is not None and query.detection is not None:
        own = tracklets.passage(query.detection, Filter())
    confirmed = {name(one) for one in query.confirmed}
    others = {name(one) for one in query.rejected} - confirmed
    if query.detection is not None:
        others.add(name(query.detection))
    nearest = store.nearest(vectors, scope.wanted, grouping.fuse)
    nearest = (match for match in nearest if name(match.detection) not in others)
    wider = replace(grouping, top=grouping.top + len(confirmed))
    matches = wider.choose(nearest, len(scope.sources), name)
    if tracklets is not None:
        matches = [
            replace(
                match,
                passage=tracklets.passage(match.detection, scope.wanted),
                is_confirmed=name(match.detection) in confirmed,
            )
            for match in matches
        ]
    matches.sort(key=lambda match: not match.is_confirmed)
    matches = [replace(m, rank=rank) for rank, m in enumerate(matches[: grouping.top], start=1)]
    return SearchResult(
        query,
        _with_probability(matches, calibration, len(vectors)),
        scope.words,
        tuple(str(record.info) for record in scope.left_out),
        calibration,
        exact=store.is_exact,
        candidates=candidates,
        ms=1000 * (time.perf_counter() - started),
        disagreeing=_find_disagreeing(query, calibration),
        own=own,
    )


def find_in_each_frame(
    store: Store, query: Query, record: SourceRecord, max_distance: float | None = None
) -> FootageMatches:
    """Find the nearest detection of each later frame of a source.

    Args:
        store: the gallery.
        query: who is searched for.
        record: of the source.
        max_distance: frames without a detection this near have no match; None is any distance.

    Raises:
        QueryError: the source's times cannot be compared with the query's.
    """
    scope = find_scope(Window(sources=(record,)), query.detection, store.sources())
    detections: dict[int, list[StoredDetection]] = {
        number: [] for number in store.frames(record.info.key).tolist()
    }
    for detection in store.detections(Filter(sources=(record.info.key,))):
        detections[detection.frame].append(detection)
    matches: dict[int, Match] = {}
    for match in store.nearest(query.vectors, scope.wanted):
        if max_distance is not None and match.distance > max_distance:
            break
        matches.setdefault(match.detection.frame, match)
    return FootageMatches(query, record, detections, matches)


def _frame_of(detection: StoredDetection) -> Hashable:
    return detection.key, detection.frame


def _find_disagreeing(query: Query, calibration: Calibration | None) -> tuple[str, ...]:
    """Whether two pictures rather show two people, where that would be as likely as one."""
    if calibration is None or len(query.paths) < 2:
        return ()
    distances = np.linalg.norm(query.vectors[:, None] - query.vectors, axis=2)
    farthest = np.unravel_index(distances.argmax(), distances.shape)
    if distances[farthest] <= replace(calibration, prior=0.5).likely_distance:
        return ()
    return tuple(query.paths[row] for row in sorted(farthest))


def _with_probability(
    matches: list[Match], calibration: Calibration | None, pictures: int
) -> list[Match]:
    if calibration is None:
        return matches
    distances = np.array([match.distance for match in matches])
    pairs = [pictures * match.passage.count if match.passage else 1 for match in matches]
    said = calibration.probability(distances, np.array(pairs, np.int64))
    return [
        replace(match, probability=probability)
        for match, probability in zip(matches, said.tolist(), strict=True)
    ]
