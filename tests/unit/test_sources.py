import cv2
import numpy as np
import pytest
from PIL import Image

from reidsearch import defaults
from reidsearch.errors import SourceError
from reidsearch.sources import SourceOptions, open_source
from reidsearch.types import BadFrame, Frame

FPS = 12.5
FILM_FRAMES = 25


def write_picture(path, grey=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (6, 4), (grey, grey, grey)).save(path)
    return path


def write_folder(folder, *names):
    """One picture for each name, each a little lighter than the one before."""
    for grey, name in enumerate(names):
        write_picture(folder / name, grey)
    return folder


def write_film(path, fps=FPS, count=FILM_FRAMES, bgr=None):
    """A video whose n-th frame has the grey value 8 n, or is `bgr` throughout."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), fps, (64, 48))
    for number in range(1, count + 1):
        writer.write(np.full((48, 64, 3), bgr or (8 * number,) * 3, np.uint8))
    writer.release()
    return path


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    return write_film(tmp_path_factory.mktemp("film") / "monday.avi")


def read(path, **options):
    return list(open_source(path, SourceOptions(**options)).frames())


def numbers(frames):
    return [frame.number for frame in frames]


def greys(frames):
    return [round(float(frame.image.mean())) for frame in frames]


def frame_chunk(data, number):
    """Where an AVI file keeps a frame's own bytes: RIFF chunks `00dc`, length, data."""
    at = data.index(b"movi") + 4
    for _ in range(number - 1):
        length = int.from_bytes(data[at + 4 : at + 8], "little")
        at += 8 + length + length % 2
    return slice(at + 8, at + 8 + int.from_bytes(data[at + 4 : at + 8], "little"))


def test_nothing_at_the_path_is_said(tmp_path):
    with pytest.raises(SourceError, match="no such file or folder") as caught:
        open_source(tmp_path / "none")
    assert str(tmp_path / "none") in str(caught.value)


@pytest.mark.parametrize(
    ("names", "says"),
    [
        pytest.param([], "is empty", id="empty"),
        pytest.param(["notes.txt", "film.mp4"], "holds no picture", id="other-files"),
        pytest.param([".frame_1.png"], "holds no picture", id="hidden-picture"),
    ],
)
def test_folder_without_pictures_is_refused(tmp_path, names, says):
    for name in names:
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(SourceError, match=says) as caught:
        open_source(tmp_path)
    assert ".jpg" in caught.value.hint


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        pytest.param(["7.png"], [7], id="single"),
        pytest.param(["f_9.png", "f_10.png", "f_2.png"], [2, 9, 10], id="ten-after-nine"),
        pytest.param(["f_008.png", "f_09.png", "f_10.png"], [8, 9, 10], id="leading-zeros"),
        pytest.param(["f_0.png", "f_5.png", "f_500.png"], [0, 5, 500], id="gaps-stay"),
        pytest.param(["cam2_3.png", "cam1_4.png"], [3, 4], id="last-digits-count"),
        pytest.param(["b1left.png", "a2right.png"], [1, 2], id="letters-behind"),
        pytest.param(["f-2.png", "f-1.png"], [1, 2], id="dash-is-no-minus"),
        pytest.param(["F_2.PNG", "f_1.Jpg"], [1, 2], id="upper-case-suffixes"),
        pytest.param(["1.png", "2.jpg", "3.bmp", "4.webp", "5.TIFF"], [1, 2, 3, 4, 5], id="kinds"),
        pytest.param(["b.png", "a.png", "c.png"], [1, 2, 3], id="no-digits"),
        pytest.param(["f_7.png", "cover.png"], [1, 2], id="one-without-digits"),
    ],
)
def test_folder_is_read_in_the_order_of_its_numbers(tmp_path, names, expected):
    assert numbers(read(write_folder(tmp_path / "f", *names))) == expected


@pytest.mark.parametrize(
    ("names", "in_order"),
    [
        pytest.param(["f_9.png", "f_10.png", "f_2.png"], [2, 0, 1], id="digits"),
        pytest.param(["b.png", "c.png", "a.png"], [2, 0, 1], id="no-digits"),
    ],
)
def test_each_number_comes_with_its_own_picture(tmp_path, names, in_order):
    frames = read(write_folder(tmp_path, *names))
    assert greys(frames) == in_order
    assert [frame.path for frame in frames] == [str(tmp_path / names[i]) for i in in_order]


def test_two_files_of_one_number_are_both_named(tmp_path):
    write_folder(tmp_path, "f_1.png", "left_2.png", "right_02.png")
    with pytest.raises(SourceError, match="both frame 2") as caught:
        open_source(tmp_path)
    assert "left_2.png" in str(caught.value)
    assert "right_02.png" in str(caught.value)
    assert caught.value.hint


