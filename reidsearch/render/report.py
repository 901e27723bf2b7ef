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
from reidsearch.core.files import new_file
from reidsearch.core.native import cv2
from reidsearch.core.text import count, format_probability, format_time, printable
from reidsearch.render.charts import make_histogram, make_timeline
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


class Report:
    """A page of a search result with its pictures, self-contained; see `drawing.draw`."""

    def __init__(self, result: SearchResult, context: ReportContext) -> None:
        self._result, self._context = result, context
        self._matches = {match.detection.id: match for match in result.matches}
        self._frames = _Frames()
        self._cards: dict[str, dict[str, Any]] = {}
        self._views: dict[str, dict[str, Any]] = {}
        self._problems: set[str] = set()
        self._query: dict[str, Any] = {}
        if result.query.shown is None:
            self._query = {"crop": _to_uri(fit(result.query.crops[0], _CROP_WH))}

    def add(self, found: FoundFrame) -> None:
        """See `Drawing.add`."""
        self._problems.add(found.problem)
        if found.detection == self._result.query.shown:
            place = _place_fields(found.detection)
            caption = f"query: {place['id']}, {place['time']}{_note(found)}"
            self._query = place | self._picture_fields(found, caption, likely=True)
        if match := self._matches.get(found.detection.id):
            fields = _match_fields(match)
            caption = f"{match.rank}.  {fields['id']}, {fields['time']}"
            caption += f", distance {match.distance:.3f}{_note(found)}"
            fields |= self._picture_fields(found, caption, likely=match.is_likely)
            self._cards[found.detection.id] = fields
            self._mark(match, found)

    def save(self, path: Path) -> None:
        """Write the page; raises ReidsearchError where that is not possible."""
        result, context = self._result, self._context
        cards = [self._cards[match.detection.id] for match in result.matches]
        shown = ("frame", "box", "caption")
        page = (
            _environment()
            .get_template("report.html.j2")
            .render(
                query=self._query,
                cards=cards,
                frames={
                    "pictures": self._frames.uris,
                    "shown": [{key: c.get(key) for key in shown} for c in (self._query, *cards)],
                },
                views=[self._views[key] for key in sorted(self._views)],
                timelines=[
                    make_timeline(result, records)
                    for dated in (False, True)
                    if (records := _shown_sources(result, context.sources, dated=dated))
                ],
                histogram=make_histogram(result, context.distances),
                picture_hashes=[_hash(crop) for crop in result.query.crops],
                problems=sorted(self._problems - {""}),
                result=result,
                context=context,
                version=__version__,
                written=datetime.now().astimezone().isoformat(" ", "seconds"),
                crop_wh=_CROP_WH,
            )
        )
        with new_file(path) as partial:
            partial.write_text(page, "utf-8")

    def _picture_fields(self, found: FoundFrame, caption: str, *, likely: bool) -> dict[str, Any]:
        fields = {"note": _note(found).lstrip(", "), "caption": printable(caption)}
        crop = render_crop(found, _CROP_WH, ORANGE if likely else GREY).picture
        if crop is None or found.image is None:
            return fields
        return fields | {
            "crop": _to_uri(crop),
            "frame": self._frames.add(found, found.image),
            "box": _in_percent(found.detection, found.image),
        }

    def _mark(self, match: Match, found: FoundFrame) -> None:
        """Mark a match on the picture of its source, which is that of the first frame."""
        if found.image is None or found.problem:
            return
        name = str(match.detection.key)
        if name not in self._views:
            picture = _to_uri(_shrink(found.image, _VIEW_PX))
            self._views[name] = {"name": name, "picture": picture, "marks": []}
        box = _in_percent(match.detection, found.image)
        self._views[name]["marks"].append(
            {"rank": match.rank, "box": box, "likely": match.is_likely}
        )


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("reidsearch", "render"),
        autoescape=True,
        finalize=lambda value: value if isinstance(value, Markup) else printable(str(value)),
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["probability"] = format_probability
    return environment


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


def _match_fields(match: Match) -> dict[str, Any]:
    fields = _place_fields(match.detection) | {
        "rank": match.rank,
        "distance": match.distance,
        "probability": match.probability,
        "likely": match.is_likely,
    }
    if match.passage is not None:
        fields["clock"] = f"{_clock(match.passage.first_s)} to {_clock(match.passage.last_s)}"
        fields["detections"] = count(match.passage.count, "detection")
    return fields


def _place_fields(detection: StoredDetection) -> dict[str, Any]:
    time = format_time(detection.time_s)
    day, _, clock = time.rpartition(" ")
    return {
        "id": detection.id,
        "camera": detection.camera,
        "source": detection.source,
        "number": detection.frame,
        "time": time,
        "day": day,
        "clock": clock,
    }


def _clock(time_s: float) -> str:
    return format_time(time_s).rpartition(" ")[2].partition(".")[0]


def _note(found: FoundFrame) -> str:
    if not found.problem:
        return ""
    return ", footage not found" if found.image is None else ", changed since it was ingested"


def _shown_sources(
    result: SearchResult, sources: Sequence[SourceRecord], *, dated: bool
) -> list[SourceRecord]:
    """The sources of the query and the matches, either those with dates or those without."""
    detections = [match.detection for match in result.matches]
    if result.query.detection is not None:
        detections.append(result.query.detection)
    keys = {(detection.camera, detection.source) for detection in detections}
    return [r for r in sources if r.info.key in keys and (r.info.start_s is not None) == dated]


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
