"""Tracklets: which detections of one camera follow each other as one person.

A detection continues a tracklet where more speaks for that than against it: how near it is to where
the person must be by now, and how alike both look. Evidence is the log of a ratio of likelihoods
and adds up, so that the pairs of one frame with the greatest sum are found by the Hungarian method,
as in SORT (Bewley et al., "Simple online and realtime tracking", 2016). What is left begins
tracklets of its own: one person in two tracklets costs little, two people in one cost much.

All distances are in heights of the person and all times in seconds, so that large people and small
ones, and every fifth frame as well as every one, are linked by the same constants. These were
chosen on PETS09-S2L1 and TUD-Campus by `scripts/bench_linking.py`.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import TYPE_CHECKING

import numpy as np

from reidsearch.core.boxes import cover_matrix

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from reidsearch.core.calibration import Calibration

GAP_S, GAP_STEPS = 1.5, 2.5
"""Nobody is out of sight for longer within a tracklet: seconds, or steps from frame to frame."""
_PLACE_SD, _PLACE_SD_PER_S = 0.25, 0.2  # of where somebody is, in heights
_HEIGHT_SD, _HEIGHT_SD_PER_S = 0.1, 0.3  # of the height's logarithm
_ELSEWHERE = 1.5  # what must be outweighed: other people are near, too
_SPEED_S = 1.5  # over which a speed is measured
_HEIGHTS = 5  # whose median is the person's
_HIDDEN = 0.5  # the share of a box covered by another from which it shows two people
_MEMORY = 0.95  # how much of what somebody looked like is kept


@dataclass(frozen=True, slots=True)
class _Sight:
    """Where somebody stood at one moment, in pixels."""

    time_s: float
    x: float
    foot: float
    height: float


class _Tracklet:
    """What the detections so far say of a person."""

    def __init__(self, number: int, vector: NDArray[np.float32]) -> None:
        self.number = number
        self.vector = vector
        self.is_clear = False
        self._recent: deque[_Sight] = deque()

    @property
    def last_s(self) -> float:
        return self._recent[-1].time_s

    def add(self, sight: _Sight, vector: NDArray[np.float32], *, is_clear: bool) -> None:
        recent = self._recent
        recent.append(sight)
        while len(recent) > 2 and sight.time_s - recent[0].time_s > _SPEED_S:
            recent.popleft()
        if is_clear and self.is_clear:
            mixed = _MEMORY * self.vector + (1 - _MEMORY) * vector
            self.vector = mixed / np.linalg.norm(mixed)
        elif is_clear:
            self.vector, self.is_clear = vector, True

    def predict(self, time_s: float) -> tuple[float, float, float, float]:
        """Where the person stands at a later time: x, foot, height, and how long it is until then.

        Those who walk go on as they did.
        """
        first, last = self._recent[0], self._recent[-1]
        gap_s = time_s - last.time_s
        height = median(sight.height for sight in list(self._recent)[-_HEIGHTS:])
        if first is last:
            return last.x, last.foot, height, gap_s
        share = gap_s / (last.time_s - first.time_s)
        x, foot = last.x + share * (last.x - first.x), last.foot + share * (last.foot - first.foot)
        return x, foot, height, gap_s


def link(
    times_s: NDArray[np.float64],
    xyxy: NDArray[np.float32],
    vectors: NDArray[np.float32],
    calibration: Calibration | None = None,
    step_s: float = 0.0,
) -> NDArray[np.int64]:
    """Say to which tracklet each detection of a source belongs.

    Detections of one frame are never in the same tracklet.

    Args:
        times_s: `(N,)`, of each detection's frame, ascending; equal within a frame only.
        xyxy: `(N, 4)`, its box in pixels.
        vectors: `(N, D)` of length 1.
        calibration: of the vectors; None links by place alone, which is much worse.
        step_s: from one frame that was looked at to the next, also where nobody is in them.

    Returns:
        `(N,)`, numbers from 0 in the order in which tracklets begin.
    """
    numbers = np.empty(len(xyxy), np.int64)
    seen: list[_Tracklet] = []
    begun = 0
    starts = np.flatnonzero(np.diff(times_s, prepend=-np.inf))
    gap_s = max(GAP_S, GAP_STEPS * step_s)
    for start, stop in pairwise([*starts.tolist(), len(xyxy)]):
        time_s, boxes, looks = float(times_s[start]), xyxy[start:stop], vectors[start:stop]
        seen = [tracklet for tracklet in seen if time_s - tracklet.last_s <= gap_s]
        is_clear = _find_clear(boxes).tolist()
        owners = _pair(seen, time_s, boxes, looks, calibration)
        for place, (x1, y1, x2, y2) in enumerate(boxes.tolist()):
            owner = owners.get(place)
            if owner is None:
                owner = _Tracklet(begun, looks[place])
                begun += 1
                seen.append(owner)
            sight = _Sight(time_s, (x1 + x2) / 2, y2, y2 - y1)
            owner.add(sight, looks[place], is_clear=is_clear[place])
            numbers[start + place] = owner.number
    return numbers


def step_of(times_s: NDArray[np.float64]) -> float:
    """The usual time from one frame to the next, of all that were looked at; 0 of a single one."""
    return float(np.median(np.diff(times_s))) if len(times_s) > 1 else 0.0


def find_clear(frames: NDArray[np.int64], xyxy: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Which detections of a source show one person alone, as no other covers half of the box.

    Args:
        frames: `(N,)`, of each detection, ascending.
        xyxy: `(N, 4)`, its box.
    """
    is_clear = np.empty(len(xyxy), np.bool_)
    starts = np.flatnonzero(np.diff(frames, prepend=-1))
    for start, stop in pairwise([*starts.tolist(), len(xyxy)]):
        is_clear[start:stop] = _find_clear(xyxy[start:stop])
    return is_clear


