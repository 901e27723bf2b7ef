"""A video file, read through OpenCV."""

from __future__ import annotations

import hashlib
import math
from typing import TYPE_CHECKING

import numpy as np

from reidsearch.core.errors import SourceError
from reidsearch.core.native import cv2
from reidsearch.core.store import LAST
from reidsearch.core.types import BadFrame, FileStamp, Frame, SourceInfo
from reidsearch.footage import SourceOptions, every_frame, is_frame_rate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

_HEAD_BYTES = 1 << 20
_MAX_FRAMES = 1 << 53  # exact as a float; headers with more are wrong
_MAX_DAMAGED = 100  # consecutive frames; after more of them, no frame can be expected
_LENGTH_IS_A_GUESS = frozenset({".ts", ".mts", ".m2ts", ".mpg", ".mpeg", ".vob"})


class VideoSource:
    """Frames of one video, numbered from 1; frame n is at (n - 1) / fps seconds."""

    def __init__(self, path: Path, options: SourceOptions | None = None) -> None:
        options = options or SourceOptions()
        if cv2.haveImageReader(str(path)):
            raise SourceError(
                f"{path} is a single picture",
                hint="ingest takes a folder of pictures; search takes a single picture",
            )
        head = _read_head(path)
        self._path = (
            path.resolve()
        )  # FFmpeg would read `a:` at the start of a relative path as a protocol
        self._options = options
        capture = self._open()
        own_fps = float(capture.get(cv2.CAP_PROP_FPS))
        header_frames = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
        self._header_frames = min(max(header_frames, 0), _MAX_FRAMES)
        decodes = capture.grab()
        capture.release()
        if not decodes:
            raise SourceError(_cannot_decode(path))
        fps = options.fps or own_fps
        if not is_frame_rate(fps):
            raise SourceError(
                f"{path} has no valid frame rate: {fps:g} per second",
                hint="set it with --fps",
            )
        status = path.stat()
        digest = hashlib.sha256(head + str(status.st_size).encode()).hexdigest()
        self._stamp = FileStamp(status.st_size, status.st_mtime_ns, digest)
        self.info = SourceInfo(
            camera=options.camera or self._path.stem,
            name=self._path.stem,
            path=str(self._path),
            fps=fps,
            start_s=options.start_s,
            first_number=1,
            digest=digest,
        )

    @property
    def span(self) -> tuple[int, int]:
        """See `FrameSource.span`; what a header says of the length may be too little."""
        return 1, LAST

    def __len__(self) -> int:
        chosen = math.ceil(self._header_frames / self._options.every)
        return min(chosen, self._options.max_frames or chosen)

    def stamp(self, _number: int, _known: FileStamp) -> FileStamp:
        """See `FrameSource.stamp`; all frames of a video have the same stamp."""
        return self._stamp

    def frames(self, wanted: Callable[[int], bool] = every_frame) -> Iterator[Frame | BadFrame]:
        """See `FrameSource.frames`.

        A video is decoded from its beginning: seeking in OpenCV is not exact.
        """
        every, limit = self._options.every, self._options.max_frames or math.inf
        capture = self._open()
        number = taken = 0
        damaged: list[int] = []  # since the last good frame
        try:
            while taken < limit and len(damaged) < _MAX_DAMAGED:
                number += 1
                if not capture.grab():
                    if number > self._header_frames:
                        break
                    damaged.append(number)
                    continue
                for damaged_number in damaged:
                    yield BadFrame(f"cannot decode frame {damaged_number} of {self._path}")
                damaged = []
                if (number - 1) % every:
                    continue
                taken += 1
                if not wanted(number):
                    continue
                image = _retrieve(capture)
                if image is not None:
                    yield Frame(image, number, self.info.path, self._stamp)
                else:
                    yield BadFrame(f"cannot decode frame {number} of {self._path}")
        finally:
            capture.release()
        if damaged and self._path.suffix.lower() not in _LENGTH_IS_A_GUESS:
            yield BadFrame(
                f"{self._path} has only {damaged[0] - 1} of {self._header_frames} frames: it is "
                "truncated, or damaged, and frames after the damage have too low numbers"
            )

    def _open(self) -> cv2.VideoCapture:
        capture = cv2.VideoCapture(str(self._path), cv2.CAP_FFMPEG)
        if not capture.isOpened():
            raise SourceError(_cannot_decode(self._path))
        return capture


def _retrieve(capture: cv2.VideoCapture) -> NDArray[np.uint8] | None:
    """The frame that was grabbed, as RGB; None if it cannot be decoded."""
    decoded, image = capture.retrieve()
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8) if decoded else None


def _cannot_decode(path: Path) -> str:
    return f"cannot decode {path}: it is damaged or not a video"


def _read_head(path: Path) -> bytes:
    """Read the beginning of a video, enough to recognise it; the whole may be gigabytes."""
    try:
        with path.open("rb") as file:
            return file.read(_HEAD_BYTES)
    except OSError as error:
        raise SourceError(f"cannot read {path}: {error.strerror}") from error
