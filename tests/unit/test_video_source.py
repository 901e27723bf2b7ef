import cv2
import numpy as np
import pytest

from reidsearch.core.errors import SourceError
from reidsearch.footage import SourceOptions, open_source, video
from reidsearch.footage.seeking import read_at
from tests.unit.small_footage import (
    FILM_FRAMES,
    FPS,
    greys,
    numbers,
    read,
    reasons,
    write_film,
    write_picture,
)

ALL = list(range(1, FILM_FRAMES + 1))


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    return write_film(tmp_path_factory.mktemp("film") / "monday.avi")


@pytest.fixture
def write_cut(film, tmp_path):
    """Write the first part of the film."""

    def write(part, name="cut.avi"):
        data = film.read_bytes()
        path = tmp_path / name
        path.write_bytes(data[: int(len(data) * part)])
        return path

    return write


@pytest.fixture
def write_damaged(film, tmp_path):
    """Write the film with some frames as zeros."""

    def write(*damaged):
        data = bytearray(film.read_bytes())
        for number in damaged:
            where = find_frame(data, number)
            data[where] = bytes(where.stop - where.start)
        path = tmp_path / "damaged.avi"
        path.write_bytes(data)
        return path

    return write


def find_frame(data, number):
    """Where an AVI file keeps a frame's own bytes: RIFF chunks `00dc`, length, data."""
    at = data.index(b"movi") + 4
    for _ in range(number - 1):
        length = int.from_bytes(data[at + 4 : at + 8], "little")
        at += 8 + length + length % 2
    return slice(at + 8, at + 8 + int.from_bytes(data[at + 4 : at + 8], "little"))


def with_header(data, changes):
    """An AVI file with other numbers in its stream's header, at these places of it."""
    header, data = data.index(b"strh") + 8, bytearray(data)
    for place, number in changes.items():
        data[header + place : header + place + 4] = number.to_bytes(4, "little")
    return bytes(data)


@pytest.mark.parametrize(
    ("suffix", "codec"),
    [pytest.param(".avi", "MJPG", id="avi"), pytest.param(".mp4", "mp4v", id="mp4")],
)
def test_video_is_numbered_from_one_at_its_own_speed(tmp_path, suffix, codec):
    path = write_film(tmp_path / f"monday{suffix}", codec)
    source = open_source(path)
    frames = list(source.frames())
    assert numbers(frames) == ALL
    assert len(source) == FILM_FRAMES
    assert source.info.fps == FPS
    assert source.info.time_of(26) == 2.0
    assert {frame.path for frame in frames} == {str(path)}
    np.testing.assert_allclose(greys(frames), [8 * n for n in ALL], atol=4)


def test_video_speed_keeps_its_fraction(tmp_path):
    source = open_source(write_film(tmp_path / "a.avi", fps=29.97, count=2))
    assert source.info.fps == pytest.approx(29.97, abs=1e-3)


def test_video_takes_speed_start_and_camera_from_the_options(film):
    info = open_source(film, SourceOptions(camera="gate", fps=2.0, start_s=1.5e9)).info
    assert info.key == ("gate", "monday")
    assert info.time_of(4) == 1.5e9 + 1.5


def test_video_colours_come_as_red_green_blue(tmp_path):
    frame = read(write_film(tmp_path / "a.avi", count=1, bgr=(10, 30, 200)))[0]
    np.testing.assert_allclose(frame.image.mean(axis=(0, 1)), (200, 30, 10), atol=4)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        pytest.param({"every": 24}, [1, 25], id="first-and-last"),
        pytest.param({"max_frames": 3}, [1, 2, 3], id="at-most-three"),
        pytest.param({"every": 99, "max_frames": 99}, [1], id="more-than-there-are"),
        pytest.param({"every": 10, "max_frames": 2}, [1, 11], id="both"),
    ],
)
def test_some_of_a_video_are_chosen(film, options, expected):
    source = open_source(film, SourceOptions(**options))
    frames = list(source.frames())
    assert numbers(frames) == expected
    assert len(source) == len(expected)
    np.testing.assert_allclose(greys(frames), [8 * n for n in expected], atol=3)


def test_wanted_is_asked_once_for_each_chosen_frame_of_a_video(film):
    asked = []

    def wanted(number):
        asked.append(number)
        return number == 16

    assert numbers(open_source(film, SourceOptions(every=5)).frames(wanted)) == [16]
    assert asked == [1, 6, 11, 16, 21]


def test_video_can_be_read_again_and_twice_at_once(film):
    source = open_source(film, SourceOptions(max_frames=4))
    first = source.frames()
    next(first)
    assert numbers(source.frames()) == [1, 2, 3, 4]
    assert numbers(first) == [2, 3, 4]


def test_video_may_have_any_name(film, tmp_path):
    path = tmp_path / "été %02d à Łódź.v2.avi"
    path.write_bytes(film.read_bytes())
    assert open_source(path).info.name == "été %02d à Łódź.v2"
    assert len(read(path)) == FILM_FRAMES


def test_digest_tells_videos_apart(film, tmp_path):
    copy = tmp_path / "copy.avi"
    copy.write_bytes(film.read_bytes())
    assert open_source(copy).info.digest == open_source(film).info.digest
    copy.write_bytes(film.read_bytes() + b"\0")
    assert open_source(copy).info.digest != open_source(film).info.digest


@pytest.mark.parametrize("damaged", [pytest.param([11], id="one"), pytest.param([9, 10], id="two")])
def test_damaged_frames_of_a_video_come_in_their_places(write_damaged, damaged):
    path = write_damaged(*damaged)
    frames = read(path)
    assert numbers(frames) == [None if n in damaged else n for n in ALL]
    assert reasons(frames) == [f"cannot decode frame {n} of {path}" for n in damaged]