def test_hidden_and_other_files_are_passed_over(tmp_path):
    write_folder(tmp_path, "f_1.png", ".f_2.png")
    for name in ("f_3.txt", "Thumbs4.db", "f_5"):
        (tmp_path / name).write_bytes(b"something else")
    assert numbers(read(tmp_path)) == [1]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        pytest.param({}, [2, 4, 6, 8, 10, 12, 14], id="all"),
        pytest.param({"every": 3}, [2, 8, 14], id="every-third"),
        pytest.param({"every": 100}, [2], id="only-the-first"),
        pytest.param({"max_frames": 2}, [2, 4], id="at-most-two"),
        pytest.param({"max_frames": 100}, [2, 4, 6, 8, 10, 12, 14], id="more-than-there-are"),
        pytest.param({"every": 2, "max_frames": 3}, [2, 6, 10], id="both"),
    ],
)
def test_some_of_a_folder_are_chosen(tmp_path, options, expected):
    folder = write_folder(tmp_path, *(f"f_{n}.png" for n in range(2, 15, 2)))
    source = open_source(folder, SourceOptions(**options))
    assert numbers(source.frames()) == expected
    assert len(source) == len(expected)
    assert source.info.first_number == 2


def test_wanted_is_asked_once_for_each_chosen_frame_before_it_is_read(tmp_path):
    folder = write_folder(tmp_path, *(f"f_{n}.png" for n in range(1, 9)))
    asked = []

    def wanted(number):
        asked.append(number)
        return number in (3, 7)

    frames = open_source(folder, SourceOptions(every=2)).frames(wanted)
    assert asked == []
    assert next(frames).number == 3
    assert asked == [1, 3]
    assert numbers(frames) == [7]
    assert asked == [1, 3, 5, 7]


def test_unwanted_bad_frame_is_not_mentioned(tmp_path):
    write_folder(tmp_path, "1.png", "2.png")
    (tmp_path / "3.png").write_bytes(b"")
    assert numbers(open_source(tmp_path).frames(lambda number: number < 3)) == [1, 2]


@pytest.mark.parametrize("bad", [1, 2, 3], ids=["first", "middle", "last"])
def test_bad_frame_comes_in_its_place(tmp_path, bad):
    write_folder(tmp_path, "f_1.png", "f_2.png", "f_3.png")
    path = tmp_path / f"f_{bad}.png"
    path.write_bytes(path.read_bytes()[:40])
    frames = read(tmp_path)
    assert numbers(frames) == [1, 2, 3]
    assert [n for n, frame in enumerate(frames, 1) if isinstance(frame, BadFrame)] == [bad]
    assert str(path) in frames[bad - 1].reason


def test_frame_that_vanishes_after_opening_is_bad(tmp_path):
    source = open_source(write_folder(tmp_path, "1.png", "2.png"))
    (tmp_path / "2.png").unlink()
    assert [type(frame) for frame in source.frames()] == [Frame, BadFrame]


@pytest.mark.parametrize(
    ("options", "expected_s"),
    [
        pytest.param({}, 3 / defaults.ASSUMED_FPS, id="assumed-fps"),
        pytest.param({"fps": 0.5}, 6.0, id="fps"),
        pytest.param({"fps": 2.0, "start_s": 1.5e9}, 1.5e9 + 1.5, id="fps-and-start"),
        pytest.param({"fps": 2.0, "every": 3}, 1.5, id="every-leaves-times-alone"),
    ],
)
def test_folder_counts_time_from_its_first_number(tmp_path, options, expected_s):
    folder = write_folder(tmp_path, "f_10.png", "f_13.png")
    info = open_source(folder, SourceOptions(**options)).info
    assert info.time_of(13) == pytest.approx(expected_s)
    assert info.time_of(10) == (options.get("start_s") or 0)


def test_folder_and_frames_may_have_any_name(tmp_path):
    folder = write_folder(tmp_path / "été à Łódź", "Bild ö 10.jpg", "Bild ö 9.jpg", "画像 11.png")
    source = open_source(folder)
    assert source.info.name == source.info.camera == "été à Łódź"
    assert numbers(source.frames()) == [9, 10, 11]


def test_folder_is_named_by_itself_however_it_is_written(tmp_path, monkeypatch):
    folder = write_folder(tmp_path / "monday", "1.png")
    monkeypatch.chdir(folder)
    for path in (folder, type(folder)(), type(folder)("../monday")):
        info = open_source(path, SourceOptions(camera="gate")).info
        assert (info.key, info.path) == (("gate", "monday"), str(folder))


def test_folder_can_be_read_again(tmp_path):
    source = open_source(write_folder(tmp_path, "1.png", "2.png", "3.png"))
    first = source.frames()
    next(first)
    assert greys(source.frames()) == [0, 1, 2]
    assert greys(first) == [1, 2]


def test_digest_tells_footage_by_its_first_frame(tmp_path):
    one = open_source(write_folder(tmp_path / "one", "1.png", "2.png"))
    copy = open_source(write_folder(tmp_path / "copy", "1.png"))
    other = open_source(write_folder(tmp_path / "other", "0.png", "1.png"))
    write_picture(tmp_path / "other" / "0.png", 99)
    changed = open_source(tmp_path / "other")
    assert one.info.digest == copy.info.digest == other.info.digest
    assert changed.info.digest != one.info.digest


