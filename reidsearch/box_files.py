"""Boxes that someone else found: MOTChallenge text, COCO, or the JSON lines that we export."""

from __future__ import annotations

import csv
import json
from collections import defaultdict
from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

import numpy as np

from reidsearch.catalog import hash_file
from reidsearch.errors import DetectionsError
from reidsearch.types import Detections

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    from reidsearch.types import Frame, SourceInfo

    # A source's name or "", and a frame's number or its picture's name; x1, y1, x2, y2, score.
    Row = tuple[str, int | str, list[float]]


@dataclass(frozen=True, slots=True, eq=False)
class KnownBoxes:
    """Where people are in the frames of some sources.

    Attributes:
        path: the file.
        sha256: of it.
        by_frame: by a source's name, or "" where the file names none, and by a frame's number, or
            the name of its picture where the file knows no numbers.
    """

    path: Path
    sha256: str
    by_frame: Mapping[tuple[str, int | str], Detections]

    def require_for(self, info: SourceInfo) -> None:
        """Raise DetectionsError if the file knows other sources only."""
        names = {name for name, _ in self.by_frame}
        if not names & {info.name, ""}:
            raise DetectionsError(
                f"{self.path} has no box for {info}", hint=f"it has {', '.join(sorted(names))}"
            )

    def find(self, info: SourceInfo, frame: Frame) -> Detections:
        """People in a frame, by falling score; boxes end where the frame does."""
        name = PurePath(frame.path).name
        keys = ((s, f) for s in (info.name, "") for f in (frame.number, name))
        known = next((self.by_frame[key] for key in keys if key in self.by_frame), None)
        if known is None:
            return Detections(np.empty((0, 4), np.float32), np.empty(0, np.float32))
        height, width = frame.image.shape[:2]
        xyxy = known.xyxy.clip(0, np.array([width, height, width, height], np.float32))
        return Detections(xyxy, known.score)[np.argsort(-known.score, kind="stable")]


def read_boxes(path: Path) -> KnownBoxes:
    """Read a file of boxes.

    * `.txt`, `.csv`: MOTChallenge, `frame,id,left,top,width,height,score,...`, counted from 1.
    * `.json`: COCO; pictures are known by `frame`, `frame_id` or their file's name.
    * `.jsonl`: one `{"source", "frame", "box_xyxy", "score"}` a line, as we export them.

    Raises:
        DetectionsError: the file cannot be read, is none of these, or has no box.
    """
    readers: dict[str, Callable[[str], Iterator[Row]]] = {
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
        rows = list(readers[path.suffix.lower()](path.read_text("utf-8")))
    except OSError as error:
        raise DetectionsError(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        raise DetectionsError(
            f"{path} cannot be read as {path.suffix}: {error}",
            hint="see `reidsearch ingest --help` for what it must be",
        ) from error
    if not rows:
        raise DetectionsError(f"there is no box in {path}")
    return KnownBoxes(path, hash_file(path), _gather(rows, path))


def parse_mot(text: str) -> Iterator[tuple[list[str], list[float]]]:
    """Rows of MOTChallenge text, each beside its box as `x1, y1, x2, y2`, now counted from 0."""
    for row in filter(None, csv.reader(text.splitlines())):
        left, top, width, height = (float(cell) for cell in row[2:6])
        yield row, [left - 1, top - 1, left - 1 + width, top - 1 + height]


def _read_mot(text: str) -> Iterator[Row]:
    for row, box in parse_mot(text):
        score = float(row[6]) if len(row) > 6 else 1.0
        yield "", int(row[0]), [*box, 1.0 if score == -1 else score]


def _read_coco(text: str) -> Iterator[Row]:
    document = json.loads(text)
    people = {c["id"] for c in document["categories"] if c["name"].lower() in {"person", "people"}}
    frames: dict[Any, tuple[str, int | str]] = {}
    for image in document["images"]:
        number = image.get("frame", image.get("frame_id"))
        name = PurePath(image["file_name"]).name if number is None else int(number)
        frames[image["id"]] = str(image.get("source", "")), name
    for found in document["annotations"]:
        if found["category_id"] in people:
            left, top, width, height = (float(edge) for edge in found["bbox"])
            box = [left, top, left + width, top + height]
            yield *frames[found["image_id"]], [*box, float(found.get("score", 1.0))]


def _read_lines(text: str) -> Iterator[Row]:
    for line in filter(None, text.splitlines()):
        row = json.loads(line)
        x1, y1, x2, y2 = (float(edge) for edge in row["box_xyxy"])
        box = [x1, y1, x2, y2, float(row.get("score", 1.0))]
        yield str(row.get("source", "")), int(row["frame"]), box


def _gather(rows: Iterable[Row], path: Path) -> dict[tuple[str, int | str], Detections]:
    found: dict[tuple[str, int | str], list[list[float]]] = defaultdict(list)
    for source, frame, box in rows:
        found[source, frame].append(box)
    boxes = {key: np.array(some, np.float32) for key, some in found.items()}
    for (_, frame), some in boxes.items():
        if not np.isfinite(some).all() or (some[:, 2:4] <= some[:, :2]).any():
            raise DetectionsError(f"{path} has a box without extent in frame {frame}")
    return {key: Detections(some[:, :4], some[:, 4]) for key, some in boxes.items()}