def test_damaged_frames_to_the_end_are_a_cut(write_damaged):
    path = write_damaged(24, 25)
    frames = read(path)
    assert numbers(frames) == [*ALL[:23], None]
    assert f"{path} has only 23 of 25 frames" in reasons(frames)[0]


def test_after_too_many_damaged_frames_no_good_one_is_expected(write_damaged, monkeypatch):
    monkeypatch.setattr(video, "_MAX_DAMAGED", 3)
    frames = read(write_damaged(11, 12, 13))
    assert numbers(frames) == [*ALL[:10], None]
    assert "has only 10 of 25 frames" in reasons(frames)[0]


def test_cut_video_gives_what_it_has_and_says_so_once(write_cut):
    path = write_cut(0.75)
    *whole, last = read(path)
    assert 0 < len(whole) < FILM_FRAMES
    assert numbers(whole) == ALL[: len(whole)]
    assert last.reason.startswith(f"{path} has only {len(whole)} of {FILM_FRAMES} frames: ")


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        pytest.param("cut.avi", {"max_frames": 2}, [1, 2], id="no-more-was-asked-for"),
        pytest.param("cut.ts", {"every": 5}, [1, 6, 11], id="length-was-a-guess"),
    ],
)
def test_cut_video_says_nothing_where_nothing_need_lack(write_cut, name, options, expected):
    assert numbers(read(write_cut(0.75, name), **options)) == expected


@pytest.mark.parametrize(
    ("name", "data"),
    [
        pytest.param("a.avi", b"", id="empty"),
        pytest.param("a.avi", np.random.default_rng(0).bytes(5000), id="noise"),
        pytest.param("a.avi", b"RIFF\xff\0\0\0AVI LIST", id="header-only"),
        pytest.param("a.avi", b"a letter to a friend\n" * 20, id="text"),
        pytest.param("a.txt", b"a letter to a friend\n" * 20, id="text-by-its-suffix"),
    ],
)
def test_file_that_is_no_video_is_refused(tmp_path, name, data):
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(SourceError, match="cannot decode") as caught:
        open_source(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    "playlist",
    [
        pytest.param(
            "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{}\n#EXT-X-ENDLIST\n", id="hls"
        ),
        pytest.param("ffconcat version 1.0\nfile {}\n", id="concat"),
    ],
)
@pytest.mark.parametrize("name", ["list.m3u8", "list.avi"])
def test_playlist_has_no_other_file_read(tmp_path, playlist, name):
    other = write_film(tmp_path / "other.ts", "mp4v")
    assert len(read(other)) > 0
    path = tmp_path / name
    path.write_bytes(playlist.format(other.name).encode() + b"#\0\n")
    with pytest.raises(SourceError, match="cannot decode"):
        open_source(path)
    assert list(read_at(path, [1])) == []


def test_pattern_has_no_other_file_read(tmp_path):
    write_picture(tmp_path / "a1.png")
    path = tmp_path / "a%d.png"
    path.write_bytes(b"no picture" * 100)
    with pytest.raises(SourceError, match="cannot decode"):
        open_source(path)


@pytest.mark.parametrize(
    ("scale", "rate"),
    [pytest.param(1, 2**31 - 1, id="billions"), pytest.param(2**31 - 1, 1, id="one-in-68-years")],
)
def test_speed_that_cannot_be_is_asked_for(film, tmp_path, scale, rate):
    path = tmp_path / "a.avi"
    path.write_bytes(with_header(film.read_bytes(), {20: scale, 24: rate}))
    with pytest.raises(SourceError, match="frame rate") as caught:
        open_source(path)
    assert "--fps" in caught.value.hint
    assert numbers(read(path, fps=5.0)) == ALL


def test_header_that_promises_billions_of_frames(film, tmp_path):
    path = tmp_path / "a.avi"
    path.write_bytes(with_header(film.read_bytes(), {32: 2**32 - 1}))
    assert len(open_source(path)) == 2**32 - 1
    *whole, last = read(path)
    assert numbers(whole) == ALL
    assert "has only 25 of 4294967295 frames" in last.reason


def test_header_that_promises_more_frames_than_can_be_counted(film, monkeypatch):
    class Liar:
        def __init__(self, *arguments, real=cv2.VideoCapture):
            self._real = real(*arguments)

        def __getattr__(self, name):
            return getattr(self._real, name)

        def get(self, what):
            return 2.0**63 if what == cv2.CAP_PROP_FRAME_COUNT else self._real.get(what)

    monkeypatch.setattr(video.cv2, "VideoCapture", Liar)
    assert len(open_source(film)) == 2**53


def test_frames_of_gigapixels_are_refused(film, tmp_path):
    """Each frame's own header (JPEG's SOF0) says 65535 x 65535."""
    head, size = b"\xff\xc0\x00\x11\x08", b"\xff\xff\xff\xff"
    first, *rest = film.read_bytes().split(head)
    assert rest
    path = tmp_path / "bomb.avi"
    path.write_bytes(head.join([first, *(size + part[4:] for part in rest)]))
    with pytest.raises(SourceError, match="cannot decode"):
        open_source(path)


@pytest.mark.parametrize("suffix", [".jpg", ".ppm", ".avi"])
def test_single_picture_is_no_footage_whatever_its_suffix(tmp_path, suffix):
    picture = write_picture(tmp_path / f"a{suffix.replace('.avi', '.png')}")
    with pytest.raises(SourceError, match="single picture") as caught:
        open_source(picture.rename(tmp_path / f"a{suffix}"))
    assert "folder" in caught.value.hint
