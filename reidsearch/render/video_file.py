"""Writing videos that browsers play: H.264 in MP4, by FFmpeg through PyAV."""

from __future__ import annotations

from contextlib import contextmanager
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import av
from av.error import FFmpegError

from reidsearch.core.errors import ReidsearchError
from reidsearch.core.files import new_file

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

_CODEC = "libx264"
_MIN_FPS = 0.1  # slower footage is shown faster than it was recorded
_QUALITY = {"crf": "21", "preset": "veryfast"}


class VideoFile:
    """A video being written; made by `open_video`."""

    def __init__(self, container: Any, fps: float) -> None:
        self._container = container
        self._fps = Fraction(max(fps, _MIN_FPS)).limit_denominator(1000)
        self._stream: Any = None

    def write(self, picture: NDArray[np.uint8]) -> None:
        """Add a picture, `(H, W, 3)` uint8 RGB, resized to the size of the first."""
        if self._stream is None:
            self._stream = self._container.add_stream(_CODEC, self._fps, options=_QUALITY)
            height, width = picture.shape[:2]
            self._stream.width, self._stream.height = width + width % 2, height + height % 2
            self._stream.pix_fmt = "yuv420p"
        frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
        self._container.mux(self._stream.encode(frame))

    def finish(self) -> None:
        """Write what the encoder has buffered."""
        if self._stream is not None:
            self._container.mux(self._stream.encode(None))


@contextmanager
def open_video(path: Path, fps: float) -> Iterator[VideoFile]:
    """Write a video; the file appears only when it is complete.

    Args:
        path: ends in `.mp4`.
        fps: pictures per second.

    Raises:
        ReidsearchError: it cannot be written, or PyAV was built without H.264.
    """
    if _CODEC not in av.codecs_available:
        raise ReidsearchError(
            "this PyAV cannot write H.264",
            hint="pip install --force-reinstall --only-binary av av",
        )
    try:
        with (
            new_file(path) as partial,
            av.open(str(partial), "w", format="mp4", options={"movflags": "+faststart"}) as file,
        ):
            video = VideoFile(file, fps)
            yield video
            video.finish()
    except FFmpegError as error:
        raise ReidsearchError(f"cannot write {path}: {error.strerror}") from error
