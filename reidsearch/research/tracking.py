"""How well detections were linked, by the metrics of TrackEval.

https://github.com/JonathonLuiten/TrackEval/tree/master/trackeval/metrics
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import linear_sum_assignment

from reidsearch.core.boxes import iou_matrix

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Mapping

    from numpy.typing import NDArray

    from reidsearch.research.mot import FrameTruth

_ALPHAS = np.arange(0.05, 0.99, 0.05)
_MATCH_IOU = 0.5
_EPS = np.finfo(np.float64).eps


@dataclass(frozen=True, slots=True, eq=False)
class LinkedFrame:
    """Detections of one frame, and the tracklet of each; row i of both is the same.

    Attributes:
        tracklet: `(N,)`, numbers, none of them twice.
        xyxy: `(N, 4)` float32 pixels.
    """

    tracklet: NDArray[np.int64]
    xyxy: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class LinkQuality:
    """Fractions, but for `tracklets` and `fragments`.

    Attributes:
        hota: higher order tracking accuracy, the mean over IoU thresholds from .05 to .95 (Luiten
            et al., "HOTA: A higher order metric for evaluating multi-object tracking", 2021).
        idf1: identification F1 at IoU 0.5 (Ristani et al., "Performance measures and a data set for
            multi-target, multi-camera tracking", 2016).
        purity: of the detections that show a person, how many are in a tracklet that shows that
            person most often.
        tracklets: how many there are.
        fragments: tracklets that show people, for each person found; 1 is best.
    """

    hota: float
    idf1: float
    purity: float
    tracklets: int
    fragments: float


def measure_linking(
    found: Mapping[int, LinkedFrame], truth: Mapping[int, FrameTruth]
) -> LinkQuality:
    """Compare tracklets with ground truth in the frames of `found`.

    Args:
        found: detections of each frame looked at, without those of distractors.
        truth: who is where; in frames that are missing here, nobody.
    """
    people = _numbered(p for n in found if n in truth for p in truth[n].people)
    tracklets = _numbered(int(t) for frame in found.values() for t in frame.tracklet)
    empty = np.empty((0, 4), np.float32)
    frames = []
    for number, frame in found.items():
        at = truth.get(number)
        frames.append(
            (
                np.array([people[p] for p in at.people] if at else [], np.intp),
                np.array([tracklets[int(t)] for t in frame.tracklet], np.intp),
                iou_matrix(at.xyxy if at else empty, frame.xyxy).astype(np.float64),
            )
        )
    shape = len(people), len(tracklets)
    purity, fragments = _purity(frames, shape)
    return LinkQuality(_hota(frames, shape), _idf1(frames, shape), purity, shape[1], fragments)


def pairwise_f1(
    groups: NDArray[np.int64], tracklets: NDArray[np.int64], people: NDArray[np.int64]
) -> float:
    """How well detections were grouped into people: F1 over pairs of them in two tracklets.

    A pair is found when both are in one group, and right when both show one person.

    Args:
        groups: `(N,)`, of each detection that shows somebody.
        tracklets: `(N,)`, of each.
        people: `(N,)`, whom it shows.
    """

    def pairs(*labels: NDArray[np.int64]) -> int:
        _, counts = np.unique(np.stack(labels), axis=1, return_counts=True)
        return int((counts * (counts - 1) // 2).sum())

    inside = pairs(tracklets, people)
    both = pairs(groups, people) - inside
    total = pairs(groups) - pairs(tracklets) + pairs(people) - inside
    return 2 * both / total if total else float("nan")


_Frame = tuple["NDArray[np.intp]", "NDArray[np.intp]", "NDArray[np.float64]"]
"""P people, T tracklets, and the `(P, T)` IoU of each with each."""


def _numbered(names: Iterable[Hashable]) -> dict[Hashable, int]:
    return {name: number for number, name in enumerate(dict.fromkeys(names))}


def _hota(frames: list[_Frame], shape: tuple[int, int]) -> float:
    together, counts_g, counts_t = np.zeros(shape), np.zeros(shape[0]), np.zeros(shape[1])
    for people, tracklets, iou in frames:
        either = iou.sum(0)[None] + iou.sum(1)[:, None] - iou
        together[np.ix_(people, tracklets)] += np.divide(
            iou, either, out=np.zeros_like(iou), where=either > _EPS
        )
        counts_g[people] += 1
        counts_t[tracklets] += 1
    both = counts_g[:, None] + counts_t[None]
    alignment = together / np.maximum(both - together, _EPS)
    matched = np.zeros((len(_ALPHAS), *shape))
    for people, tracklets, iou in frames:
        rows, columns = linear_sum_assignment(
            alignment[np.ix_(people, tracklets)] * iou, maximize=True
        )
        for level, alpha in enumerate(_ALPHAS):
            enough = iou[rows, columns] >= alpha - _EPS
            matched[level, people[rows[enough]], tracklets[columns[enough]]] += 1
    hits = matched.sum(axis=(1, 2))
    detection = hits / np.maximum(1, counts_g.sum() + counts_t.sum() - hits)
    accuracy = matched / np.maximum(1, both - matched)
    association = (matched * accuracy).sum(axis=(1, 2)) / np.maximum(1, hits)
    return float(np.sqrt(detection * association).mean())


def _idf1(frames: list[_Frame], shape: tuple[int, int]) -> float:
    together, total = np.zeros(shape), 0
    for people, tracklets, iou in frames:
        together[np.ix_(people, tracklets)] += iou >= _MATCH_IOU
        total += len(people) + len(tracklets)
    rows, columns = linear_sum_assignment(together, maximize=True)
    return 2 * float(together[rows, columns].sum()) / total if total else float("nan")


def _purity(frames: list[_Frame], shape: tuple[int, int]) -> tuple[float, float]:
    shown = np.zeros(shape)
    for people, tracklets, iou in frames:
        rows, columns = linear_sum_assignment(np.where(iou >= _MATCH_IOU, iou, 0), maximize=True)
        right = iou[rows, columns] >= _MATCH_IOU
        shown[people[rows[right]], tracklets[columns[right]]] += 1
    if not shown.sum():
        return float("nan"), float("nan")
    is_used = shown.sum(axis=0) > 0
    found = int((shown.sum(axis=1) > 0).sum())
    return float(shown.max(axis=0).sum() / shown.sum()), int(is_used.sum()) / found
