from dataclasses import replace

import numpy as np
import pytest

from reidsearch.footage.reread import FoundFrame
from reidsearch.render.crops import GREEN, fit, render_crop
from reidsearch.render.text import draw_text
from tests.unit.builders import make_detection, make_info

SIZE = 160, 240
PERSON = (200, 40, 40)


def found(box, shape=(576, 768)):
    """A grey frame whose box is red."""
    image = np.full((*shape, 3), 90, np.uint8)
    x1, y1, x2, y2 = (round(max(edge, 0)) for edge in box)
    image[y1:y2, x1:x2] = PERSON
    detection = replace(make_detection(make_info(), 1), box_xyxy=box)
    return FoundFrame(detection, image)


@pytest.mark.parametrize(
    "box",
    [
        pytest.param((300.0, 200.0, 340.0, 300.0), id="middle"),
        pytest.param((0.0, 0.0, 30.0, 80.0), id="corner"),
        pytest.param((740.0, 500.0, 768.0, 576.0), id="other-corner"),
        pytest.param((10.0, 10.0, 760.0, 570.0), id="nearly-all"),
        pytest.param((100.0, 100.0, 500.0, 130.0), id="lying"),
        pytest.param((5.0, 5.0, 9.0, 14.0), id="tiny"),
    ],
)
def test_whole_person_is_in_the_picture_and_framed(box):
    picture = render_crop(found(box), SIZE, GREEN).picture
    assert picture.shape == (240, 160, 3)
    red = np.abs(picture.astype(int) - PERSON).max(axis=2) < 60
    green = np.abs(picture.astype(int) - GREEN).max(axis=2) < 60
    assert red.any()
    assert green.any()
    rows, columns = np.nonzero(red)
    frame_rows, frame_columns = np.nonzero(green)
    assert frame_rows.min() <= rows.min() + 2
    assert frame_rows.max() >= rows.max() - 2
    assert frame_columns.min() <= columns.min() + 2
    assert frame_columns.max() >= columns.max() - 2


@pytest.mark.parametrize("at", [0.0, 27.07, 766.9])
def test_box_of_less_than_a_pixel(at):
    detection = replace(make_detection(make_info(), 1), box_xyxy=(at, 9.49, at + 0.2, 9.58))
    frame = np.full((576, 768, 3), 90, np.uint8)
    assert render_crop(FoundFrame(detection, frame), SIZE, GREEN).picture.shape == (240, 160, 3)


def test_picture_smaller_than_the_portrait():
    picture = render_crop(found((1.0, 1.0, 4.0, 9.0), shape=(12, 6)), SIZE, GREEN).picture
    assert picture.shape == (240, 160, 3)


def test_no_frame_no_picture():
    gone = FoundFrame(make_detection(make_info(), 1), None, "it is gone")
    portrait = render_crop(gone, SIZE, GREEN)
    assert (portrait.picture, portrait.problem) == (None, "it is gone")


@pytest.mark.parametrize("shape", [(10, 300), (300, 10), (1, 1), (480, 320)])
def test_fit_keeps_the_aspect(shape):
    picture = fit(np.full((*shape, 3), 255, np.uint8), SIZE)
    assert picture.shape == (240, 160, 3)
    rows, columns = np.nonzero(picture[..., 0] > 128)
    height, width = np.ptp(rows) + 1, np.ptp(columns) + 1
    assert height == pytest.approx(min(240, 160 * shape[0] / shape[1]), abs=1.5)
    assert width == pytest.approx(min(160, 240 * shape[1] / shape[0]), abs=1.5)


def test_texts_are_told_from_each_other():
    lines = [draw_text(text, 14, (255, 255, 255), (0, 0, 0)) for text in ("7.1", "1.7", "Tür", "")]
    assert len({line.tobytes() for line in lines}) == 4
    assert all(line.max() > 200 for line in lines[:3])


def test_letters_of_europe_are_drawn():
    """Each is another picture than that of a letter which the font lacks."""
    drawn = {draw_text(c, 20, (255,) * 3, (0,) * 3).tobytes() for c in "üéñßØłčΩЖ\uffff"}
    assert len(drawn) == 10


def test_text_is_cut_to_a_width():
    text = draw_text("a long name of a camera", 14, (255,) * 3, (0,) * 3, 80)
    assert 60 < text.shape[1] <= 80
    assert draw_text("wide", 14, (255,) * 3, (0,) * 3, 1).shape[1] < 40


def test_a_changed_frame_looks_changed():
    person = found((300.0, 200.0, 340.0, 300.0))
    changed = render_crop(replace(person, problem="it has changed"), SIZE, GREEN).picture
    colourful = changed[60:].std(axis=2) > 30
    assert not colourful.any()
    assert (render_crop(person, SIZE, GREEN).picture[60:].std(axis=2) > 30).any()
