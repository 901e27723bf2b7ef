"""Frames that are sought are those that are read when a whole video is ingested."""

import av
import numpy as np
import pytest

from reidsearch.footage import seeking
from reidsearch.footage.seeking import read_at
from tests.unit.small_footage import read

COUNT = 50
NUMBERS = (49, 2, 21, 33, 20, 50, 1)  # around key frames, which are every 20th, and at both ends
B_FRAMES = {"g": "20", "bf": "2"}


def write_video(path, codec, options, pixels="yuv420p"):
    """A texture that moves, with frames that are predicted from others."""
    texture = np.random.default_rng(0).integers(0, 255, (13, 17, 3), np.uint8).repeat(8, 0)
    texture = texture.repeat(8, 1)
    with av.open(str(path), "w") as file:
        stream = file.add_stream(codec, rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt = 66, 50, pixels
        for at in range(COUNT):
            picture = np.ascontiguousarray(texture[at : at + 50, at : at + 66])
            file.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
        file.mux(stream.encode(None))
    return path


@pytest.mark.parametrize(
    ("name", "codec", "options", "pixels"),
    [
        pytest.param("a.mp4", "libx264", {"g": "20"}, "yuv420p", id="mp4"),
        pytest.param("a.mp4", "libx264", {"g": "20"}, "yuv420p10le", id="ten-bits"),
        pytest.param("a.mp4", "mpeg4", B_FRAMES, "yuv420p", id="mpeg4"),
        pytest.param("a.mkv", "libx264", {"g": "20"}, "yuv420p", id="mkv"),
        pytest.param("a.ts", "mpeg2video", B_FRAMES, "yuv420p", id="ts"),
        pytest.param("a.flv", "flv", {"g": "20"}, "yuv420p", id="flv"),
        pytest.param("a.avi", "mjpeg", {}, "yuvj420p", id="key-frames-only"),
    ],
)
def test_frames_are_those_of_ingest(tmp_path, name, codec, options, pixels):
    path = write_video(tmp_path / name, codec, options, pixels)
    images = {frame.number: frame.image for frame in read(path, fps=25)}
    assert len(images) == COUNT
    found = dict(read_at(path, [*NUMBERS, COUNT + 1, 10**6, 2**62]))
    assert list(found) == sorted(NUMBERS)
    for number, image in found.items():
        assert np.array_equal(image, images[number]), number


def test_what_lies_between_two_key_frames_is_decoded_once(tmp_path, monkeypatch):
    path, groups, decode = tmp_path / "a.mp4", [], seeking._Seeker._decode

    def spy(seeker, place, times):
        groups.append(len(times))
        return decode(seeker, place, times)

    monkeypatch.setattr(seeking._Seeker, "_decode", spy)
    write_video(path, "libx264", {"g": "20", "sc_threshold": "0"})
    assert len(dict(read_at(path, NUMBERS))) == len(NUMBERS)
    assert groups == [3, 2, 2]  # frames 1 to 20, 21 to 40, and the rest


def test_no_video(tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"no video" * 100)
    assert list(read_at(tmp_path / "a.mp4", [1])) == []
