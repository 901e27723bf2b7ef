"""A search result as one HTML file."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np
from jinja2 import Environment, PackageLoader
from markupsafe import Markup

from reidsearch._version import __version__
from reidsearch.core.errors import ReidsearchError
from reidsearch.core.files import atomic_write
from reidsearch.core.native import cv2
from reidsearch.core.text import count, format_time, printable
from reidsearch.footage.reread import read_frames
from reidsearch.render.crops import GREY, ORANGE, fit, render_crop

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from reidsearch.core.provenance import Provenance, SourceRecord
    from reidsearch.core.types import Match, StoredDetection
    from reidsearch.footage.reread import FoundFrame
    from reidsearch.search.find import SearchResult

_CROP_WH = 220, 330
_FRAME_PX, _VIEW_PX = 1280, 640
_BIN = 0.05
_TICKS = 6


@dataclass(frozen=True, slots=True)
class ReportContext:
    """What a report says about its database and its search.

    Attributes:
        db: the database's folder.
        provenance: its models.
        sources: all of its footage.
        command: the command line of the search.
        distances: of the nearest detections that were searched, ascending.
    """

    db: Path
    provenance: Provenance
    sources: tuple[SourceRecord, ...]
    command: str
    distances: Sequence[float]


def write_report(
    result: SearchResult, context: ReportContext, path: Path, root: Path | None = None
) -> list[str]:
    """Write a search result with its pictures into one self-contained file.

    Args:
        result: of the search.
        context: its database and command.
        path: the page to write.
        root: folder that footage was moved to; see `reread.locate`.

    Returns:
        Which frames are missing or have changed, one sentence each.

    Raises:
        ReidsearchError: the page cannot be written.
    """
    query = result.query.detection
    rows = {match.detection.id: match for match in result.matches}
    frames = _Frames()
    cards: dict[str, dict[str, Any]] = {}
    views: dict[str, dict[str, Any]] = {}
    for found in read_frames([match.detection for match in result.matches], root):
        match = rows[found.detection.id]
        cards[found.detection.id] = _card(match, found, frames)
        _add_to_view(views, match, found)
    if query is not None:
        query_card = _picture_fields(next(read_frames([query], root)), frames, likely=True)
        query_card |= _place_fields(query)
        query_card["caption"] = printable(f"query: {query.id}, {query_card['time']}")
    else:
        query_card = {"crop": _to_uri(fit(result.query.crops[0], _CROP_WH)), "problem": ""}
    ordered = [cards[match.detection.id] for match in result.matches]
    shown = ("frame", "box", "caption")
    page = (
        _environment()
        .get_template("report.html.j2")
        .render(
            query=query_card,
            cards=ordered,
            frames={
                "pictures": frames.uris,
                "shown": [{key: card.get(key) for key in shown} for card in (query_card, *ordered)],
            },
            views=[views[key] for key in sorted(views)],
            timelines=[
                _timeline(result, records)
                for dated in (False, True)
                if (records := _shown_sources(result, context.sources, dated=dated))
            ],
            histogram=_histogram(result, context.distances),
            picture_hashes=[_hash(crop) for crop in result.query.crops],
            result=result,
            context=context,
            version=__version__,
            written=datetime.now().astimezone().isoformat(" ", "seconds"),
            crop_wh=_CROP_WH,
        )
    )
    try:
        with atomic_write(path.resolve()) as partial:
            partial.write_text(page, "utf-8")
    except OSError as error:
        raise ReidsearchError(f"cannot write {path}: {error.strerror}") from error
    problems = [query_card["problem"], *(card["problem"] for card in ordered)]
    return sorted({problem for problem in problems if problem})


def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("reidsearch", "render"),
        autoescape=True,
        finalize=lambda value: value if isinstance(value, Markup) else printable(str(value)),
        trim_blocks=True,
        lstrip_blocks=True,
    )


class _Frames:
    """Embedded frames, each once, however many detections are in it."""

    def __init__(self) -> None:
        self.uris: list[str] = []
        self._places: dict[tuple[str, int], int] = {}

    def add(self, found: FoundFrame, image: NDArray[np.uint8]) -> int:
        """Embed a frame, and return its index."""
        key = found.detection.path, found.detection.frame
        if key not in self._places:
            self._places[key] = len(self.uris)
            self.uris.append(_to_uri(_shrink(image, _FRAME_PX)))
        return self._places[key]


def _card(match: Match, found: FoundFrame, frames: _Frames) -> dict[str, Any]:
    place = _place_fields(match.detection)
    caption = f"{match.rank}.  {place['id']}, {place['time']}, distance {match.distance:.3f}"
    return {
        "rank": match.rank,
        "distance": match.distance,
        "probability": match.probability,
        "likely": match.is_likely,
        "caption": printable(caption),
        "passage": _passage(match),
        **place,
        **_picture_fields(found, frames, likely=match.is_likely),
    }


def _passage(match: Match) -> str:
    if match.passage is None:
        return ""
    first, last = match.passage.first, match.passage.last
    times = f"{format_time(first.time_s)} to {format_time(last.time_s)}"
    return f"{count(match.passage.count, 'detection')}, {times}"


def _place_fields(detection: StoredDetection) -> dict[str, Any]:
    return {
        "id": detection.id,
        "camera": detection.camera,
        "source": detection.source,
        "number": detection.frame,
        "time": format_time(detection.time_s),
        "score": detection.score,
        "path": detection.path,
    }


def _picture_fields(found: FoundFrame, frames: _Frames, *, likely: bool) -> dict[str, Any]:
    crop = render_crop(found, _CROP_WH, ORANGE if likely else GREY).picture
    fields: dict[str, Any] = {"problem": found.problem, "crop": None, "frame": None, "box": None}
    if crop is not None and found.image is not None:
        fields["crop"] = _to_uri(crop)
        fields["frame"] = frames.add(found, found.image)
        fields["box"] = _in_percent(found.detection, found.image)
    return fields


def _add_to_view(views: dict[str, dict[str, Any]], match: Match, found: FoundFrame) -> None:
    """Mark a match on the picture of its camera."""
    if found.image is None:
        return
    detection = match.detection
    name = f"{detection.camera}/{detection.source}"
    if name not in views:
        views[name] = {
            "name": name,
            "picture": _to_uri(_shrink(found.image, _VIEW_PX)),
            "marks": [],
        }
    box = _in_percent(detection, found.image)
    views[name]["marks"].append({"rank": match.rank, "box": box, "likely": match.is_likely})


def _shown_sources(
    result: SearchResult, sources: Sequence[SourceRecord], *, dated: bool
) -> list[SourceRecord]:
    """The sources of the query and the matches, either those with dates or those without."""
    detections = [match.detection for match in result.matches]
    if result.query.detection is not None:
        detections.append(result.query.detection)
    keys = {(detection.camera, detection.source) for detection in detections}
    return [r for r in sources if r.info.key in keys and (r.info.start_s is not None) == dated]


def _timeline(result: SearchResult, records: Sequence[SourceRecord]) -> dict[str, Any]:
    """Cameras as rows; times as percent of the whole span."""
    query = result.query.detection
    spans = {r.info.key: [r.info.time_of(n) for n in r.span or ()] for r in records}
    times = [time for span in spans.values() for time in span]
    first, last = min(times, default=0.0), max(times, default=1.0)
    length = (last - first) or 1.0

    def at(time_s: float) -> float:
        return 100 * (time_s - first) / length

    rows: dict[str, dict[str, list[Any]]] = {}
    for record in records:
        row = rows.setdefault(record.info.camera, {"spans": [], "dots": []})
        begin, end = spans[record.info.key]
        row["spans"].append({"left": at(begin), "width": max(at(end) - at(begin), 0.3)})
    for match in result.matches:
        if (match.detection.camera, match.detection.source) not in spans:
            continue
        rows[match.detection.camera]["dots"].append(
            {
                "left": at(match.detection.time_s),
                "rank": match.rank,
                "likely": match.is_likely,
                "time": format_time(match.detection.time_s),
            }
        )
    ticks = np.linspace(first, last, _TICKS).tolist()
    return {
        "rows": sorted(rows.items()),
        "ticks": [{"left": at(tick), "text": format_time(tick)} for tick in ticks],
        "query": None if query is None else {"left": at(query.time_s), "camera": query.camera},
    }


def _histogram(result: SearchResult, distances: Sequence[float]) -> dict[str, Any]:
    """How many of the nearest detections have which distance; positions in percent."""
    limit = 0.0 if result.calibration is None else result.calibration.likely_distance
    last = max([*distances, limit, _BIN])
    bins = int(np.ceil((last + 1e-9) / _BIN))
    counts = np.histogram(distances, bins, (0, bins * _BIN))[0]
    highest = max(int(counts.max(initial=0)), 1)
    bars = [
        {
            "left": 100 * place / bins,
            "width": 100 / bins,
            "height": 100 * count / highest,
            "count": count,
            "low": place * _BIN,
            "likely": (place + 0.5) * _BIN < limit,
        }
        for place, count in enumerate(counts.tolist())
    ]
    every = max(1, bins // 8)
    return {
        "bars": bars,
        "detections": len(distances),
        "highest": highest,
        "limit": limit,
        "limit_left": 100 * limit / (bins * _BIN),
        "ticks": [{"left": 100 * n / bins, "text": f"{n * _BIN:g}"} for n in range(0, bins, every)],
    }


def _hash(crop: NDArray[np.uint8]) -> str:
    return hashlib.sha256(crop.tobytes()).hexdigest()[:16]


def _in_percent(detection: StoredDetection, image: NDArray[np.uint8]) -> dict[str, float]:
    height, width = image.shape[:2]
    x1, y1, x2, y2 = detection.box_xyxy
    return {
        "left": 100 * x1 / width,
        "top": 100 * y1 / height,
        "width": 100 * (x2 - x1) / width,
        "height": 100 * (y2 - y1) / height,
    }


def _shrink(image: NDArray[np.uint8], longest_px: int) -> NDArray[np.uint8]:
    scale = min(1.0, longest_px / max(image.shape[:2]))
    height, width = (max(1, round(side * scale)) for side in image.shape[:2])
    return np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def _to_uri(image: NDArray[np.uint8]) -> str:
    quality = [cv2.IMWRITE_JPEG_QUALITY, 82]
    jpeg = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), quality)[1]
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg.tobytes()).decode()}"
