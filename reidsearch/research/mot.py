"""Ground truth in the MOT challenge's format, by the rules of TrackEval.

https://github.com/JonathonLuiten/TrackEval/blob/master/trackeval/datasets/mot_challenge_2d_box.py
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from reidsearch.core.errors import DatasetError, ReidsearchError
from reidsearch.core.files import read_text
from reidsearch.footage.box_files import ON_VEHICLE, PEDESTRIAN, STANDING, read_rows

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from reidsearch.footage.box_files import Box

_CLASSES = (
    *("pedestrian", "person on vehicle", "car", "bicycle", "motorbike", "non-motorised vehicle"),
    *("static person", "distractor", "occluder", "occluder on the ground", "full occluder"),
    *("reflection", "crowd"),
)
_DISTRACTORS = {ON_VEHICLE, 6, STANDING, 8, 12}  # of TrackEval, which adds 6 for MOT20 only


@dataclass(frozen=True, slots=True, eq=False)
class FrameTruth:
    """Who is where in one frame; row i of the first two is the same person.

    Attributes:
        people: N names: track ids, or the names that a person map gives them.
        xyxy: `(N, 4)` float32 pixels.
        distractors_xyxy: `(M, 4)` float32, where detections count neither as right nor as wrong.
    """

    people: tuple[str, ...]
    xyxy: NDArray[np.float32]
    distractors_xyxy: NDArray[np.float32] = field(
        default_factory=lambda: np.empty((0, 4), np.float32)
    )


@dataclass(frozen=True, slots=True, eq=False)
class GroundTruth:
    """The content of a file.

    Attributes:
        frames: who is where.
        left_out: how many rows are not of people who count, by what they are.
    """

    frames: Mapping[int, FrameTruth]
    left_out: Mapping[str, int]


def read_mot(path: Path, person_map: Path | None = None) -> GroundTruth:
    """Read `frame,id,left,top,width,height,flag,class,visibility` rows, as TrackEval does.

    Of MOT16 and later, pedestrians whose flag is not 0 count. People on vehicles or standing,
    distractors, reflections and non-motorised vehicles do not count, and what is found there is
    not punished. Of MOT15, which has no classes, all whose flag is not 0 count.

    Args:
        path: the ground truth.
        person_map: JSON with `track_to_person`, for tracks that are the same person.

    Raises:
        DetectionsError: the ground truth cannot be read, or has other columns.
        DatasetError: a row does not say who it shows, or the person map names nobody in it.
        ReidsearchError: the person map cannot be read.
    """
    rows = read_rows(path)
    if not all(row.track for row in rows):
        raise DatasetError(
            f"{path} does not say whom its boxes show",
            hint="in ground truth, the second column is the person's track, not -1",
        )
    names = {} if person_map is None else _read_person_map(person_map)
    if names and not any(row.track in names for row in rows):
        some = ", ".join(sorted({row.track for row in rows})[:5])
        raise DatasetError(
            f"{person_map} names none of the tracks of {path}", hint=f"such as {some}"
        )
    left_out: Counter[str] = Counter()
    by_frame: dict[int, list[Box]] = defaultdict(list)
    for row in rows:
        by_frame[int(row.place.frame)].append(row)
        if not _is_person(row):
            left_out[_describe(row)] += 1
    frames = {}
    for frame, found in by_frame.items():
        people = [row for row in found if _is_person(row)]
        frames[frame] = FrameTruth(
            tuple(names.get(row.track, row.track) for row in people),
            _as_boxes(people),
            _as_boxes([row for row in found if row.kind in _DISTRACTORS]),
        )
    return GroundTruth(frames, left_out)


def _is_person(row: Box) -> bool:
    return row.score != 0 and row.kind in {None, PEDESTRIAN}


def _describe(row: Box) -> str:
    if row.kind is None or row.kind == PEDESTRIAN:
        return "flag 0"
    return _CLASSES[row.kind - 1] if 0 < row.kind <= len(_CLASSES) else f"class {row.kind}"


def _as_boxes(rows: list[Box]) -> NDArray[np.float32]:
    return np.array([row.xyxy for row in rows], np.float32).reshape(-1, 4)


def _read_person_map(path: Path) -> dict[str, str]:
    try:
        tracks = json.loads(read_text(path))["track_to_person"]
        return {str(track): str(person) for track, person in tracks.items()}
    except OSError as error:
        raise ReidsearchError(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ReidsearchError(
            f"{path} is not a valid person map",
            hint='it is JSON: {"track_to_person": {"6": "anna", ...}}',
        ) from error
