"""What a database holds, and what a search found, in files that other tools read."""

from __future__ import annotations

import csv
import json
import sys
from contextlib import contextmanager
from dataclasses import asdict
from io import TextIOWrapper
from typing import IO, TYPE_CHECKING, Any, TextIO

from reidsearch.core.errors import UsageError
from reidsearch.core.files import is_stdout, new_file
from reidsearch.core.text import iso_time, printable, to_json
from reidsearch.core.types import Filter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from reidsearch.core.provenance import SourceRecord
    from reidsearch.core.types import Match, Passage, StoredDetection
    from reidsearch.services.gallery import Gallery

    Row = dict[str, Any]
    Columns = dict[str, tuple[str, ...]]

TABLES = (".csv", ".jsonl", ".parquet")
BOXES = (*TABLES, ".txt", ".json")
_GROUP_ROWS = 10_000
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def _names(prefix: str, count: int) -> tuple[str, ...]:
    return tuple(f"{prefix}{place}" for place in range(count))


# Columns, each with the names of its numbers where it holds several.
_DETECTION: Columns = {
    **dict.fromkeys(("id", "camera", "source", "frame", "time_s", "time"), ()),
    "box_xyxy": ("x1", "y1", "x2", "y2"),
    **dict.fromkeys(("score", "path", "crop_hash"), ()),
}
_MATCH: Columns = dict.fromkeys(("rank", "distance", "probability"), ()) | _DETECTION
_PASSAGE: Columns = dict.fromkeys(
    (
        *("detections", "first_frame", "first_s", "first_time"),
        *("last_frame", "last_s", "last_time", "confirmed"),
    ),
    (),
)


def export_detections(gallery: Gallery, sources: Sequence[SourceRecord], path: Path) -> int:
    """Write everyone found, without vectors, and return how many there are.

    The ending says how: `.csv`, `.jsonl`, `.parquet`; `.txt` is MOTChallenge's text, for one
    source, whose ids are tracklets; `.json` is COCO. `-` with an ending is stdout. It is recorded
    in the audit log before.

    Raises:
        UsageError: MOTChallenge's text was asked for, of several sources.
        ReidsearchError: the file cannot be written.
    """
    if path.suffix.lower() == ".txt" and len(sources) > 1:
        names = ", ".join(str(record.info) for record in sources)
        raise UsageError(
            "MOTChallenge's text cannot name sources", hint=f"give one --source of {names}"
        )
    gallery.record_export("detections", sources, path)
    store = gallery.store
    detections = (s for r in sources for s in store.detections(Filter(sources=(r.info.key,))))
    if path.suffix.lower() == ".txt":
        numbers = (n for r in sources for n in gallery.tracklets.of(r.info.key).numbers().tolist())
        return _write(path, lambda file: _write_mot(zip(detections, numbers, strict=True), file))
    if path.suffix.lower() == ".json":
        return _write(path, lambda file: _write_coco(detections, file))
    return _write_table(map(detection_row, detections), _DETECTION, path)


def export_embeddings(gallery: Gallery, sources: Sequence[SourceRecord], path: Path) -> int:
    """Write everyone found, with vectors, as a table; see `export_detections`."""
    gallery.record_export("embeddings", sources, path)
    store = gallery.store

    def rows() -> Iterator[Row]:
        for record in sources:
            records = store.scan(Filter(sources=(record.info.key,)))
            for detection, vector in zip(
                records.detections, records.embeddings.vectors, strict=True
            ):
                yield detection_row(detection) | {"embedding": vector.tolist()}

    columns = _DETECTION | {"embedding": _names("e", store.provenance.dimension)}
    return _write_table(rows(), columns, path)


def export_matches(matches: Sequence[Match], path: Path) -> int:
    """Write what a search found as a table, and return how many there are."""
    return _write_table(map(match_row, matches), _match_columns(matches), path)


def write_matches(matches: Sequence[Match], file: TextIO) -> None:
    """Write what a search found as CSV."""
    _write_csv(map(match_row, matches), _match_columns(matches), file)


def _match_columns(matches: Sequence[Match]) -> Columns:
    return _MATCH | _PASSAGE if any(match.passage for match in matches) else _MATCH


def match_row(match: Match) -> Row:
    """A match's rank, distance and probability, and the detection's and passage's fields."""
    probability = None if match.probability is None else round(match.probability, 6)
    row = {"rank": match.rank, "distance": round(match.distance, 6), "probability": probability}
    row |= detection_row(match.detection)
    if match.passage is None:
        return row
    return row | passage_row(match.passage) | {"confirmed": match.is_confirmed}


def passage_row(passage: Passage) -> Row:
    """A passage's fields."""
    return {
        "detections": passage.count,
        "first_frame": passage.first_frame,
        "first_s": passage.first_s,
        "first_time": iso_time(passage.first_s),
        "last_frame": passage.last_frame,
        "last_s": passage.last_s,
        "last_time": iso_time(passage.last_s),
    }


