"""Frames out of the middle of a video, without decoding all that lies before them."""

from __future__ import annotations

from contextlib import suppress
from itertools import groupby
from typing import TYPE_CHECKING, Any

import av
import numpy as np
from av.error import FFmpegError

from reidsearch.core.native import CONTAINERS, cv2

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from fractions import Fraction
    from pathlib import Path

    from numpy.typing import NDArray

_OPTIONS = {"protocol_whitelist": "file", "format_whitelist": CONTAINERS}


def read_at(path: Path, numbers: Iterable[int]) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """Decode some frames of a video, in ascending order, as `(H, W, 3)` uint8 RGB.

    What lies between two key frames is decoded at most once, from the key frame to the last frame
    that is wanted of it. Frame n is taken to be shown (n - 1) / fps seconds after the first: where
    the frame rate varies or frames are missing, it is another one. Frames that are not found or
    cannot be decoded are left out.
    """
    with (
        suppress(FFmpegError),
        av.open(str(path), options=_OPTIONS, metadata_errors="replace") as container,
    ):
        for stream in container.streams.video[:1]:
            if fps := stream.guessed_rate or stream.average_rate:
                yield from _Seeker(container, stream, fps).read(sorted(numbers))


class _Seeker:
    """Reads an open video. Times are those of showing a frame, in the stream's own units."""

    def __init__(self, container: Any, stream: Any, fps: Fraction) -> None:
        stream.thread_type = "AUTO"
        self._container, self._stream = container, stream
        self._first = next((f.pts for f in container.decode(stream) if f.pts is not None), 0)
        self._frame: Fraction = 1 / (fps * stream.time_base)

    def read(self, numbers: Sequence[int]) -> Iterator[tuple[int, NDArray[np.uint8]]]:
        """See `read_at`."""
        wanted = {self._first + round((number - 1) * self._frame): number for number in numbers}
        starts = [(*start, time) for time in wanted if (start := self._find_start(time))]
        for _, group in groupby(starts, key=lambda start: start[0]):
            _, places, times = zip(*group, strict=True)
            for time, image in self._decode(places[0], times):
                yield wanted[time], image

    def _find_start(self, time: int) -> tuple[int, int] | None:
        """The last key frame that is shown no later than `time`, and where to seek to reach it.

        Seeking goes by when frames are decoded, which is earlier: the key frame that it leads to
        may be shown too late. Then it is one before.
        """
        place, step = time, 1 + int(1 / self._stream.time_base)
        while True:
            try:
                self._container.seek(place, stream=self._stream)
                packets = self._container.demux(self._stream)
                key = next((packet for packet in packets if packet.is_keyframe), None)
            except (FFmpegError, OverflowError):
                return None
            shown = None if key is None else key.dts if key.pts is None else key.pts
            if shown is not None and shown <= time:
                return shown, place
            if place < self._first:
                return None
            place, step = place - step, 2 * step

    def _decode(self, place: int, times: Sequence[int]) -> Iterator[tuple[int, NDArray[np.uint8]]]:
        """Decode from a key frame on; frames that no other needs, only where they are wanted."""
        self._container.seek(place, stream=self._stream)
        left = [*times]
        for packet in self._container.demux(self._stream):
            needed = packet.pts is None or any(self._is_at(packet.pts, time) for time in left)
            self._stream.codec_context.skip_frame = "DEFAULT" if needed else "NONREF"
            for frame in packet.decode():
                while left and frame.pts is not None and frame.pts >= left[0] - self._frame / 2:
                    time = left.pop(0)
                    if self._is_at(frame.pts, time):
                        yield time, _as_rgb(frame)
                if not left:
                    return

    def _is_at(self, shown: int, time: int) -> bool:
        return 2 * abs(shown - time) <= self._frame


def _as_rgb(frame: Any) -> NDArray[np.uint8]:
    """The same pixels as OpenCV's, whose reader frames are ingested by."""
    bgr = frame.to_ndarray(format="bgr24", interpolation="BICUBIC")
    return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), np.uint8)
