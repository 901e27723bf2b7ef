"""The search as a video: everyone found in green, the best match of each later frame in orange."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import TYPE_CHECKING

import cv2
import numpy as np

from reidsearch.errors import ReidsearchError
from reidsearch.provenance import require_same_footage
from reidsearch.types import BadFrame, Filter

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from reidsearch.provenance import SourceRecord
    from reidsearch.search import StoredQuery
    from reidsearch.sources import FrameSource
    from reidsearch.store import Store
    from reidsearch.types import Records, Sighting

_CONTAINERS = frozenset({".mp4", ".avi", ".mkv"})
GREEN_RGB = (40, 200, 80)
ORANGE_RGB = (255, 140, 0)


@dataclass(frozen=True, slots=True)
class VideoReport:
    """What was drawn.

    Attributes:
        frames: pictures in the video.
        matched: how many of them show a match.
    """

    frames: int
    matched: int


def render_video(
    source: FrameSource,
    record: SourceRecord,
    query: StoredQuery,
    store: Store,
    out: Path,
    fps: float | None = None,
    on_frame: Callable[[], None] = lambda: None,
) -> VideoReport:
    """Write the ingested frames of a source with everyone found and the query's best matches.

    Args:
        source: the footage.
        record: what the store knows of it.
        query: a stored person of that source; matches are sought in later frames only.
        store: holds both.
        out: the video to write; its ending says the container, `.mp4` or `.avi`.
        fps: pictures per second; None shows the footage at its own speed.
        on_frame: called after each picture.

    Raises:
        SourceError: the footage is not that which the store knows.
        ReidsearchError: the video cannot be written, or no frame could be read.
    """
    require_same_footage(record, source.info)
    out = out.resolve()  # FFmpeg would take a: in a relative path for a protocol
    _require_other_file(out, source.info.path)
    people = store.scan(Filter(sources=(record.info.key,)))
    by_frame: dict[int, list[int]] = defaultdict(list)
    for row, sighting in enumerate(people.sightings):
        by_frame[sighting.frame].append(row)
    best = _best_matches(people, by_frame, query)
    # OpenCV tells the container by the ending, so the unfinished file keeps it.
    unfinished = out.with_name(f".{out.stem}.unfinished{out.suffix}")
    writer: cv2.VideoWriter | None = None
    frames = matched = 0
    try:
        for frame in source.frames(record.frames.__contains__):
            if isinstance(frame, BadFrame):
                continue
            height, width = frame.image.shape[:2]
            if writer is None:
                writer = _open_writer(unfinished, out, fps or _real_fps(record), (width, height))
                size = (width, height)
            picture = frame.image.copy()
            for row in by_frame[frame.number]:
                draw_person(picture, people.sightings[row], GREEN_RGB)
            if frame.number in best:
                distance, sighting = best[frame.number]
                draw_person(picture, sighting, ORANGE_RGB, f"{distance:.3f}")
                matched += 1
            elif frame.number == query.sighting.frame:
                draw_person(picture, query.sighting, ORANGE_RGB, "query")
            if (width, height) != size:
                picture = np.asarray(cv2.resize(picture, size), np.uint8)
            writer.write(cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
            frames += 1
            on_frame()
        if writer is None:
            raise ReidsearchError(
                f"no frame of {record.info} could be read from {source.info.path}"
            )
        writer.release()
        unfinished.replace(out)
    finally:
        unfinished.unlink(missing_ok=True)
    return VideoReport(frames, matched)


def draw_person(
    picture: NDArray[np.uint8],
    sighting: Sighting,
    colour_rgb: tuple[int, int, int],
    label: str = "",
) -> None:
    """Draw a box, and a label above it, onto an RGB picture in place."""
    x1, y1, x2, y2 = (round(v) for v in sighting.box_xyxy)
    thickness = max(2, picture.shape[0] // 300)
    cv2.rectangle(picture, (x1, y1), (x2 - 1, y2 - 1), colour_rgb, thickness)
    if label:
        font, scale = cv2.FONT_HERSHEY_SIMPLEX, picture.shape[0] / 1200
        (width, height), below = cv2.getTextSize(label, font, scale, thickness)
        bottom = max(y1, height + below)
        left = max(0, min(x1, picture.shape[1] - width))
        corner = left + width, bottom - height - below
        cv2.rectangle(picture, (left, bottom), corner, colour_rgb, cv2.FILLED)
        origin = left, bottom - below // 2
        cv2.putText(picture, label, origin, font, scale, (0, 0, 0), thickness, cv2.LINE_AA)


def _best_matches(
    people: Records, by_frame: dict[int, list[int]], query: StoredQuery
) -> dict[int, tuple[float, Sighting]]:
    """Nearest person of each frame after the query's, with its distance."""
    distances = np.linalg.norm(people.embeddings.vectors - query.vector, axis=1)
    best: dict[int, tuple[float, Sighting]] = {}
    for frame, rows in by_frame.items():
        if frame > query.sighting.frame:
            row = min(rows, key=distances.__getitem__)
            best[frame] = float(distances[row]), people.sightings[row]
    return best


def _real_fps(record: SourceRecord) -> float:
    steps = [after - before for before, after in pairwise(record.frames)]
    return record.info.fps / median(steps or [1])


def _require_other_file(out: Path, footage: str) -> None:
    if out.suffix.lower() not in _CONTAINERS or out.is_dir():
        raise ReidsearchError(f"cannot write a video to {out}", hint="use an ending .mp4 or .avi")
    if not out.parent.is_dir():
        raise ReidsearchError(f"there is no folder {out.parent} to write {out.name} to")
    if out.exists() and out.samefile(footage):
        raise ReidsearchError(f"{out} is the footage itself", hint="write to another file")


def _open_writer(path: Path, out: Path, fps: float, size_wh: tuple[int, int]) -> cv2.VideoWriter:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), fps, size_wh)
    if not writer.isOpened():
        raise ReidsearchError(
            f"cannot write a video to {out}",
            hint="the folder must be writable, and .mp4 or .avi known to your OpenCV",
        )
    return writer