def _find_clear(xyxy: NDArray[np.float32]) -> NDArray[np.bool_]:
    """The same of one frame."""
    cover = cover_matrix(xyxy, xyxy)
    np.fill_diagonal(cover, 0)
    return np.asarray(cover.max(axis=1) < _HIDDEN)


def _pair(
    seen: list[_Tracklet],
    time_s: float,
    xyxy: NDArray[np.float32],
    vectors: NDArray[np.float32],
    calibration: Calibration | None,
) -> dict[int, _Tracklet]:
    """The tracklets that detections of a frame, by their places, continue."""
    from scipy.optimize import linear_sum_assignment  # which searches, who link nothing, need not

    if not seen:
        return {}
    predicted = np.array([tracklet.predict(time_s) for tracklet in seen])
    x, foot, height, gap_s = predicted.T[:, :, np.newaxis]
    place_sd = (_PLACE_SD + _PLACE_SD_PER_S * gap_s) * height
    height_sd = _HEIGHT_SD + _HEIGHT_SD_PER_S * gap_s
    off = np.square(((xyxy[:, 0] + xyxy[:, 2]) / 2 - x) / place_sd)
    off += np.square((xyxy[:, 3] - foot) / place_sd)
    off += np.square(np.log((xyxy[:, 3] - xyxy[:, 1]) / height) / height_sd)
    evidence = -off / 2 - 2 * np.log(place_sd / height) - _ELSEWHERE
    if calibration is not None:
        known = np.stack([tracklet.vector for tracklet in seen])
        distance = np.sqrt(np.maximum(2 - 2 * (known @ vectors.T), 0))
        evidence += calibration.evidence(distance)
    rows, places = linear_sum_assignment(np.maximum(evidence, 0), maximize=True)
    pairs = zip(rows.tolist(), places.tolist(), strict=True)
    return {place: seen[row] for row, place in pairs if evidence[row, place] > 0}
