import shutil
from dataclasses import replace

import cv2
import numpy as np
import pytest

from reidsearch.footage import reread as footage
from reidsearch.footage.images import hash_crop, read_image
from reidsearch.footage.reread import locate, read_frames
from tests.unit.builders import make_detection, make_info
from tests.unit.small_footage import write_film, write_picture


def detection_in(path, image, number=1):
    """Someone whose box is the whole picture."""
    height, width = image.shape[:2]
    info = make_info(name=path.stem, path=str(path))
    box = (0.0, 0.0, float(width), float(height))
    return replace(make_detection(info, number), box_xyxy=box, crop_hash=hash_crop(image))


@pytest.fixture
def picture(tmp_path):
    folder = tmp_path / "old" / "north"
    folder.mkdir(parents=True)
    path = write_picture(folder / "frame_1.png", grey=50)
    return path, detection_in(path, read_image(path))


@pytest.fixture
def film(tmp_path):
    """A video with a key frame now and then, and who is in some of its frames."""
    path = write_film(tmp_path / "gate.avi", codec="XVID", count=25)
    capture, frames = cv2.VideoCapture(str(path)), {}
    for number in range(1, 26):
        frames[number] = np.asarray(cv2.cvtColor(capture.read()[1], cv2.COLOR_BGR2RGB))
    return path, [detection_in(path, frames[number], number) for number in (3, 17, 24)]


def test_picture_as_it_was(picture):
    path, detection = picture
    [found] = read_frames([detection])
    assert found.problem == ""
    assert found.image.shape == read_image(path).shape


def test_picture_that_changed_says_so(picture):
    path, detection = picture
    write_picture(path, grey=51)
    [found] = read_frames([detection])
    assert found.problem == f"{path} has changed since it was ingested"
    assert found.image is not None


def test_picture_that_is_smaller_now(picture):
    _, detection = picture
    far = replace(detection, box_xyxy=(100.0, 100.0, 120.0, 150.0))
    [found] = read_frames([far])
    assert "has changed" in found.problem


@pytest.mark.parametrize(("content", "words"), [(None, "not exist"), (b"", "empty"), (b"x", "dec")])
def test_picture_that_cannot_be_read(picture, content, words):
    path, detection = picture
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    [found] = read_frames([detection])
    assert found.image is None
    assert words in found.problem
    assert str(path) in found.problem


def test_moved_footage_is_found_by_the_end_of_its_path(picture, tmp_path):
    path, detection = picture
    (tmp_path / "new").mkdir()
    shutil.move(path.parent, tmp_path / "new" / "north")
    decoy = write_picture(tmp_path / "new" / "frame_1.png", grey=1)
    assert locate(str(path), tmp_path / "new") == tmp_path / "new" / "north" / "frame_1.png"
    assert locate("/gone/south/frame_1.png", tmp_path / "new") == decoy
    [found] = read_frames([detection], tmp_path / "new")
    assert found.problem == ""
    [found] = read_frames([detection])
    assert "does not exist any more" in found.problem


def test_frames_of_a_video_are_those_very_frames(film):
    _, detections = film
    found = list(read_frames(reversed(detections)))
    assert sorted(one.detection.frame for one in found) == [3, 17, 24]
    assert [one.problem for one in found] == [""] * 3
    for one in found:
        assert hash_crop(one.image) == one.detection.crop_hash


def test_seeking_that_misses_is_made_good(film, monkeypatch):
    path, detections = film

    def miss(path, numbers):
        for number in numbers:
            yield number, np.zeros((48, 64, 3), np.uint8)

    monkeypatch.setattr(footage, "read_at", miss)
    assert [one.problem for one in read_frames(detections)] == [""] * 3
    unknown = replace(detections[0], crop_hash="f" * 16)
    found = {one.detection.id: one for one in read_frames([unknown, *detections[1:]])}
    assert found[unknown.id].problem == f"{path} has changed since it was ingested"
    assert found[unknown.id].image is not None
    late = replace(detections[0], frame=99)
    [found] = read_frames([late])
    assert (found.image, found.problem) == (None, f"{path} has changed since it was ingested")


def test_video_that_is_none_any_more(film):
    path, detections = film
    path.write_bytes(b"no video" * 100)
    for found in read_frames(detections):
        assert found.image is None
        assert "not a video" in found.problem


def test_speed_of_a_video_does_not_matter(film):
    path, detections = film
    data = bytearray(path.read_bytes())
    rate = data.index(b"strh") + 8 + 24
    data[rate : rate + 4] = b"\xff" * 4
    path.write_bytes(data)
    changed = [replace(detection, crop_hash="f" * 16) for detection in detections]
    assert [one.image.shape for one in read_frames(changed)] == [(48, 64, 3)] * 3


def test_everyone_of_one_frame(film):
    _, [first, *_] = film
    both = [first, replace(first, id=f"{first.id}1")]
    assert [one.detection.id for one in read_frames(both)] == [one.id for one in both]
