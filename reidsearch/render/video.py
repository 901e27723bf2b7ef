"""A search as a video: all detections in green, the best match of each later frame in orange."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from reidsearch.core.errors import ReidsearchError
from reidsearch.core.native import cv2
from reidsearch.core.text import format_time
from reidsearch.core.types import BadFrame
from reidsearch.footage.reread import is_same
from reidsearch.ingest.prefetch import prefetch
from reidsearch.render.crops import GREEN, ORANGE, draw_text, render_query
from reidsearch.render.video_file import open_video

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from reidsearch.core.provenance import SourceRecord
    from reidsearch.core.types import Frame, Match, StoredDetection
    from reidsearch.footage import FrameSource
    from reidsearch.render.crops import Colour
    from reidsearch.search.query import Query

_BLACK: Colour = (0, 0, 0)
_WHITE: Colour = (255, 255, 255)


@dataclass(frozen=True, slots=True)
class VideoReport:
    """What was drawn.

    Attributes:
        frames: pictures in the video.
        matched: how many of them show a match.
        problems: which frames cannot be read or have changed, one sentence each.
    """

    frames: int
    matched: int
    problems: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class VideoOptions:
    """What is drawn.

    Attributes:
        only_matches: skip frames without the query or a match.
        fps: pictures per second; None shows the footage at its own speed.
        root: folder that footage was moved to; see `reread.locate`.
    """

    only_matches: bool = False
    fps: float | None = None
    root: Path | None = None


def render_video(
    source: FrameSource,
    record: SourceRecord,
    numbers: NDArray[np.int64],
    query: Query,
    detections: Iterable[StoredDetection],
    best: Mapping[int, Match],
    out: Path,
    options: VideoOptions,
    on_frame: Callable[[], None] = lambda: None,
) -> VideoReport:
    """Write the ingested frames of a source with all detections and the query's best matches.

    Args:
        source: the footage; see `footage.open_moved`.
        record: what the store knows of it.
        numbers: of its frames that the store has.
        query: a stored detection of any source, or a picture.
        detections: all of the source.
        best: the match of each frame that has one.
        out: the video to write, `.mp4`.
        options: what to draw.
        on_frame: called after each frame read.

    Raises:
        ReidsearchError: the video cannot be written, or no frame could be read.
    """
    by_frame: dict[int, list[StoredDetection]] = defaultdict(list)
    for detection in detections:
        by_frame[detection.frame].append(detection)
    painter = _Painter(record, query, by_frame, best, options.root)
    shown = {*best, painter.query_frame}
    frames = matched = 0

    def paint() -> Iterator[tuple[int, NDArray[np.uint8]]]:
        for frame in source.frames({*numbers.tolist()}.__contains__):
            on_frame()
            if isinstance(frame, BadFrame):
                painter.problems.add(frame.reason)
            elif not options.only_matches or frame.number in shown:
                yield frame.number, painter.paint(frame)

    with (
        open_video(out, options.fps or _real_fps(record, numbers)) as video,
        prefetch(paint(), "paint") as painted,
    ):
        for number, picture in painted:
            video.write(picture)
            frames += 1
            matched += number in best
        if not frames:
            problem = "shows a match" if options.only_matches else "could be read"
            raise ReidsearchError(f"no frame of {record.info} {problem}: {source.info.path}")
    return VideoReport(frames, matched, tuple(sorted(painter.problems)))


class _Painter:
    """Draws detections and matches on frames."""

    def __init__(
        self,
        record: SourceRecord,
        query: Query,
        by_frame: Mapping[int, list[StoredDetection]],
        best: Mapping[int, Match],
        root: Path | None,
    ) -> None:
        self._record, self._query = record, query
        self._by_frame, self._best = by_frame, best
        self._root = root
        self.problems: set[str] = set()
        self._inset: NDArray[np.uint8] | None = None
        own = query.detection
        is_own = own is not None and (own.camera, own.source) == record.info.key
        self.query_frame = own.frame if own is not None and is_own else None

    def paint(self, frame: Frame) -> NDArray[np.uint8]:
        number, picture = frame.number, frame.image.copy()
        detections = self._by_frame.get(number, ())
        has_changed = not all(is_same(frame.image, detection) for detection in detections)
        if has_changed:
            self.problems.add(f"frame {number} of {frame.path} has changed since it was ingested")
        for detection in detections:
            _draw_box(picture, detection, GREEN)
        if number in self._best:
            match = self._best[number]
            _draw_box(picture, match.detection, ORANGE, f"{match.distance:.3f}")
        elif number == self.query_frame and self._query.detection is not None:
            _draw_box(picture, self._query.detection, ORANGE, "query")
        info = self._record.info
        stamp = f"{info}   frame {number}   {format_time(info.time_of(number))}"
        stamp += "   changed since it was ingested" if has_changed else ""
        _paste(picture, draw_text(stamp, _text_px(picture), _WHITE, _BLACK), 0, 0)
        inset = self._render_inset(picture.shape[0])
        _paste(picture, inset, picture.shape[1] - inset.shape[1], 0)
        return picture

    def _render_inset(self, height: int) -> NDArray[np.uint8]:
        """The query, a quarter as high as the frames, rendered once."""
        if self._inset is None:
            inner_wh = max(height // 8, 8), max(height // 4, 16)
            crop_image = render_query(self._query, inner_wh, self._root)
            self.problems |= {crop_image.problem} - {""}
            self._inset = np.zeros((0, 0, 3), np.uint8)
            if crop_image.picture is not None:
                self._inset, edge = crop_image.picture, max(2, height // 200)
                cv2.rectangle(self._inset, (0, 0), (inner_wh[0] - 1, inner_wh[1] - 1), ORANGE, edge)
        return self._inset


def _draw_box(
    picture: NDArray[np.uint8], detection: StoredDetection, colour: Colour, label: str = ""
) -> None:
    """Draw a box, and a label above it, in place."""
    x1, y1, x2, y2 = (round(edge) for edge in detection.box_xyxy)
    cv2.rectangle(picture, (x1, y1), (x2 - 1, y2 - 1), colour, max(2, picture.shape[0] // 300))
    if label:
        text = draw_text(label, _text_px(picture), _BLACK, colour)
        height, width = text.shape[:2]
        _paste(picture, text, min(x1, picture.shape[1] - width), y1 - height)


def _text_px(picture: NDArray[np.uint8]) -> int:
    height: int = picture.shape[0]
    return max(11, height // 40)


def _paste(picture: NDArray[np.uint8], patch: NDArray[np.uint8], left: int, top: int) -> None:
    """Copy as much of a patch into a picture as fits, in place."""
    left, top = max(left, 0), max(top, 0)
    room = picture[top : top + patch.shape[0], left : left + patch.shape[1]]
    room[:] = patch[: room.shape[0], : room.shape[1]]


def _real_fps(record: SourceRecord, numbers: NDArray[np.int64]) -> float:
    return record.info.fps / float(np.median(np.diff(numbers) if len(numbers) > 1 else 1))
