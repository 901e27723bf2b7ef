"""The tracklets of a source, as a table of its detections."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from reidsearch.core.ids import CropId
from reidsearch.core.types import Passage
from reidsearch.people.linking import find_clear, link

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from reidsearch.core.calibration import Calibration
    from reidsearch.core.types import Filter, Records, StoredDetection

LINKED = np.dtype(
    [
        ("frame", "<i8"),
        ("person", "<i4"),  # see `StoredDetection.index`
        ("is_clear", "<i4"),
        ("tracklet", "<i8"),
        ("time_s", "<f8"),
        ("score", "<f8"),
    ]
)
"""A detection, and the number of its tracklet."""
_EXEMPLARS = 8


def link_records(
    records: Records, calibration: Calibration | None, step_s: float
) -> NDArray[np.void]:
    """Link detections of one source that follow each other, in the order of footage.

    Args:
        records: of the source.
        calibration: see `link`.
        step_s: see `link`.

    Returns:
        `(N,)` of `LINKED`, row by row; numbers count from 0.
    """
    found = records.detections
    linked = np.zeros(len(found), LINKED)
    xyxy = np.array([one.box_xyxy for one in found], np.float32).reshape(-1, 4)
    linked["frame"] = [one.frame for one in found]
    linked["person"] = [one.index for one in found]
    linked["time_s"] = [one.time_s for one in found]
    linked["score"] = [one.score for one in found]
    linked["is_clear"] = find_clear(linked["frame"], xyxy)
    linked["tracklet"] = link(
        linked["time_s"], xyxy, records.embeddings.vectors, calibration, step_s
    )
    return linked


class SourceTracklets:
    """Which detections of one source follow each other.

    Args:
        linked: `(N,)` of `LINKED`, of all detections, in the order of footage; an attribute too.
    """

    def __init__(self, linked: NDArray[np.void]) -> None:
        self.linked = linked
        self._frames = np.ascontiguousarray(linked["frame"])
        self._numbers = np.ascontiguousarray(linked["tracklet"])

    def number_of(self, detection: StoredDetection) -> int:
        """The number of a stored detection's tracklet."""
        first, last = np.searchsorted(self._frames, [detection.frame, detection.frame + 1])
        people = self.linked["person"][first:last].tolist()
        return int(self._numbers[first + people.index(detection.index)])

    def numbers(self) -> NDArray[np.int64]:
        """The number of each detection's tracklet, in the order of footage."""
        return self._numbers

    def members(self) -> list[NDArray[np.intp]]:
        """Of each tracklet, by its number, the places of its detections in `linked`."""
        if not len(self._numbers):
            return []
        order = np.argsort(self._numbers, kind="stable")
        return np.split(order, np.flatnonzero(np.diff(self._numbers[order])) + 1)

    def passage(self, number: int, wanted: Filter) -> Passage:
        """What of a tracklet is wanted, which is one detection at least."""
        own = self.linked[self._numbers == number]
        for name, after, before in (
            ("frame", wanted.after_frame, wanted.before_frame),
            ("time_s", wanted.after_s, wanted.before_s),
        ):
            own = own if after is None else own[own[name] > after]
            own = own if before is None else own[own[name] < before]
        if wanted.min_score is not None:
            own = own[own["score"] >= wanted.min_score]
        first, last = own[0], own[-1]
        return Passage(
            int(first["frame"]),
            float(first["time_s"]),
            int(last["frame"]),
            float(last["time_s"]),
            len(own),
        )

    def exemplars(self, detection: StoredDetection) -> list[CropId]:
        """Clear detections of a stored one's tracklet, a few, spread over it."""
        own = self.linked[self._numbers == self.number_of(detection)]
        chosen = own[spread(np.flatnonzero(own["is_clear"]))]
        rows = zip(chosen["frame"].tolist(), chosen["person"].tolist(), strict=True)
        return [CropId(*detection.key, frame, person) for frame, person in rows]


def spread(rows: NDArray[np.intp]) -> NDArray[np.intp]:
    """Choose a few of a tracklet's clear detections, evenly over it."""
    if len(rows) <= _EXEMPLARS:
        return rows
    return rows[np.linspace(0, len(rows) - 1, _EXEMPLARS).round().astype(np.intp)]


def mean_look(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """The mean of vectors `(Q, D)`, of length 1: `(1, D)`; of none, none.

    Searching for one detection and this finds as much as searching for all of them, measured on
    PETS09-S2L1 and TUD-Campus, and reads the database twice instead of Q times.
    """
    mean = vectors.sum(axis=0, keepdims=True)
    return np.asarray(mean / np.linalg.norm(mean)) if len(vectors) and mean.any() else vectors[:0]
