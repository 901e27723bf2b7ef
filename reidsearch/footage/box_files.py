"""Files of known detections: MOTChallenge text, COCO, or JSON lines as `export` writes them."""

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
    """Identifies a frame in a file of boxes.

    Attributes:
        camera, source: of the footage; empty if the file does not name them.
        frame: its number, or the name of its picture if the file has no numbers.
    """

    camera: str
    source: str
    frame: int | str


@dataclass(frozen=True, slots=True, eq=False)
class KnownBoxes:
    """The content of a file of boxes.

    Attributes:
        path: the file.
        sha256: of the file.
        by_place: the detections of each frame.
    """

    path: Path
    sha256: str
    by_place: Mapping[Place, Detections]

    def require_for(self, sources: Sequence[SourceInfo]) -> None:
        """Check that boxes can be assigned to sources.

        Raises:
            DetectionsError: a source has no boxes, or boxes could belong to several sources.
        """
        named = {(place.camera, place.source) for place in self.by_place}
        if len(sources) > 1 and ("", "") in named:
            raise DetectionsError(
                f"{self.path} does not name the source of its boxes",
                hint="ingest one source at a time",
            )
        for info in sources:
            if not named & {info.key, ("", info.name), ("", "")}:
                names = sorted("/".join(filter(None, name)) for name in named)
                more = ", ..." if len(names) > _NAMES_SHOWN else ""
                raise DetectionsError(
                    f"{self.path} has no boxes for {info}",
                    hint=f"it has boxes for {', '.join(names[:_NAMES_SHOWN])}{more}",
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
        """Find the detections of a frame, clipped to it, by descending score."""
        owners = (info.key, ("", info.name), ("", ""))
        frames = (frame.number, PurePath(frame.path).name)
        places = (Place(*owner, key) for owner in owners for key in frames)
        parts = [self.by_place[place] for place in places if place in self.by_place]
        xyxy = np.concatenate([np.empty((0, 4), np.float32), *(part.xyxy for part in parts)])
        score = np.concatenate([np.empty(0, np.float32), *(part.score for part in parts)])
        height, width = frame.image.shape[:2]
        detections = Detections(clip_to(xyxy, (0, 0, width, height)), score)
        return detections[np.argsort(-score, kind="stable")]


def read_boxes(path: Path) -> KnownBoxes:
    """Read a file of boxes.

    * `.txt`, `.csv`: MOTChallenge, `frame,id,left,top,width,height,score,...`, counted from 1. Of
      ground truth, which has a class in its eighth column, only people, and no rows with score 0.
    * `.json`: COCO; pictures are identified by `frame`, `frame_id` or the name of their file.
    * `.jsonl`: one `{"camera", "source", "frame", "box_xyxy", "score"}` a line, as exported.

    Raises:
        DetectionsError: the file cannot be read, has another format, no boxes, or scores that are
            not between 0 and 1.
    """
    readers: dict[str, Callable[[str], Iterable[tuple[Place, list[float]]]]] = {
        ".txt": _read_mot,
        ".csv": _read_mot,
        ".json": _read_coco,
        ".jsonl": _read_lines,
    }
    if path.suffix.lower() not in readers:
        raise DetectionsError(
            f"{path} is not a supported file of boxes",
            hint="use .txt (MOTChallenge), .json (COCO) or .jsonl (reidsearch export)",
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
        raise DetectionsError(f"{path} contains no boxes")
    return KnownBoxes(path, hash_file(path), _gather(rows, path))


def parse_mot(text: str) -> Iterator[tuple[list[str], list[float]]]:
    """Parse MOTChallenge text into rows, each with its box as `x1, y1, x2, y2`, counted from 0.

    Raises:
        ValueError, csv.Error: the text has another format.
    """
    for row in filter(None, csv.reader(text.splitlines())):
        left, top, width, height = (float(cell) for cell in row[2:6])
        if not all(abs(edge) < _FAR_PX for edge in (left, top, width, height)):
            raise ValueError(f"{','.join(row[2:6])} is not a valid box")
        yield row, [left - 1, top - 1, left - 1 + width, top - 1 + height]


def _unreadable(path: Path, error: Exception) -> DetectionsError:
    return DetectionsError(
        f"{path} cannot be read as {path.suffix}: {_describe(error)}",
        hint="`reidsearch export detections` writes valid examples",
    )


def _describe(error: Exception) -> str:
    return f"{error} is missing" if isinstance(error, KeyError) else str(error)


def _read_mot(text: str) -> Iterator[tuple[Place, list[float]]]:
    for row, box in parse_mot(text):
        score, kind = ([*row[6:8], "-1", "-1"])[:2]
        is_truth = len(row) == 9  # detections have ten columns, ground truth nine
        if is_truth and (kind not in _MOT_PEDESTRIANS or float(score) == 0):
            continue
        is_known = float(score) != -1
        yield Place("", "", int(row[0])), [*box, float(score) if is_known else 1.0]


def _read_coco(text: str) -> list[tuple[Place, list[float]]]:
    document = json.loads(text)
    person_ids = {
        c["id"] for c in document["categories"] if c["name"].lower() in {"person", "people"}
    }
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
    for annotation in document["annotations"]:
        if annotation["category_id"] in person_ids:
            left, top, width, height = (float(edge) for edge in annotation["bbox"])
            box = [left, top, left + width, top + height, float(annotation.get("score", 1.0))]
            rows.append((places[annotation["image_id"]], box))
    return rows


def _read_lines(text: str) -> Iterator[tuple[Place, list[float]]]:
    for line in filter(None, text.split("\n")):
        row = json.loads(line)
        x1, y1, x2, y2 = (float(edge) for edge in row["box_xyxy"])
        place = Place(str(row.get("camera", "")), str(row.get("source", "")), int(row["frame"]))
        yield place, [x1, y1, x2, y2, float(row.get("score", 1.0))]


def _gather(rows: Iterable[tuple[Place, list[float]]], path: Path) -> dict[Place, Detections]:
    grouped: dict[Place, list[list[float]]] = defaultdict(list)
    for place, box in rows:
        grouped[place].append(box)
    by_place: dict[Place, Detections] = {}
    for place, boxes in grouped.items():
        exact = np.array(boxes)
        table = exact.clip(-_FAR_PX, _FAR_PX).astype(np.float32)
        if not (np.abs(exact[:, :4]) < _FAR_PX).all() or (table[:, 2:4] <= table[:, :2]).any():
            raise DetectionsError(f"{path} has a box without area in frame {place.frame}")
        if not ((exact[:, 4] >= 0) & (exact[:, 4] <= 1)).all():
            raise DetectionsError(
                f"{path} has a score in frame {place.frame} that is not between 0 and 1",
                hint="rescale scores; in MOTChallenge text, -1 means unknown",
            )
        by_place[place] = Detections(table[:, :4], table[:, 4])
    return by_place