def test_video_is_numbered_from_one_at_its_own_speed(film):
    source = open_source(film)
    frames = list(source.frames())
    assert numbers(frames) == list(range(1, FILM_FRAMES + 1))
    assert len(source) == FILM_FRAMES
    assert source.info.fps == FPS
    assert source.info.time_of(26) == 2.0
    assert {frame.path for frame in frames} == {str(film)}
    np.testing.assert_allclose(greys(frames), [8 * n for n in numbers(frames)], atol=3)


def test_video_speed_keeps_its_fraction(tmp_path):
    source = open_source(write_film(tmp_path / "a.avi", fps=29.97, count=2))
    assert source.info.fps == pytest.approx(29.97, abs=1e-3)


def test_video_takes_speed_start_and_camera_from_the_options(film):
    info = open_source(film, SourceOptions(camera="gate", fps=2.0, start_s=1.5e9)).info
    assert info.key == ("gate", "monday")
    assert info.time_of(4) == 1.5e9 + 1.5


@pytest.mark.parametrize("fps", [-1.0, float("nan"), float("inf")])
def test_video_needs_a_speed_that_makes_times_rise(film, fps):
    with pytest.raises(SourceError, match="frame rate") as caught:
        open_source(film, SourceOptions(fps=fps))
    assert "--fps" in caught.value.hint


@pytest.mark.xfail(reason="only videos are checked")
@pytest.mark.parametrize("fps", [-1.0, float("nan"), float("inf")])
def test_folder_needs_a_speed_that_makes_times_rise(tmp_path, fps):
    with pytest.raises(SourceError):
        open_source(write_folder(tmp_path, "1.png"), SourceOptions(fps=fps))


def test_video_colours_come_as_red_green_blue(tmp_path):
    frame = read(write_film(tmp_path / "a.avi", count=1, bgr=(10, 30, 200)))[0]
    np.testing.assert_allclose(frame.image.mean(axis=(0, 1)), (200, 30, 10), atol=4)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        pytest.param({"every": 7}, [1, 8, 15, 22], id="every-seventh"),
        pytest.param({"every": 24}, [1, 25], id="first-and-last"),
        pytest.param({"every": 99}, [1], id="only-the-first"),
        pytest.param({"max_frames": 3}, [1, 2, 3], id="at-most-three"),
        pytest.param({"max_frames": 99}, list(range(1, 26)), id="more-than-there-are"),
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


@pytest.mark.parametrize("part", [0.6, 0.75, 0.9])
def test_cut_video_gives_what_it_has_and_says_so(film, tmp_path, part):
    data = film.read_bytes()
    path = tmp_path / "cut.avi"
    path.write_bytes(data[: int(len(data) * part)])
    *whole, last = read(path)
    assert 0 < len(whole) < FILM_FRAMES
    assert numbers(whole) == list(range(1, len(whole) + 1))
    assert all(isinstance(frame, Frame) for frame in whole)
    assert isinstance(last, BadFrame)
    assert last.number == len(whole) + 1
    assert "cut short" in last.reason
    assert str(path) in last.reason


def test_cut_video_says_nothing_when_no_more_was_asked_for(film, tmp_path):
    data = film.read_bytes()
    path = tmp_path / "cut.avi"
    path.write_bytes(data[: len(data) * 9 // 10])
    assert [type(frame) for frame in read(path, max_frames=2)] == [Frame, Frame]


@pytest.mark.xfail(reason="the first frame that cannot be decoded is taken for the end")
def test_damaged_frame_of_a_video_comes_in_its_place(film, tmp_path):
    data = bytearray(film.read_bytes())
    where = frame_chunk(data, 11)
    data[where] = bytes(where.stop - where.start)
    path = tmp_path / "damaged.avi"
    path.write_bytes(data)
    frames = read(path)
    assert numbers(frames) == list(range(1, FILM_FRAMES + 1))
    assert numbers(frame for frame in frames if isinstance(frame, BadFrame)) == [11]


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="empty"),
        pytest.param(np.random.default_rng(0).bytes(5000), id="noise"),
        pytest.param(b"RIFF\xff\0\0\0AVI LIST", id="header-only"),
    ],
)
def test_file_that_is_no_video_is_refused(tmp_path, data):
    path = tmp_path / "garbage.avi"
    path.write_bytes(data)
    with pytest.raises(SourceError, match="cannot decode") as caught:
        open_source(path)
    assert str(path) in str(caught.value)


OPENED_AS_VIDEO = pytest.mark.xfail(reason="FFmpeg opens it as a video of one frame")


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("a.jpg", id="jpg"),
        pytest.param("A.PNG", id="upper-case"),
        pytest.param("a.jfif", id="jfif", marks=OPENED_AS_VIDEO),
        pytest.param("a.ppm", id="ppm", marks=OPENED_AS_VIDEO),
    ],
)
def test_single_picture_is_no_footage(tmp_path, name):
    with pytest.raises(SourceError, match="single picture") as caught:
        open_source(write_picture(tmp_path / name))
    assert "folder" in caught.value.hint
