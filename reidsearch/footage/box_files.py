"""Boxes that someone else found: MOTChallenge text, COCO, or the JSON lines that we export."""

from __future__ import annotations

import csv
import json
from collections import defaultdict
from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from reidsearch.core.boxes import clip_to
from reidsearch.core.errors import DetectionsError
from reidsearch.core.files import hash_file, read_text
from reidsearch.core.types import Detections

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from reidsearch.core.provenance import DetectionSettings
    from reidsearch.core.types import Frame, SourceInfo

_NAMES_SHOWN = 5
_FAR_PX = 1e9
_MOT_PEDESTRIANS = {"1", "2", "7"}  # walking, in vehicles, standing; of MOT16 and later


class Place(NamedTuple):
    """The frame of some boxes; what the file does not say is empty.

    Attributes:
        camera, source: of the footage.
        frame: its number, or the name of its picture where the file knows no numbers.
    """

    camera: str
    source: str
    frame: int | str


@dataclass(frozen=True, slots=True, eq=False)
class KnownBoxes:
    """Where people are in the frames of some sources.

    Attributes:
        path: the file.
        sha256: of it.
        by_place: boxes.
    """

    path: Path
    sha256: str
    by_place: Mapping[Place, Detections]

    def require_for(self, sources: Sequence[SourceInfo]) -> None:
        """Check that it is clear which boxes are whose.

        Raises:
            DetectionsError: a source has no box, or several could have the same.
        """
        named = {(place.camera, place.source) for place in self.by_place}
        if len(sources) > 1 and ("", "") in named:
            raise DetectionsError(
                f"{self.path} does not say of which source its boxes are",
                hint="ingest one source at a time",
            )
        for info in sources:
            if not named & {info.key, ("", info.name), ("", "")}:
                names = sorted("/".join(filter(None, name)) for name in named)
                more = ", ..." if len(names) > _NAMES_SHOWN else ""
                raise DetectionsError(
                    f"{self.path} has no box for {info}",
                    hint=f"it has {', '.join(names[:_NAMES_SHOWN])}{more}",
                )

    def finder(
        self, info: SourceInfo, settings: DetectionSettings
    ) -> Callable[[Sequence[Frame]], list[Detections]]:
        """Find boxes in frames of a source, as a detector with such settings would.

        Raises:
            DetectionsError: the source has no box.
        """
        self.require_for([info])
        return lambda frames: [settings.select(self.find(info, frame)) for frame in frames]

    def find(self, info: SourceInfo, frame: Frame) -> Detections:
        """People in a frame, by falling score; boxes end where the frame does."""
        owners = (info.key, ("", info.name), ("", ""))
        frames = (frame.number, PurePath(frame.path).name)
        places = (Place(*owner, key) for owner in owners for key in frames)
        found = [self.by_place[place] for place in places if place in self.by_place]
        xyxy = np.concatenate([np.empty((0, 4), np.float32), *(some.xyxy for some in found)])
        score = np.concatenate([np.empty(0, np.float32), *(some.score for some in found)])
        height, width = frame.image.shape[:2]
        return Detections(clip_to(xyxy, width, height), score)[np.argsort(-score, kind="stable")]


def read_boxes(path: Path) -> KnownBoxes:
    """Read a file of boxes.

    * `.txt`, `.csv`: MOTChallenge, `frame,id,left,top,width,height,score,...`, counted from 1; of
      ground truth, which has a class in its eighth column, only people, and no rows marked with 0.
    * `.json`: COCO; pictures are known by `frame`, `frame_id` or their file's name.
    * `.jsonl`: one `{"camera", "source", "frame", "box_xyxy", "score"}` a line, as we export them.

    Raises:
        DetectionsError: the file cannot be read, is none of these, has no box, or scores that are
            none from 0 to 1.
    """
    readers: dict[str, Callable[[str], Iterable[tuple[Place, list[float]]]]] = {
        ".txt": _read_mot,
        ".csv": _read_mot,
        ".json": _read_coco,
        ".jsonl": _read_lines,
    }
    if path.suffix.lower() not in readers:
        raise DetectionsError(
            f"{path} is no file of boxes",
            hint="write .txt (MOTChallenge), .json (COCO) or .jsonl (reidsearch export)",
        )
    try:
        rows = list(readers[path.suffix.lower()](read_text(path)))
    except OSError as error:
        raise DetectionsError(f"cannot read {path}: {error.strerror}") from error
    except (ArithmeticError, AttributeError, LookupError, RecursionError) as error:
        raise _unreadable(path, error) from error
    except (ValueError, TypeError, csv.Error) as error:
        raise _unreadable(path, error) from error
    if not rows:
        raise DetectionsError(f"there is no box in {path}")
    return KnownBoxes(path, hash_file(path), _gather(rows, path))


