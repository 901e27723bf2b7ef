"""Footage: folders of frames and video files."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from reidsearch.core.errors import SourceError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from reidsearch.core.types import BadFrame, FileStamp, Frame, SourceInfo


@dataclass(frozen=True, slots=True)
class SourceOptions:
    """How to read a source.

    Attributes:
        camera: its camera's name; None for the name of the source.
        every: take every N-th frame, beginning with the first.
        max_frames: the most frames to take; None for all.
        fps: frames per second; None for the video's own, or `defaults.ASSUMED_FPS` for a folder.
        start_s: epoch seconds of the first frame, or None.
        growing: frames are still being added to the folder: take those whose files have not
            changed for `defaults.SETTLED_S`, and require numbers in their names.
    """

    camera: str | None = None
    every: int = 1
    max_frames: int | None = None
    fps: float | None = None
    start_s: float | None = None
    growing: bool = False

    def __post_init__(self) -> None:
        if self.every < 1 or (self.max_frames is not None and self.max_frames < 1):
            raise UsageError("every and max_frames must be at least 1")
        if self.fps is not None and not is_frame_rate(self.fps):
            raise UsageError(
                f"{self.fps:g} is not a valid frame rate", hint="use 0.001 to 10000 per second"
            )
        if self.camera == "":
            raise UsageError("the name of a camera is empty", hint="name it, or drop --camera")
        if self.camera is not None and "/" in self.camera:
            raise UsageError(
                f"{self.camera!r} is not a valid camera name", hint="use a name without a /"
            )


def is_frame_rate(fps: float) -> bool:
    """Whether a number of frames per second is plausible."""
    return 0.001 <= fps <= 10_000


def every_frame(_number: int) -> bool:
    """Select all frames; see `FrameSource.frames`."""
    return True


def is_text(path: Path) -> bool:
    """Whether a path can be stored and shown: file systems allow bytes that are not UTF-8."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return False
    return True


class FrameSource(Protocol):
    """Footage of one camera, which can be read repeatedly."""

    @property
    def info(self) -> SourceInfo:
        """The source's identity, and how its frame numbers become times."""
        ...

    @property
    def span(self) -> tuple[int, int]:
        """All frames have numbers from the first of these to the second; it may be far beyond."""
        ...

    def __len__(self) -> int:
        """How many frames `frames` will yield; for a video, according to its header."""
        ...

    def frames(self, wanted: Callable[[int], bool] = every_frame) -> Iterator[Frame | BadFrame]:
        """Read frame by frame, in order, with at most one in memory.

        Args:
            wanted: tells by its number whether to decode a frame; called once for each.
        """
        ...

    def stamp(self, number: int, known: FileStamp) -> FileStamp | BadFrame | None:
        """The current stamp of a frame's file; None if it is missing, or why it cannot be decoded.

        Args:
            number: of the frame.
            known: the earlier stamp; the file is read only if its size or time differ.
        """
        ...


def open_source(path: Path, options: SourceOptions | None = None) -> FrameSource:
    """Open a folder of frames or a video file.

    Raises:
        SourceError: `path` does not exist, or is not footage.
    """
    options = options or SourceOptions()
    if not is_text(path):
        raise SourceError(f"the name {str(path)!r} is not valid UTF-8", hint="rename it")
    if path.is_dir():
        from reidsearch.footage.folder import FolderSource

        return FolderSource(path, options)
    if path.is_file():
        from reidsearch.footage.video import VideoSource

        return VideoSource(path, options)
    if address := re.fullmatch(r"([a-z]+):/+(.+)", str(path)):
        raise SourceError(
            f"{address[1]}://{address[2]} is an address, and only files and folders are read",
            hint="download it; of a stream, let another program write frames into a folder, and "
            "follow that with --watch",
        )
    if path.exists():
        raise SourceError(f"no footage at {path}: it is neither a file nor a folder")
    raise SourceError(f"no footage at {path}: there is no such file or folder")
