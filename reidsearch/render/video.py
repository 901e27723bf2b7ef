"""A search as a video: all detections in green, the best match of each later frame in orange."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import TYPE_CHECKING

import numpy as np

from reidsearch.core.errors import ReidsearchError
from reidsearch.core.native import cv2
from reidsearch.core.progress import SILENT
from reidsearch.core.text import format_time
from reidsearch.core.types import BadFrame
from reidsearch.footage.reread import is_same, read_frames
from reidsearch.ingest.prefetch import prefetch
from reidsearch.render.crops import GREEN, ORANGE, CropImage, fit, render_crop
from reidsearch.render.text import draw_text, paste
from reidsearch.render.video_file import open_video

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from reidsearch.core.progress import Progress
    from reidsearch.core.types import Frame, StoredDetection
    from reidsearch.footage import FrameSource
    from reidsearch.render.text import Colour
    from reidsearch.search.find import FootageMatches

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
    found: FootageMatches,
    out: Path,
    options: VideoOptions,
    progress: Progress = SILENT,
) -> VideoReport:
    """Write the stored frames of a source with all detections and the query's best matches.

    Args:
        source: the footage; see `footage.open_moved`.
        found: what is drawn.
        out: the video to write, `.mp4`.
        options: how it is drawn.
        progress: advanced by each frame read.

    Raises:
        ReidsearchError: the video cannot be written, or no frame could be read.
    """
    info = found.record.info
    painter = _Painter(found, options.root)
    shown = {*found.matches, painter.query_frame}
    frames = matched = 0

    def paint() -> Iterator[tuple[int, NDArray[np.uint8]] | None]:
        for frame in source.frames(found.detections.__contains__):
            drawn = None
            if isinstance(frame, BadFrame):
                painter.problems.add(frame.reason)
            elif not options.only_matches or frame.number in shown:
                drawn = frame.number, painter.paint(frame)
            yield drawn

    with (
        open_video(out, options.fps or _real_fps(found)) as video,
        prefetch(paint(), "paint") as painted,
    ):
        progress.phase("frames", len(found.detections))
        for drawn in painted:
            progress.advance()
            if drawn is not None:
                number, picture = drawn
                video.write(picture)
                frames += 1
                matched += number in found.matches
        if not frames:
            raise ReidsearchError(f"no frame of {info} could be read: {source.info.path}")
    return VideoReport(frames, matched, tuple(sorted(painter.problems)))


class _Painter:
    """Draws detections and matches on frames."""

    def __init__(self, found: FootageMatches, root: Path | None) -> None:
        self._found, self._root = found, root
        self.problems: set[str] = set()
        self._inset: NDArray[np.uint8] | None = None
        own = found.query.detection
        is_own = own is not None and own.key == found.record.info.key
        self.query_frame = own.frame if own is not None and is_own else None

    def paint(self, frame: Frame) -> NDArray[np.uint8]:
        number, picture = frame.number, frame.image.copy()
        detections, query = self._found.detections[number], self._found.query.detection
        has_changed = not all(is_same(frame.image, detection) for detection in detections)
        if has_changed:
            self.problems.add(f"frame {number} of {frame.path} has changed since it was ingested")
        for detection in detections:
            _draw_box(picture, detection, GREEN)
        if number in self._found.matches:
            match = self._found.matches[number]
            _draw_box(picture, match.detection, ORANGE, f"{match.distance:.3f}")
        elif number == self.query_frame and query is not None:
            _draw_box(picture, query, ORANGE, "query")
        info = self._found.record.info
        stamp = f"{info}   frame {number}   {format_time(info.time_of(number))}"
        stamp += "   changed since it was ingested" if has_changed else ""
        paste(picture, draw_text(stamp, _text_px(picture), _WHITE, _BLACK), 0, 0)
        inset = self._render_inset(picture.shape[0])
        paste(picture, inset, picture.shape[1] - inset.shape[1], 0)
        return picture

    def _render_inset(self, height: int) -> NDArray[np.uint8]:
        """The query, a quarter as high as the frames, rendered once."""
        if self._inset is None:
            inner_wh = max(height // 8, 8), max(height // 4, 16)
            query = self._found.query
            if query.detection is None:
                crop_image = CropImage(fit(query.crops[0], inner_wh))
            else:
                [found] = read_frames([query.detection], self._root)
                crop_image = render_crop(found, inner_wh, ORANGE)
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
        paste(picture, text, min(x1, picture.shape[1] - width), y1 - height)


def _text_px(picture: NDArray[np.uint8]) -> int:
    height: int = picture.shape[0]
    return max(11, height // 40)


def _real_fps(found: FootageMatches) -> float:
    steps = [after - before for before, after in pairwise(sorted(found.detections))]
    return found.record.info.fps / median(steps or [1])
