import pytest

from reidsearch.core import defaults
from reidsearch.core.errors import SourceError
from reidsearch.footage import SourceOptions, open_source
from tests.unit.small_footage import greys, numbers, read, reasons, write_folder, write_picture


@pytest.mark.parametrize(
    ("names", "says"),
    [
        pytest.param([], "is empty", id="empty"),
        pytest.param(["film.mp4", ".f_1.png"], "contains no picture", id="other-and-hidden-files"),
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
        pytest.param(["f_9.png", "f_10.png", "f_2.png"], [2, 9, 10], id="ten-after-nine"),
        pytest.param(["f_08.png", "f_500.png", "f_0.png"], [0, 8, 500], id="gaps-and-zeros"),
        pytest.param(["cam2_3.png", "cam1_4.png"], [3, 4], id="last-digits-count"),
        pytest.param(["b1left.png", "a2right.png"], [1, 2], id="letters-behind"),
        pytest.param(["f-2.png", "f-1.png"], [1, 2], id="dash-is-no-minus"),
        pytest.param(["1.PNG", "2.Jpg", "3.bmp", "4.webp", "5.TIFF"], [1, 2, 3, 4, 5], id="kinds"),
        pytest.param(["1.png", ".f_2.png"], [1], id="hidden"),
        pytest.param(["b.png", "a.png", "c.png"], [1, 2, 3], id="no-digits"),
        pytest.param([f"{2**53}.png"], [2**53], id="largest"),
    ],
)
def test_folder_is_read_in_the_order_of_its_numbers(tmp_path, names, expected):
    assert numbers(read(write_folder(tmp_path, *names))) == expected


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


def test_picture_without_digits_is_bad_and_leaves_the_others_their_numbers(tmp_path):
    frames = read(write_folder(tmp_path, "f_7.png", "f_9.png", "cover.png"))
    assert numbers(frames) == [None, 7, 9]
    assert str(tmp_path / "cover.png") in reasons(frames)[0]
    assert greys(frames[1:]) == [0, 1]


def test_two_files_of_one_number_are_both_named(tmp_path):
    write_folder(tmp_path, "f_1.png", "left_2.png", "right_02.png")
    with pytest.raises(SourceError, match="both frame 2") as caught:
        open_source(tmp_path)
    assert "left_2.png" in str(caught.value)
    assert "right_02.png" in str(caught.value)
    assert caught.value.hint


def test_number_too_large_to_be_exact_as_a_time_is_refused(tmp_path):
    write_folder(tmp_path, "f_1.png", f"f_{2**53 + 1}.png")
    with pytest.raises(SourceError, match="too large") as caught:
        open_source(tmp_path)
    assert f"f_{2**53 + 1}.png" in str(caught.value)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        pytest.param({}, [2, 4, 6, 8, 10, 12, 14], id="all"),
        pytest.param({"every": 3}, [2, 8, 14], id="every-third"),
        pytest.param({"every": 100, "max_frames": 100}, [2], id="more-than-there-are"),
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


def test_bad_frames_come_in_their_places(tmp_path):
    write_folder(tmp_path, *(f"f_{n}.png" for n in range(1, 6)))
    for n in (1, 3, 5):
        path = tmp_path / f"f_{n}.png"
        path.write_bytes(path.read_bytes()[:40])
    frames = read(tmp_path)
    assert numbers(frames) == [None, 2, None, 4, None]
    for n, reason in zip((1, 3, 5), reasons(frames), strict=True):
        assert str(tmp_path / f"f_{n}.png") in reason


def test_unwanted_bad_frame_is_not_mentioned(tmp_path):
    write_folder(tmp_path, "1.png", "2.png")
    (tmp_path / "3.png").write_bytes(b"")
    assert numbers(open_source(tmp_path).frames(lambda number: number < 3)) == [1, 2]


def test_frame_that_vanishes_after_opening_is_bad(tmp_path):
    source = open_source(write_folder(tmp_path, "1.png", "2.png"))
    (tmp_path / "2.png").unlink()
    assert numbers(source.frames()) == [1, None]


@pytest.mark.parametrize(
    ("options", "expected_s"),
    [
        pytest.param({}, 3 / defaults.ASSUMED_FPS, id="assumed-fps"),
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


def test_folder_can_be_read_again_and_twice_at_once(tmp_path):
    source = open_source(write_folder(tmp_path, "1.png", "2.png", "3.png"))
    first = source.frames()
    next(first)
    assert greys(source.frames()) == [0, 1, 2]
    assert greys(first) == [1, 2]


def test_digest_tells_folders_by_their_first_frame(tmp_path):
    one = open_source(write_folder(tmp_path / "one", "1.png", "2.png"))
    other = open_source(write_folder(tmp_path / "other", "0.png", "1.png"))
    write_picture(tmp_path / "other" / "0.png", 99)
    changed = open_source(tmp_path / "other")
    assert one.info.digest == other.info.digest
    assert changed.info.digest not in (one.info.digest, "")


def test_first_frame_that_cannot_be_read_gives_no_digest(tmp_path):
    write_folder(tmp_path, "2.png")
    (tmp_path / "1.png").symlink_to("nowhere.png")
    assert open_source(tmp_path).info.digest == ""
    assert numbers(read(tmp_path)) == [None, 2]
