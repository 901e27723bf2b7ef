"""Detection and later-frame search on footage with ground truth, from end to end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from reidsearch.core.boxes import iou_matrix
from reidsearch.core.errors import DatasetError
from reidsearch.core.exact_search import CHUNK_ROWS, nearest_rows
from reidsearch.core.progress import SILENT
from reidsearch.core.text import format_percent
from reidsearch.core.types import Detections, Frame
from reidsearch.ingest.stages import finder_of
from reidsearch.ingest.threads import Group, run_stages
from reidsearch.people.linking import find_clear, link, step_of
from reidsearch.people.proposals import at_once, propose
from reidsearch.people.tracklets import mean_look, spread
from reidsearch.research.metrics import RankedQuery, detection_average_precision, rank_query
from reidsearch.research.tracking import LinkedFrame, measure_linking, pairwise_f1

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from reidsearch.core.progress import Progress
    from reidsearch.footage import FrameSource
    from reidsearch.models.detectors import Detector
    from reidsearch.models.embedders import Embedder
    from reidsearch.research.mot import FrameTruth
    from reidsearch.research.tracking import LinkQuality

MATCH_IOU = 0.5
_LEAST_RECALL = 0.05


@dataclass(frozen=True, slots=True)
class DetectionQuality:
    """Fractions; recall and precision count the detections of at least a given score.

    Attributes:
        ignored: how many of these are of distractors, and count neither as right nor as wrong.
    """

    ap50: float
    recall: float
    precision: float
    ignored: int


@dataclass(frozen=True, slots=True)
class Answer:
    """How one person was found again, by their first detection.

    Attributes:
        person: see `FrameTruth`.
        frame, box_xyxy: the first detection.
        sightings: how often the ground truth has the person later.
        ranked: the later detections; those that show the person are right.
        by_tracklet: the same, as a search for passages ranks them: the person's own tracklet, then
            the others, all detections of one after another, by the distance of the nearest to the
            first detection or to the mean of the own.
    """

    person: str
    frame: int
    box_xyxy: tuple[float, ...]
    sightings: int
    ranked: RankedQuery
    by_tracklet: RankedQuery


@dataclass(frozen=True, slots=True)
class SearchQuality:
    """How people were found again, each by their first detection.

    Attributes:
        mean_ap: mean average precision over later detections that show the person.
        mean_ap_all: the same over all later sightings of the ground truth: those that were not
            detected count as never found.
        mean_ap_by_tracklet: that of `Answer.by_tracklet`.
        rank1: how often the nearest later detection is right, as a fraction.
        queries: people who were detected again later, over whom `mean_ap` and `rank1` are means.
        answers: one for each person who was detected and is there later.
    """

    mean_ap: float
    mean_ap_all: float
    mean_ap_by_tracklet: float
    rank1: float
    queries: int
    answers: tuple[Answer, ...]


@dataclass(frozen=True, slots=True)
class FootageQuality:
    """How footage was searched from end to end.

    Attributes:
        people_f1: of the people whom `people propose` would make of all tracklets; see
            `pairwise_f1`.
        frames, detections: how many were looked at and found.
        failures: why the frames that could not be decoded could not.
    """

    detection: DetectionQuality
    search: SearchQuality
    linking: LinkQuality
    people_f1: float
    frames: int
    detections: int
    failures: tuple[str, ...]


def evaluate_footage(
    source: FrameSource,
    truth: Mapping[int, FrameTruth],
    detector: Detector,
    embedder: Embedder,
    min_score: float,
    progress: Progress = SILENT,
) -> FootageQuality:
    """Find and embed everyone in footage as `ingest` does, and compare with ground truth.

    Args:
        source: the footage.
        truth: who is where in it.
        detector: built to give all scores, which the average precision needs.
        embedder: any.
        min_score: from which score on a detection counts as found.
        progress: gets a step for each frame.

    Raises:
        DatasetError: no frame of the footage is in the ground truth.
    """
    if not any(isinstance(frame, Frame) for frame in source.frames(truth.__contains__)):
        raise DatasetError(
            "no frame of the footage is in the ground truth",
            hint="both count frames from 1, or as the frames' names say",
        )
    look = finder_of(detector)
    found: dict[int, Detections] = {}

    def find(chunk: Sequence[Frame]) -> list[Detections]:
        everything = look(chunk)
        found.update(zip((frame.number for frame in chunk), everything, strict=True))
        return [some[some.score >= min_score] for some in everything]

    rows: list[int] = []
    boxes = [np.empty((0, 4), np.float32)]
    vectors = [np.empty((0, embedder.card.dimension), np.float32)]
    failures: list[str] = []
    progress.phase("frames", len(source))
    with run_stages(source.frames(), lambda: (find, embedder), in_order=True) as done:
        for item in done:
            if isinstance(item, Group):
                for frame in item.frames:
                    rows += [frame.number] * len(frame.crops)
                    boxes.append(frame.crops.detections.xyxy)
                vectors.append(item.embeddings.vectors)
            else:
                failures += (bad.reason for bad in item.bad)
                progress.advance(len(item.frames) + len(item.bad))
    detection = measure_detection(found, truth, min_score)
    if detection.recall < _LEAST_RECALL:
        share = format_percent(detection.recall, 1)
        progress.warn(f"only {share} of the people in GT were found: is it of this footage?")
    frames, xyxy = np.array(rows, np.int64), np.concatenate(boxes)
    embedded = np.concatenate(vectors)
    times_s = source.info.times_of(frames)
    step_s = step_of(source.info.times_of(np.array(sorted(found), np.int64)))
    tracklets = link(times_s, xyxy, embedded, embedder.card.calibration, step_s)
    seen = {number: truth[number] for number in found if number in truth}
    return FootageQuality(
        detection,
        measure_search(frames, xyxy, embedded, tracklets, seen),
        measure_linking(_linked(found, frames, xyxy, tracklets, seen), seen),
        _measure_people(times_s, frames, xyxy, embedded, tracklets, seen),
        frames=len(found),
        detections=len(frames),
        failures=tuple(failures),
    )


def _measure_people(
    times_s: NDArray[np.float64],
    frames: NDArray[np.int64],
    xyxy: NDArray[np.float32],
    vectors: NDArray[np.float32],
    tracklets: NDArray[np.int64],
    truth: Mapping[int, FrameTruth],
) -> float:
    """Group tracklets into people, and compare with ground truth; see `pairwise_f1`."""
    count = int(tracklets.max(initial=-1)) + 1
    clear = find_clear(frames, xyxy)
    looks = np.zeros((count, vectors.shape[1]), np.float32)
    first_s, last_s = np.empty((2, count))
    for number in range(count):
        rows = np.flatnonzero(tracklets == number)
        best = rows[clear[rows]]
        looks[number] = mean_look(vectors[best if len(best) else rows])[0]
        first_s[number], last_s[number] = times_s[rows[0]], times_s[rows[-1]]
    nothing = np.zeros((count, count), np.bool_)
    groups = propose(looks, nothing, at_once(first_s, last_s))
    places = zip(xyxy, (truth.get(int(frame)) for frame in frames), strict=True)
    overlaps = (_overlap_by_person(*place) for place in places)
    shown = [max(some, key=some.__getitem__, default="") for some in overlaps]
    rows = np.flatnonzero([bool(name) for name in shown])
    people = np.unique([shown[row] for row in rows], return_inverse=True)[1].astype(np.int64)
    return pairwise_f1(groups[tracklets[rows]], tracklets[rows], people)


def _linked(
    looked_at: Iterable[int],
    frames: NDArray[np.int64],
    xyxy: NDArray[np.float32],
    tracklets: NDArray[np.int64],
    truth: Mapping[int, FrameTruth],
) -> dict[int, LinkedFrame]:
    """The detections of each frame, without those of distractors."""
    linked = {}
    for number in looked_at:
        rows = np.flatnonzero(frames == number)
        boxes = Detections(xyxy[rows], np.ones(len(rows), np.float32))
        _, is_distracted = _match(boxes, truth.get(number))
        rows = rows[~is_distracted]
        linked[number] = LinkedFrame(tracklets[rows], xyxy[rows])
    return linked


def measure_detection(
    found: Mapping[int, Detections], truth: Mapping[int, FrameTruth], min_score: float
) -> DetectionQuality:
    """Compare detections with ground truth in the frames of `found`.

    A detection is true when it overlaps a person's box by IoU >= 0.5 that no detection of a higher
    score has taken. One that otherwise overlaps a distractor so, each of which takes one, is left
    out.

    Args:
        found: for each frame looked at, all detections, also those of low scores.
        truth: for each frame with people.
        min_score: the score from which recall and precision count.
    """
    score, is_true = [np.empty(0, np.float32)], [np.empty(0, bool)]
    ignored = 0
    for frame, detections in found.items():
        hits, distracted = _match(detections, truth.get(frame))
        ignored += int((detections.score[distracted] >= min_score).sum())
        score.append(detections.score[~distracted])
        is_true.append(hits[~distracted])
    scores, are_true = np.concatenate(score), np.concatenate(is_true)
    truth_count = sum(len(truth[frame].people) for frame in found if frame in truth)
    kept = scores >= min_score
    hit_count = int(are_true[kept].sum())
    return DetectionQuality(
        ap50=detection_average_precision(scores, are_true, truth_count),
        recall=hit_count / truth_count if truth_count else float("nan"),
        precision=hit_count / int(kept.sum()) if kept.any() else float("nan"),
        ignored=ignored,
    )


def measure_search(
    frames: NDArray[np.int64],
    xyxy: NDArray[np.float32],
    vectors: NDArray[np.float32],
    tracklets: NDArray[np.int64],
    truth: Mapping[int, FrameTruth],
) -> SearchQuality:
    """Search for each person's first detection in all later frames of the same source.

    A match is right when its box overlaps a ground-truth box of the same person by IoU >= 0.5; one
    that shows nobody but a distractor is left out. Distances are exact.

    Args:
        frames: `(N,)`, the frame of each detection in one source.
        xyxy: `(N, 4)`, its box.
        vectors: `(N, D)`, of length 1, as they are stored.
        tracklets: `(N,)`, see `link`.
        truth: who is where in the frames that were looked at.
    """
    places = list(zip(xyxy, (truth.get(int(frame)) for frame in frames), strict=True))
    overlaps = [_overlap_by_person(*place) for place in places]
    counts = np.array(
        [
            bool(some) or not _is_distractor(*place)
            for some, place in zip(overlaps, places, strict=True)
        ],
        bool,
    )
    stored = vectors.astype(np.float16)
    is_clear = find_clear(frames, xyxy)
    answers = []
    for person in sorted({person for overlap in overlaps for person in overlap}):
        shows = np.array([person in overlap for overlap in overlaps])
        rows = np.flatnonzero(shows)
        first = min(rows, key=lambda row: (frames[row], -overlaps[row][person]))
        since = int(frames[first])
        later = (frames > since) & counts
        sightings = sum(n > since and person in at.people for n, at in truth.items())
        is_own, rows = tracklets == tracklets[first], np.flatnonzero(later)
        mean = mean_look(vectors[spread(np.flatnonzero(is_own & is_clear))]).astype(np.float16)
        ranked = _rank(stored, stored[[first]], rows)
        queries = np.concatenate([stored[[first]], mean])
        joined = _join(_rank(stored, queries, rows), tracklets)
        joined = joined[np.argsort(~is_own[joined], kind="stable")]
        if shows[ranked].any() or sightings:
            box = tuple(round(edge, 2) for edge in xyxy[first].tolist())
            answered = [rank_query(shows[some]) for some in (ranked, joined)]
            answers.append(Answer(person, since, box, sightings, *answered))
    found = [answer.ranked for answer in answers if answer.ranked.right]
    return SearchQuality(
        mean_ap=_mean([ranked.average_precision for ranked in found]),
        mean_ap_all=_mean([_over_all(answer.ranked, answer) for answer in answers]),
        mean_ap_by_tracklet=_mean([_over_all(answer.by_tracklet, answer) for answer in answers]),
        rank1=_mean([float(ranked.right_rank == 1) for ranked in found]),
        queries=len(found),
        answers=tuple(answers),
    )


def _rank(
    vectors: NDArray[np.float16], query: NDArray[np.float16], rows: NDArray[np.intp]
) -> NDArray[np.intp]:
    """Sort rows by their distance to the nearest of a query's vectors."""
    parts = (rows[start : start + CHUNK_ROWS] for start in range(0, len(rows), CHUNK_ROWS))
    blocks = nearest_rows(vectors, query, parts)
    return np.concatenate([np.empty(0, np.intp), *(some for some, _ in blocks)])


