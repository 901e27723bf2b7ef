"""Reading the frames of stored detections again."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from reidsearch.core.errors import ReidsearchError, SourceError
from reidsearch.core.provenance import require_same_footage
from reidsearch.core.types import Detections, Frame
from reidsearch.footage import FrameSource, SourceOptions, open_source
from reidsearch.footage.images import IMAGE_SUFFIXES, cut_crops, hash_crop, read_image
from reidsearch.footage.seeking import read_at
from reidsearch.footage.video import VideoSource

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from reidsearch.core.provenance import SourceRecord
    from reidsearch.core.types import StoredDetection


@dataclass(frozen=True, slots=True, eq=False)
class FoundFrame:
    """The frame of a stored detection.

    Attributes:
        detection: in that frame.
        image: `(H, W, 3)` uint8 RGB, or None if it cannot be read.
        problem: one sentence that names the file, or empty; a frame that has changed also has an
            image.
    """

    detection: StoredDetection
    image: NDArray[np.uint8] | None
    problem: str = ""


def read_frames(
    detections: Iterable[StoredDetection], root: Path | None = None
) -> Iterator[FoundFrame]:
    """Read the frame of each detection, with one in memory at a time.

    Args:
        detections: in any order; frames come file by file and then by number.
        root: folder that footage was moved to; see `locate`.
    """
    by_path: dict[str, list[StoredDetection]] = defaultdict(list)
    for detection in detections:
        by_path[detection.path].append(detection)
    for stored, group in by_path.items():
        path = locate(stored, root)
        if not path.is_file():
            problem = f"{path} does not exist any more"
            yield from (FoundFrame(detection, None, problem) for detection in group)
        elif path.suffix.lower() in IMAGE_SUFFIXES:
            yield from _read_picture(path, group)
        else:
            yield from _read_video(path, group)


def locate(stored: str | Path, root: Path | None) -> Path:
    """Find a file at its stored path, or below `root` by the longest possible end of that path."""
    parts = Path(stored).parts
    if root is not None:
        for start in range(1, len(parts)):
            moved = root.resolve().joinpath(*parts[start:])
            if moved.exists():
                return moved
    return Path(stored)


def open_moved(
    record: SourceRecord, root: Path | None = None, frames: Iterable[StoredDetection] = ()
) -> FrameSource:
    """Open the footage of a record, which may have been moved.

    Args:
        record: of the source.
        root: folder that footage was moved to; see `locate`.
        frames: some of its detections, whose frames are looked for there.

    Raises:
        SourceError: it is missing, or is other footage.
    """
    info = record.info
    path = _locate_source(info.path, frames, root)
    if not path.exists():
        raise SourceError(f"{path} does not exist any more", hint="if it was moved, use --root DIR")
    source = open_source(path, SourceOptions(info.camera, fps=info.fps, start_s=info.start_s))
    require_same_footage(record, source.info)
    return source


def _locate_source(stored: str, frames: Iterable[StoredDetection], root: Path | None) -> Path:
    """Find a video, or the folder where frames of a folder are now."""
    for path in dict.fromkeys(detection.path for detection in frames):
        if path == stored:
            return locate(stored, root)
        found = locate(Path(stored, Path(path).name), root)
        if found.is_file():
            return found.parent
    return Path(stored)


def _read_picture(path: Path, detections: Sequence[StoredDetection]) -> Iterator[FoundFrame]:
    try:
        image = read_image(path)
    except ReidsearchError as error:
        yield from (FoundFrame(detection, None, str(error)) for detection in detections)
        return
    for detection in detections:
        problem = "" if is_same(image, detection) else f"{path} has changed since it was ingested"
        yield FoundFrame(detection, image, problem)


def _read_video(path: Path, detections: Sequence[StoredDetection]) -> Iterator[FoundFrame]:
    """Seek the frames; what the hash shows to be another frame is found by counting all."""
    remaining: dict[int, list[StoredDetection]] = defaultdict(list)
    for detection in detections:
        remaining[detection.frame].append(detection)
    for number, image in read_at(path, remaining):
        if all(is_same(image, detection) for detection in remaining[number]):
            yield from (FoundFrame(detection, image) for detection in remaining.pop(number))
    if remaining:
        yield from _read_through(path, remaining)


def _read_through(path: Path, remaining: dict[int, list[StoredDetection]]) -> Iterator[FoundFrame]:
    problem = f"{path} has changed since it was ingested"
    try:
        options = SourceOptions(fps=1.0)  # times are not used
        for frame in VideoSource(path, options).frames(remaining.__contains__):
            if isinstance(frame, Frame):
                for detection in remaining.pop(frame.number):
                    same = is_same(frame.image, detection)
                    yield FoundFrame(detection, frame.image, "" if same else problem)
            if not remaining:
                break
    except ReidsearchError as error:
        problem = str(error)
    for detections in remaining.values():
        yield from (FoundFrame(detection, None, problem) for detection in detections)


def is_same(image: NDArray[np.uint8], detection: StoredDetection) -> bool:
    """Whether the pixels in the box of a detection are the ones that were ingested."""
    box = Detections(np.array([detection.box_xyxy], np.float32), np.ones(1, np.float32))
    crops = cut_crops(image, box).images
    return bool(crops) and hash_crop(crops[0]) == detection.crop_hash