def parse_mot(text: str) -> Iterator[tuple[list[str], list[float]]]:
    """Rows of MOTChallenge text, each beside its box as `x1, y1, x2, y2`, now counted from 0.

    Raises:
        ValueError, csv.Error: it is no such text.
    """
    for row in filter(None, csv.reader(text.splitlines())):
        left, top, width, height = (float(cell) for cell in row[2:6])
        if not all(abs(edge) < _FAR_PX for edge in (left, top, width, height)):
            raise ValueError(f"there is no such box: {','.join(row[2:6])}")
        yield row, [left - 1, top - 1, left - 1 + width, top - 1 + height]


def _unreadable(path: Path, error: Exception) -> DetectionsError:
    return DetectionsError(
        f"{path} cannot be read as {path.suffix}: {error}",
        hint="`reidsearch export detections` writes files of this kind",
    )


def _read_mot(text: str) -> Iterator[tuple[Place, list[float]]]:
    for row, box in parse_mot(text):
        score, kind = ([*row[6:8], "-1", "-1"])[:2]
        is_truth = len(row) == 9  # detections have ten columns, ground truth nine
        if is_truth and (kind not in _MOT_PEDESTRIANS or float(score) == 0):
            continue
        known = float(score) != -1
        yield Place("", "", int(row[0])), [*box, float(score) if known else 1.0]


def _read_coco(text: str) -> list[tuple[Place, list[float]]]:
    document = json.loads(text)
    people = {c["id"] for c in document["categories"] if c["name"].lower() in {"person", "people"}}
    places: dict[Any, Place] = {}
    files: dict[Place, str] = {}
    for image in document["images"]:
        number = image.get("frame", image.get("frame_id"))
        name = PurePath(image["file_name"]).name if number is None else int(number)
        place = Place(str(image.get("camera", "")), str(image.get("source", "")), name)
        if number is None and files.setdefault(place, image["file_name"]) != image["file_name"]:
            raise ValueError(f"two pictures are named {name}")
        places[image["id"]] = place
    rows = []
    for found in document["annotations"]:
        if found["category_id"] in people:
            left, top, width, height = (float(edge) for edge in found["bbox"])
            box = [left, top, left + width, top + height, float(found.get("score", 1.0))]
            rows.append((places[found["image_id"]], box))
    return rows


def _read_lines(text: str) -> Iterator[tuple[Place, list[float]]]:
    for line in filter(None, text.split("\n")):
        row = json.loads(line)
        x1, y1, x2, y2 = (float(edge) for edge in row["box_xyxy"])
        place = Place(str(row.get("camera", "")), str(row.get("source", "")), int(row["frame"]))
        yield place, [x1, y1, x2, y2, float(row.get("score", 1.0))]


def _gather(rows: Iterable[tuple[Place, list[float]]], path: Path) -> dict[Place, Detections]:
    found: dict[Place, list[list[float]]] = defaultdict(list)
    for place, box in rows:
        found[place].append(box)
    boxes: dict[Place, Detections] = {}
    for place, some in ((place, np.array(some)) for place, some in found.items()):
        table = some.clip(-_FAR_PX, _FAR_PX).astype(np.float32)
        if not (np.abs(some[:, :4]) < _FAR_PX).all() or (table[:, 2:4] <= table[:, :2]).any():
            raise DetectionsError(f"{path} has a box without extent in frame {place.frame}")
        if not ((some[:, 4] >= 0) & (some[:, 4] <= 1)).all():
            raise DetectionsError(
                f"{path} has a score in frame {place.frame} that is not from 0 to 1",
                hint="bring scores into that range; -1, in MOTChallenge's text, is unknown",
            )
        boxes[place] = Detections(table[:, :4], table[:, 4])
    return boxes
