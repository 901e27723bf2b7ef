"""Files of boxes: MOTChallenge text, COCO, or tables and JSON lines as `export` writes them."""

from __future__ import annotations

import csv
import json
from collections import defaultdict
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from reidsearch.core.boxes import clip_to
from reidsearch.core.errors import DetectionsError
from reidsearch.core.files import hash_file, read_text
from reidsearch.core.text import count
from reidsearch.core.types import Detections

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from reidsearch.core.types import Frame, SourceInfo

PEDESTRIAN, ON_VEHICLE, STANDING = 1, 2, 7
"""Classes of people in the ground truth of MOT16 and later."""

_NAMES_SHOWN = 5
_FAR_PX = 1e9
_FORMATS = (
    "use .txt or .csv with MOTChallenge's rows, .json (COCO's data set, or list of results), or "
    ".csv or .jsonl as `reidsearch export detections` writes them"
)
_MOT_ROW = "frame,id,left,top,width,height,..."
_MOT_HEADER = (
    *({"frame"}, {"id", "track_id"}, {"left", "bb_left", "x"}, {"top", "bb_top", "y"}),
    *({"width", "bb_width", "w"}, {"height", "bb_height", "h"}),
)
_COCO_PERSON = 1
_OWN_COLUMNS = ("x1", "y1", "x2", "y2")


class Place(NamedTuple):
    """Identifies a frame in a file of boxes.

    Attributes:
        camera, source: of the footage; empty if the file does not name them.
        frame: its number, or the name of its picture if the file has no numbers.
    """

    camera: str
    source: str
    frame: int | str


class Box(NamedTuple):
    """A row of a file.

    Attributes:
        place: its frame.
        xyxy: x1, y1, x2, y2 in pixels, counted from 0.
        score: of the detection, 1 where it is unknown; of MOTChallenge's ground truth the flag,
            which is 0 where a row is not to be considered.
        track: names the person; empty if that is unknown.
        kind: the class in MOTChallenge's ground truth; None where there are none.
    """

    place: Place
    xyxy: list[float]
    score: float
    track: str = ""
    kind: int | None = None


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

    def finder(self, info: SourceInfo) -> BoxFinder:
        """Begin to find the boxes of a source.

        Raises:
            DetectionsError: the source has no box.
        """
        self.require_for([info])
        owners = info.key, ("", info.name), ("", "")
        return BoxFinder(
            self.path, {p: d for p, d in self.by_place.items() if (p.camera, p.source) in owners}
        )


class BoxFinder:
    """Finds the known boxes of one source, and remembers which ones it could not use."""

    def __init__(self, path: Path, by_place: Mapping[Place, Detections]) -> None:
        self._path = path
        self._by_frame: dict[int | str, list[Detections]] = defaultdict(list)
        for place, found in by_place.items():
            self._by_frame[place.frame].append(found)
        self._read: set[int | str] = set()
        self._outside: list[int] = []  # by frame: several threads add to it

    def find(self, frame: Frame) -> Detections:
        """Find the boxes of a frame, clipped to it, by descending score; those outside go."""
        keys: tuple[int | str, str] = (frame.number, PurePath(frame.path).name)
        self._read.update(keys)
        parts = [found for key in keys for found in self._by_frame.get(key, [])]
        xyxy = np.concatenate([np.empty((0, 4), np.float32), *(part.xyxy for part in parts)])
        score = np.concatenate([np.empty(0, np.float32), *(part.score for part in parts)])
        height, width = frame.image.shape[:2]
        xyxy = clip_to(xyxy, (0, 0, width, height))
        inside = np.flatnonzero((xyxy[:, 2:] > xyxy[:, :2]).all(axis=1))
        self._outside.append(len(xyxy) - len(inside))
        found = Detections(xyxy, score)[inside]
        return found[np.argsort(-found.score, kind="stable")]

    def describe_left_out(self) -> str:
        """Say how many boxes were of no use, once all frames were read; empty if none was."""
        unread = sum(
            sum(map(len, parts)) for key, parts in self._by_frame.items() if key not in self._read
        )
        reasons = []
        if unread:
            reasons.append(f"{count(unread, 'detection')} of frames that were not read")
        if outside := sum(self._outside):
            reasons.append(f"{count(outside, 'detection')} outside of the picture")
        return f"left out of {self._path}: {', '.join(reasons)}" if reasons else ""


