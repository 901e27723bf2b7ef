"""Footage: folders of frames and video files, each an iterable of frames that knows itself."""

from __future__ import annotations

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
        camera: its camera's name; the source's own name when None.
        every: take each N-th frame, beginning with the first.
        max_frames: take at most so many frames, or all when None.
        fps: frames per second; None takes a video's own, and assumes
            `defaults.ASSUMED_FPS` for a folder.
        start_s: epoch seconds of the first frame, or None.
        growing: frames are still being added to the folder: take those whose files nobody has
            touched for `defaults.SETTLED_S`, and want numbers in their names.
    """

    camera: str | None = None
    every: int = 1
    max_frames: int | None = None
    fps: float | None = None
    start_s: float | None = None
    growing: bool = False

    def __post_init__(self) -> None:
        if self.every < 1 or (self.max_frames is not None and self.max_frames < 1):
            raise UsageError("every and max_frames are at least 1")
        if self.fps is not None and not is_frame_rate(self.fps):
            raise UsageError(f"{self.fps:g} is no frame rate", hint="0.001 to 10000 per second")
        if self.camera is not None and (not self.camera or "/" in self.camera):
            raise UsageError(f"{self.camera!r} is no camera's name", hint="a name without a /")


def is_frame_rate(fps: float) -> bool:
    """Whether there may be footage of so many frames per second."""
    return 0.001 <= fps <= 10_000


def every_frame(_number: int) -> bool:
    """Want them all; see `FrameSource.frames`."""
    return True


def is_text(path: Path) -> bool:
    """Whether a path can be stored and shown: file systems allow bytes that are no UTF-8."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return False
    return True


class FrameSource(Protocol):
    """Footage of one camera that can be read again and again."""

    @property
    def info(self) -> SourceInfo:
        """Who this source is and how its numbers become times."""
        ...

    @property
    def span(self) -> tuple[int, int]:
        """All frames have numbers from the first of these to the second; it may be far beyond."""
        ...

    def __len__(self) -> int:
        """How many frames `frames` will yield; for a video, what its header says."""
        ...

    def frames(self, wanted: Callable[[int], bool] = every_frame) -> Iterator[Frame | BadFrame]:
        """Read frame by frame, in order, holding no more than one in memory.

        Args:
            wanted: asked once for each frame, by its number, before it is decoded.
        """
        ...

    def stamp(self, number: int, known: FileStamp) -> FileStamp | BadFrame | None:
        """What a frame's file is now; None where it is gone, or why it is no picture any more.

        Args:
            number: of the frame.
            known: what it was: only where size or time are others is the file read again.
        """
        ...


def open_source(path: Path, options: SourceOptions | None = None) -> FrameSource:
    """Open a folder of frames or a video file.

    Raises:
        SourceError: there is nothing at `path`, or nothing that can be read as footage.
    """
    options = options or SourceOptions()
    if not is_text(path):
        raise SourceError(f"the name {str(path)!r} is not UTF-8", hint="rename it")
    if path.is_dir():
        from reidsearch.footage.folder import FolderSource

        return FolderSource(path, options)
    if path.is_file():
        from reidsearch.footage.video import VideoSource

        return VideoSource(path, options)
    if path.exists():
        raise SourceError(f"no footage at {path}: it is neither a file nor a folder")
    raise SourceError(f"no footage at {path}: there is no such file or folder")
