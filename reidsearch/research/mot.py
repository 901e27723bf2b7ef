"""Ground truth in the MOT challenge's format."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from reidsearch.core.errors import ReidsearchError
from reidsearch.core.files import read_text
from reidsearch.footage.box_files import parse_mot

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class FrameTruth:
    """Who is where in one frame; row i of both is the same person.

    Attributes:
        people: N names: track ids, or the names that a person map gives them.
        xyxy: `(N, 4)` float32 pixels.
    """

    people: tuple[str, ...]
    xyxy: NDArray[np.float32]


def read_mot(path: Path, person_map: Path | None = None) -> dict[int, FrameTruth]:
    """Read `frame,id,left,top,width,height,...` rows; all are counted from 1.

    All rows count, also those whose seventh column marks them as not to be considered: a person
    that a tracker need not follow may still be found.

    Args:
        path: the ground truth.
        person_map: JSON with `track_to_person`, for tracks that are the same person.

    Raises:
        ReidsearchError: a file cannot be read, or has other columns.
    """
    names = {} if person_map is None else _read_person_map(person_map)
    rows: dict[int, list[tuple[str, list[float]]]] = defaultdict(list)
    try:
        for row, box in parse_mot(read_text(path)):
            rows[int(row[0])].append((names.get(row[1], row[1]), box))
    except OSError as error:
        raise ReidsearchError(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, IndexError) as error:
        raise ReidsearchError(
            f"{path} is not valid MOT ground truth: {error}",
            hint="its rows are frame,id,left,top,width,height,...",
        ) from error
    return {
        frame: FrameTruth(
            tuple(person for person, _ in found),
            np.array([box for _, box in found], np.float32),
        )
        for frame, found in rows.items()
    }


def _read_person_map(path: Path) -> dict[str, str]:
    try:
        tracks = json.loads(read_text(path))["track_to_person"]
        return {str(track): str(person) for track, person in tracks.items()}
    except OSError as error:
        raise ReidsearchError(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ReidsearchError(
            f"{path} is not a valid person map",
            hint='it is JSON: {"track_to_person": {"6": "anna", ...}}',
        ) from error