def _join(ranked: NDArray[np.intp], tracklets: NDArray[np.int64]) -> NDArray[np.intp]:
    """Let all rows of a tracklet follow its nearest."""
    _, firsts, inverse = np.unique(tracklets[ranked], return_index=True, return_inverse=True)
    return ranked[np.argsort(firsts[inverse], kind="stable")]


def _over_all(ranked: RankedQuery, answer: Answer) -> float:
    """Average precision where sightings that were not detected count as never found."""
    return ranked.average_precision * ranked.right / max(ranked.right, answer.sightings)


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else float("nan")


def _match(
    detections: Detections, truth: FrameTruth | None
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which detections show a person, and which of the others a distractor, each its own."""
    is_true, is_distracted = np.zeros((2, len(detections)), bool)
    if truth is None:
        return is_true, is_distracted
    order = np.argsort(-detections.score, kind="stable")
    for taken, boxes in ((is_true, truth.xyxy), (is_distracted, truth.distractors_xyxy)):
        if not len(boxes):
            continue
        iou = iou_matrix(detections.xyxy, boxes)
        for row in order[~is_true[order]]:
            best = int(iou[row].argmax())
            if iou[row, best] >= MATCH_IOU:
                taken[row] = True
                iou[:, best] = 0
    return is_true, is_distracted


def _is_distractor(box_xyxy: NDArray[np.float32], truth: FrameTruth | None) -> bool:
    if truth is None:
        return False
    iou = iou_matrix(box_xyxy[np.newaxis], truth.distractors_xyxy)
    return bool((iou >= MATCH_IOU).any())


def _overlap_by_person(box_xyxy: NDArray[np.float32], truth: FrameTruth | None) -> dict[str, float]:
    """IoU with each person that the box may be said to show."""
    if truth is None:
        return {}
    iou = iou_matrix(box_xyxy[np.newaxis], truth.xyxy)[0]
    pairs = zip(truth.people, iou.tolist(), strict=True)
    return {person: overlap for person, overlap in pairs if overlap >= MATCH_IOU}
