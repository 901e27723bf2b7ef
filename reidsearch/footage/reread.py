"""The frames that stored people were found in, read again."""

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
from reidsearch.footage.video import VideoSource, jump_to_frames

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from reidsearch.core.provenance import SourceRecord
    from reidsearch.core.types import StoredDetection


@dataclass(frozen=True, slots=True, eq=False)
class FoundFrame:
    """The frame of a sighting, or why it is not there.

    Attributes:
        sighting: who was found in it.
        image: `(H, W, 3)` uint8 RGB, or None.
        problem: one sentence that names the file, or empty. A frame that changed has an image too.
    """

    detection: StoredDetection
    image: NDArray[np.uint8] | None
    problem: str = ""


def read_frames(
    sightings: Iterable[StoredDetection], root: Path | None = None
) -> Iterator[FoundFrame]:
    """Read the frame of each sighting, holding one in memory at a time.

    Args:
        sightings: in any order; frames come file by file and then by number.
        root: where footage has been moved to; see `locate`.
    """
    by_path: dict[str, list[StoredDetection]] = defaultdict(list)
    for sighting in sightings:
        by_path[sighting.path].append(sighting)
    for stored, wanted in by_path.items():
        path = locate(stored, root)
        if not path.is_file():
            problem = f"{path} is not there any more"
            yield from (FoundFrame(sighting, None, problem) for sighting in wanted)
        elif path.suffix.lower() in IMAGE_SUFFIXES:
            yield from _read_picture(path, wanted)
        else:
            yield from _read_video(path, wanted)


def locate(stored: str, root: Path | None) -> Path:
    """Find a file where it was, or below `root`, by as much of its old path as is there."""
    parts = Path(stored).parts
    if root is not None:
        for start in range(1, len(parts)):
            moved = root.joinpath(*parts[start:])
            if moved.exists():
                return moved.resolve()
    return Path(stored)


def open_moved(record: SourceRecord, root: Path | None = None) -> FrameSource:
    """Open the footage that the database knows, where it is now.

    Raises:
        SourceError: it is not there, or is other footage.
    """
    path = locate(record.info.path, root)
    if not path.exists():
        raise SourceError(
            f"{path} is not there any more", hint="--root DIR says where it was moved to"
        )
    info = record.info
    source = open_source(path, SourceOptions(info.camera, fps=info.fps, start_s=info.start_s))
    require_same_footage(record, source.info)
    return source


def cut_person(image: NDArray[np.uint8], sighting: StoredDetection) -> NDArray[np.uint8] | None:
    """The pixels of a sighting's box; None if the picture has none there."""
    box = Detections(np.array([sighting.box_xyxy], np.float32), np.ones(1, np.float32))
    crops = cut_crops(image, box).images
    return crops[0] if crops else None


def _read_picture(path: Path, wanted: Sequence[StoredDetection]) -> Iterator[FoundFrame]:
    try:
        image = read_image(path)
    except ReidsearchError as error:
        yield from (FoundFrame(sighting, None, str(error)) for sighting in wanted)
        return
    for sighting in wanted:
        problem = "" if is_same(image, sighting) else f"{path} has changed since it was ingested"
        yield FoundFrame(sighting, image, problem)


def _read_video(path: Path, wanted: Sequence[StoredDetection]) -> Iterator[FoundFrame]:
    """Jump to each frame; where that is not exact, which the hash tells, read up to it."""
    left: dict[int, list[StoredDetection]] = defaultdict(list)
    for sighting in wanted:
        left[sighting.frame].append(sighting)
    for number, image in jump_to_frames(path, sorted(left)):
        if all(is_same(image, sighting) for sighting in left[number]):
            yield from (FoundFrame(sighting, image) for sighting in left.pop(number))
    if left:
        yield from _read_through(path, left)


def _read_through(path: Path, left: dict[int, list[StoredDetection]]) -> Iterator[FoundFrame]:
    problem = f"{path} has changed since it was ingested"
    try:
        anyhow = SourceOptions(fps=1.0)  # no times are asked for
        for frame in VideoSource(path, anyhow).frames(left.__contains__):
            if isinstance(frame, Frame):
                for sighting in left.pop(frame.number):
                    same = is_same(frame.image, sighting)
                    yield FoundFrame(sighting, frame.image, "" if same else problem)
            if not left:
                break
    except ReidsearchError as error:
        problem = str(error)
    for sightings in left.values():
        yield from (FoundFrame(sighting, None, problem) for sighting in sightings)


def is_same(image: NDArray[np.uint8], sighting: StoredDetection) -> bool:
    """Whether a frame has the very pixels in the sighting's box that were ingested."""
    crop = cut_person(image, sighting)
    return crop is not None and hash_crop(crop) == sighting.crop_hash