def detection_row(detection: StoredDetection) -> Row:
    """A detection's fields; `time` is that of `time_s` where the footage's date is known."""
    row: Row = {}
    for name, value in asdict(detection).items():
        row[name] = value
        if name == "time_s":
            row["time"] = iso_time(value)
    return row | {"box_xyxy": list(detection.box_xyxy)}


def _write(path: Path, write: Callable[[IO[bytes]], int]) -> int:
    if is_stdout(path):
        return write(sys.stdout.buffer)
    with new_file(path) as partial, partial.open("wb") as file:
        return write(file)


@contextmanager
def _as_text(file: IO[bytes]) -> Iterator[TextIO]:
    text = TextIOWrapper(file, "utf-8", newline="")
    try:
        yield text
    finally:
        text.detach()  # or it would close the file, which may be stdout


def _write_table(rows: Iterable[Row], columns: Columns, path: Path) -> int:
    def write(file: IO[bytes]) -> int:
        if path.suffix.lower() == ".parquet":
            return _write_parquet(rows, columns, file)
        with _as_text(file) as text:
            if path.suffix.lower() == ".csv":
                return _write_csv(rows, columns, text)
            return _write_lines(rows, text)

    return _write(path, write)


def _write_csv(rows: Iterable[Row], columns: Columns, file: TextIO) -> int:
    """One cell for each number: a box is x1, y1, x2, y2, an embedding e0, e1, ..."""
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow([cell for name, cells in columns.items() for cell in cells or (name,)])
    count = 0
    for row in rows:
        count += 1
        writer.writerow(
            [
                _as_cell(cell)
                for name, cells in columns.items()
                for cell in (row[name] if cells else [row[name]])
            ]
        )
    return count


def _as_cell(value: Any) -> Any:
    """A name that a spreadsheet would run as a formula gets an apostrophe, as OWASP advises."""
    if not isinstance(value, str):
        return value
    return f"'{printable(value)}" if value[:1] in _FORMULA else printable(value)


def _write_lines(rows: Iterable[Row], file: TextIO) -> int:
    count = 0
    for row in rows:
        count += 1
        file.write(to_json(row) + "\n")
    return count


def _write_parquet(rows: Iterable[Row], columns: Columns, file: IO[bytes]) -> int:
    import pyarrow as pa
    from pyarrow import parquet

    kinds = {
        **dict.fromkeys(("rank", "frame", "first_frame", "last_frame", "detections"), pa.int64()),
        **dict.fromkeys(("distance", "probability", "score"), pa.float64()),
        **dict.fromkeys(("time_s", "first_s", "last_s"), pa.float64()),
        "confirmed": pa.bool_(),
        **{name: pa.list_(pa.float32(), len(cells)) for name, cells in columns.items() if cells},
    }
    schema = pa.schema([(name, kinds.get(name, pa.string())) for name in columns])
    count = 0
    with parquet.ParquetWriter(file, schema) as writer:
        for group in _groups(rows):
            writer.write_table(pa.Table.from_pylist(group, schema))
            count += len(group)
    return count


def _groups(rows: Iterable[Row]) -> Iterator[list[Row]]:
    group: list[Row] = []
    for row in rows:
        group.append(row)
        if len(group) == _GROUP_ROWS:
            yield group
            group = []
    if group:
        yield group


def _write_mot(linked: Iterable[tuple[StoredDetection, int]], file: IO[bytes]) -> int:
    """`frame,id,left,top,width,height,score,x,y,z`, counted from 1; -1 is unknown."""
    count = 0
    with _as_text(file) as text:
        for detection, tracklet in linked:
            count += 1
            x1, y1, x2, y2 = detection.box_xyxy
            box = ",".join(f"{edge:.2f}" for edge in (x1 + 1, y1 + 1, x2 - x1, y2 - y1))
            text.write(f"{detection.frame},{tracklet + 1},{box},{detection.score:g},-1,-1,-1\n")
    return count


def _write_coco(detections: Iterable[StoredDetection], file: IO[bytes]) -> int:
    """Pictures are those with people; `source` and `frame` are ours, COCO knows no footage."""
    images: dict[tuple[str, str, int], dict[str, Any]] = {}
    annotations = []
    for count, detection in enumerate(detections, start=1):
        key = detection.camera, detection.source, detection.frame
        image = images.setdefault(
            key,
            {
                "id": len(images) + 1,
                "file_name": detection.path,
                "camera": detection.camera,
                "source": detection.source,
                "frame": detection.frame,
            },
        )
        x1, y1, x2, y2 = detection.box_xyxy
        width, height = round(x2 - x1, 2), round(y2 - y1, 2)
        annotations.append(
            {
                "id": count,
                "image_id": image["id"],
                "category_id": 1,
                "bbox": [x1, y1, width, height],
                "area": round(width * height, 2),
                "iscrowd": 0,
                "score": detection.score,
            }
        )
    document = {
        "images": list(images.values()),
        "annotations": annotations,
        "categories": [{"id": 1, "name": "person"}],
    }
    file.write(json.dumps(document).encode())
    return len(annotations)