def read_boxes(path: Path) -> KnownBoxes:
    """Read the people of a file of boxes; see `read_rows`.

    Of ground truth that has classes, people walking, standing or in vehicles whose flag is not 0.

    Raises:
        DetectionsError: see `read_rows`; or there are no boxes, boxes without area, or scores that
            are not between 0 and 1.
    """
    people = [
        box
        for box in read_rows(path)
        if box.kind is None or (box.kind in {PEDESTRIAN, ON_VEHICLE, STANDING} and box.score)
    ]
    if not people:
        raise DetectionsError(f"{path} contains no boxes")
    return KnownBoxes(path, hash_file(path), _gather(people, path))


def read_rows(path: Path) -> list[Box]:
    """Read a file of boxes.

    * `.txt`, `.csv`: MOTChallenge, `frame,id,left,top,width,height,score,...`, counted from 1,
      with or without a header. Eight or nine columns are ground truth, with a class in the eighth.
    * `.csv` with columns `frame, x1, y1, x2, y2, score`, and `.jsonl` with
      `{"camera", "source", "frame", "box_xyxy", "score"}` a line, as exported.
    * `.json`: COCO. Pictures are identified by `frame`, `frame_id` or the name of their file; in a
      list of results, `image_id` is the frame, and category 1 the people.

    Raises:
        DetectionsError: the file cannot be read, or has another format.
    """
    readers: dict[str, Callable[[str, Path], Iterable[Box]]] = {
        ".txt": _read_table,
        ".csv": _read_table,
        ".json": _read_json,
        ".jsonl": _read_lines,
    }
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise DetectionsError(f"{path} is not a supported file of boxes", hint=_FORMATS)
    try:
        text = read_text(path)
    except OSError as error:
        raise DetectionsError(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise DetectionsError(f"{path} is not text in UTF-8", hint=_FORMATS) from error
    return list(reader(text, path))


@contextmanager
def _expecting(what: str, path: Path, where: str) -> Iterator[None]:
    """Say in plain words that a part of a file is not what it should be."""
    try:
        yield
    except (
        *(ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError),
        csv.Error,
    ) as error:
        raise DetectionsError(
            f"{path} cannot be read: {where} is not {what}", hint=_FORMATS
        ) from error


def _read_table(text: str, path: Path) -> Iterator[Box]:
    with _expecting("comma-separated text", path, "the file"):
        rows = list(csv.reader(text.splitlines()))
    names = [cell.strip().lower() for cell in rows[0]] if rows else []
    is_own = {"frame", *_OWN_COLUMNS} <= set(names)
    is_mot = len(names) >= len(_MOT_HEADER) and all(
        name in known for name, known in zip(names, _MOT_HEADER, strict=False)
    )
    first = 1 if is_own or is_mot else 0
    expected = ",".join(names) if is_own else f"{_MOT_ROW} (numbers, separated by commas)"
    for number, cells in enumerate(rows[first:], start=first + 1):
        if cells:
            with _expecting(expected, path, f"line {number}"):
                box = _own_box(dict(zip(names, cells, strict=True))) if is_own else _mot_box(cells)
            yield box


def _mot_box(cells: list[str]) -> Box:
    left, top, width, height = map(float, cells[2:6])
    track = cells[1].strip()
    flag, kind = ([*cells[6:8], "-1", "-1"])[:2]
    has_class = len(cells) in {8, 9} and float(kind) != -1
    return Box(
        Place("", "", _whole(cells[0])),
        _near(left - 1, top - 1, left - 1 + width, top - 1 + height),
        1.0 if float(flag) == -1 else float(flag),
        "" if track == "-1" else track,
        _whole(kind) if has_class else None,
    )


def _own_box(row: Mapping[str, Any]) -> Box:
    """A row as `export` writes it."""
    edges = row["box_xyxy"] if "box_xyxy" in row else [row[name] for name in _OWN_COLUMNS]
    x1, y1, x2, y2 = map(float, edges)
    place = Place(str(row.get("camera", "")), str(row.get("source", "")), _whole(row["frame"]))
    return Box(place, _near(x1, y1, x2, y2), float(row.get("score", 1.0)))


def _whole(cell: object) -> int:
    number = float(cell)  # type: ignore[arg-type]
    if not number.is_integer():
        raise ValueError
    return int(number)


def _near(*edges: float) -> list[float]:
    """Refuse what is beyond every picture, or not a number."""
    if not all(abs(edge) < _FAR_PX for edge in edges):
        raise ValueError
    return list(edges)


def _read_lines(text: str, path: Path) -> Iterator[Box]:
    for number, line in enumerate(text.split("\n"), start=1):
        if line:
            with _expecting('{"frame": 1, "box_xyxy": [...]}', path, f"line {number}"):
                box = _own_box(json.loads(line))
            yield box


def _read_json(text: str, path: Path) -> Iterator[Box]:
    with _expecting("JSON", path, "the text"):
        document = json.loads(text)
    if isinstance(document, list):
        annotations, people, places = document, {_COCO_PERSON}, None
    else:
        with _expecting("COCO's, with images, annotations and categories", path, "the document"):
            annotations = list(document["annotations"])
            people = {
                c["id"] for c in document["categories"] if c["name"].lower() in {"person", "people"}
            }
            places = _read_places(document["images"], path)
    for number, annotation in enumerate(annotations, start=1):
        shape = '{"image_id": ..., "category_id": 1, "bbox": [left, top, width, height]}'
        with _expecting(shape, path, f"annotation {number}"):
            left, top, width, height = map(float, annotation["bbox"])
            key = annotation["image_id"]
            box = Box(
                Place("", "", _whole(key)) if places is None else places[key],
                _near(left, top, left + width, top + height),
                float(annotation.get("score", 1.0)),
            )
            is_person = annotation["category_id"] in people
        if is_person:
            yield box


def _read_places(images: Iterable[Any], path: Path) -> dict[Any, Place]:
    places: dict[Any, Place] = {}
    files: dict[Place, str] = {}
    for image in images:
        number = image.get("frame", image.get("frame_id"))
        name = PurePath(image["file_name"]).name if number is None else _whole(number)
        place = Place(str(image.get("camera", "")), str(image.get("source", "")), name)
        if number is None and files.setdefault(place, image["file_name"]) != image["file_name"]:
            raise DetectionsError(
                f"{path} has two pictures named {name}", hint="give each image a `frame`"
            )
        places[image["id"]] = place
    return places


def _gather(boxes: Iterable[Box], path: Path) -> dict[Place, Detections]:
    grouped: dict[Place, list[list[float]]] = defaultdict(list)
    for box in boxes:
        grouped[box.place].append([*box.xyxy, box.score])
    by_place: dict[Place, Detections] = {}
    for place, rows in grouped.items():
        exact = np.array(rows)
        table = exact.clip(-_FAR_PX, _FAR_PX).astype(np.float32)
        if (table[:, 2:4] <= table[:, :2]).any():
            raise DetectionsError(f"{path} has a box without area in frame {place.frame}")
        if not ((exact[:, 4] >= 0) & (exact[:, 4] <= 1)).all():
            raise DetectionsError(
                f"{path} has a score in frame {place.frame} that is not between 0 and 1",
                hint="rescale scores; in MOTChallenge text, -1 means unknown",
            )
        by_place[place] = Detections(table[:, :4], table[:, 4])
    return by_place
