import io
import itertools

import av
import numpy as np
import pytest
from hypothesis import given

from reidsearch.core.errors import SourceError
from reidsearch.core.types import Frame
from reidsearch.footage import open_source
from reidsearch.footage.seeking import read_at
from tests.fuzz.mutations import mutated
from tests.fuzz.refusals import may_refuse

FRAMES = 12
MOST_FRAMES = 300


def encode(container, codec, pixels="yuv420p"):
    y, x = np.mgrid[:48, :64]
    file = io.BytesIO()
    with av.open(file, "w", format=container) as muxer:
        stream = muxer.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, pixels
        for number in range(FRAMES):
            picture = np.stack([x + number, y * 4, x * y // 9], axis=2).astype(np.uint8)
            muxer.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
        muxer.mux(stream.encode())
    return file.getvalue()


WHOLE = [
    encode("mp4", "libx264"),
    encode("mp4", "mpeg4"),
    encode("matroska", "libx264"),
    encode("matroska", "libvpx-vp9"),
    encode("avi", "mpeg4"),
    encode("avi", "mjpeg", "yuvj420p"),
    encode("avi", "rawvideo", "bgr24"),
    encode("mpegts", "mpeg2video"),
    encode("mpeg", "mpeg1video"),
    encode("flv", "flv"),
    encode("asf", "msmpeg4"),
]


def look(path):
    """How many frames there are, good and bad; seeking some must do no harm either."""
    source = open_source(path)
    assert len(source) >= 0
    list(read_at(path, [1, FRAMES, 10**6, 2**62]))
    frames = list(itertools.islice(source.frames(), MOST_FRAMES))
    good = [frame for frame in frames if isinstance(frame, Frame)]
    return len(good), len(frames) - len(good)


@given(data=mutated(WHOLE))
def test_any_bytes_are_a_video_or_an_error(worker, data):
    with may_refuse(SourceError, "a.video"):
        worker.read(look, data, "a.video")


@pytest.mark.parametrize("data", WHOLE)
def test_whole_videos_are_read(worker, data):
    good, bad = worker.read(look, data, "a.video")
    assert good >= FRAMES - 1
    assert bad == 0
