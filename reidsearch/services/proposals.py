"""Who is in footage: its passages, grouped into people."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from reidsearch.core.errors import QueryError
from reidsearch.core.ids import CropId
from reidsearch.core.types import Filter
from reidsearch.people.proposals import SAME_DISTANCE, at_once, propose
from reidsearch.search.query import query_crop

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from reidsearch.core.ids import SourceKey
    from reidsearch.core.provenance import SourceRecord
    from reidsearch.core.types import StoredDetection
    from reidsearch.people.tracklets import SourceTracklets
    from reidsearch.services.gallery import Gallery

_MOST_PASSAGES = 10_000  # whose distances to each other fit into 800 MB
_FRAMES_AT_ONCE = 2000
_UNSURE = 0.1  # how far the limit of distance may be off


@dataclass(frozen=True, slots=True, eq=False)
class SeenPassage:
    """A tracklet of a source.

    Attributes:
        key: of the source.
        number: of the tracklet in it.
        first_s, last_s: times of its first and last detection.
        is_dated: whether they count from the epoch.
        count: how many it has.
        best: its clear detection of the highest score, or else any.
        look: `(D,)`, the mean of its clear detections, or else of all, of length 1.
    """

    key: SourceKey
    number: int
    first_s: float
    last_s: float
    is_dated: bool
    count: int
    best: StoredDetection
    look: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Proposal:
    """Passages that may show one person.

    Attributes:
        passages: by time.
        name: of the person of whom one of them is confirmed; empty where none is.
    """

    passages: tuple[SeenPassage, ...]
    name: str = ""


@dataclass(frozen=True, slots=True)
class Proposals:
    """Everybody who may be in footage.

    Attributes:
        people: those seen most often first.
        fewest, most: how many there are where the limit of distance is off by `_UNSURE`.
    """

    people: tuple[Proposal, ...]
    fewest: int
    most: int


def propose_people(
    gallery: Gallery,
    sources: Sequence[SourceRecord],
    *,
    min_detections: int = 5,
    overlapping: bool = False,
    max_distance: float = SAME_DISTANCE,
) -> Proposals:
    """Group the passages of sources into people.

    What was confirmed or rejected before is kept to. Nobody is in two passages at once, where their
    times can be compared: in one source, and in sources whose start is known. It is recorded in the
    audit log.

    Args:
        gallery: of the database.
        sources: whose passages.
        min_detections: shorter passages are left out.
        overlapping: whether two cameras may see somebody at the same time.
        max_distance: see `propose`.

    Raises:
        QueryError: there are too many passages.
    """
    passages: list[SeenPassage] = []
    for record in sources:
        passages += _passages(gallery, record, min_detections)
        if len(passages) > _MOST_PASSAGES:
            raise QueryError(
                f"more than {_MOST_PASSAGES} passages are too many to group",
                hint="name a --source, or only longer ones: --min-detections",
            )
    passages.sort(key=lambda one: (one.first_s, one.key, one.number))
    names, rejected = _judged(gallery)
    own = [names.get((one.key, one.number), "") for one in passages]
    said = np.array(own)
    same = (said[:, None] == said) & (said != "")[:, None]
    apart = (said[:, None] != said) & (said != "")[:, None] & (said != "")
    for row, one in enumerate(passages):
        apart[row] |= np.isin(said, rejected.get((one.key, one.number), []))
    apart = apart | apart.T | _at_once(passages, overlapping=overlapping) & ~same
    dimension = gallery.store.provenance.dimension
    looks = np.array([one.look for one in passages], np.float32).reshape(-1, dimension)
    groups = propose(looks, same, apart, max_distance)
    counts = [
        len({*propose(looks, same, apart, limit).tolist()})
        for limit in (max_distance + _UNSURE, max_distance - _UNSURE)
    ]
    people = []
    for group in range(int(groups.max(initial=-1)) + 1):
        rows = np.flatnonzero(groups == group).tolist()
        name = next(filter(None, (own[row] for row in rows)), "")
        people.append(Proposal(tuple(passages[row] for row in rows), name))
    people.sort(key=lambda one: -sum(passage.count for passage in one.passages))
    gallery.people.record_proposals([record.info.key for record in sources], len(people))
    return Proposals(tuple(people), *counts)


def _at_once(passages: Sequence[SeenPassage], *, overlapping: bool) -> NDArray[np.bool_]:
    """Which pairs of passages are at the same time, where nobody can be in both."""
    first = np.array([one.first_s for one in passages])
    pairs = at_once(first, np.array([one.last_s for one in passages]))
    sources = np.array([str(one.key) for one in passages])
    dated = np.array([one.is_dated for one in passages], np.bool_)
    comparable = dated[:, np.newaxis] & dated
    if overlapping:
        cameras = np.array([one.key.camera for one in passages])
        comparable &= cameras[:, np.newaxis] == cameras
    return np.asarray(pairs & (comparable | (sources[:, np.newaxis] == sources)))


def _judged(
    gallery: Gallery,
) -> tuple[dict[tuple[SourceKey, int], str], dict[tuple[SourceKey, int], list[str]]]:
    """Of which person tracklets are confirmed, and for whom they are rejected."""
    names: dict[tuple[SourceKey, int], str] = {}
    rejected: dict[tuple[SourceKey, int], list[str]] = {}
    for name, judged in gallery.people.judged_by_name().items():
        names |= {gallery.tracklets.name(one): name for one in judged.confirmed}
        for one in judged.rejected:
            rejected.setdefault(gallery.tracklets.name(one), []).append(name)
    return names, rejected


def _passages(gallery: Gallery, record: SourceRecord, min_detections: int) -> Iterator[SeenPassage]:
    """Tracklets of a source, in the order in which they begin."""
    key = record.info.key
    tracklets = gallery.tracklets.of(key)
    looks = _mean_looks(gallery, key, tracklets)
    for number, rows in enumerate(tracklets.members()):
        if len(rows) < min_detections:
            continue
        own = tracklets.linked[rows]
        best = own[np.lexsort((own["score"], own["is_clear"]))[-1]]
        crop = CropId(*key, int(best["frame"]), int(best["person"]))
        shown = query_crop(gallery.store, str(crop)).detection
        span = float(own["time_s"][0]), float(own["time_s"][-1])
        is_dated = record.info.start_s is not None
        yield SeenPassage(key, number, *span, is_dated, len(own), shown, looks[number])


def _mean_looks(
    gallery: Gallery, key: SourceKey, tracklets: SourceTracklets
) -> NDArray[np.float32]:
    """The mean of each tracklet's clear detections, of length 1."""
    linked = tracklets.linked
    shape = int(linked["tracklet"].max(initial=-1)) + 1, gallery.store.provenance.dimension
    sums, all_sums = np.zeros(shape), np.zeros(shape)
    frames, firsts = np.unique(linked["frame"], return_index=True)
    for start in range(0, len(frames), _FRAMES_AT_ONCE):
        chunk = frames[start : start + _FRAMES_AT_ONCE]
        wanted = Filter((key,), after_frame=int(chunk[0]) - 1, before_frame=int(chunk[-1]) + 1)
        vectors = gallery.store.scan(wanted).embeddings.vectors
        rows = linked[firsts[start] :][: len(vectors)]
        clear = rows["is_clear"] > 0
        np.add.at(all_sums, rows["tracklet"], vectors)
        np.add.at(sums, rows["tracklet"][clear], vectors[clear])
    nothing = ~sums.any(axis=1)
    sums[nothing] = all_sums[nothing]
    return np.asarray(sums / np.linalg.norm(sums, axis=1, keepdims=True), np.float32)
