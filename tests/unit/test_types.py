from dataclasses import FrozenInstanceError

import numpy as np
import pytest

from reidsearch.core.types import Crops, Detections, Embeddings, Filter, Frame, Records, require_rgb
from tests.unit.builders import make_detection, make_detections, make_info, make_vectors


def black(*shape):
    return np.zeros(shape, np.uint8)


@pytest.mark.parametrize(
    "image",
    [
        pytest.param(black(0, 4, 3), id="no-rows"),
        pytest.param(black(4, 4), id="grey"),
        pytest.param(black(4, 4, 4), id="alpha"),
        pytest.param(np.zeros((4, 4, 3), np.float32), id="float"),
    ],
)
def test_frame_refuses_what_is_no_rgb_picture(image):
    with pytest.raises(ValueError, match="not an"):
        require_rgb(image)
    with pytest.raises(ValueError, match="not an"):
        Frame(image, 1, "a.png")


def test_frame_keeps_its_image_and_cannot_be_changed():
    image = black(1, 1, 3)
    frame = Frame(image, 7, "a.png")
    assert frame.image is image
    with pytest.raises(FrozenInstanceError):
        frame.number = 8


def test_detections_may_be_empty():
    assert len(make_detections()) == 0


@pytest.mark.parametrize(
    ("xyxy_shape", "score_shape"),
    [
        pytest.param((0, 4), (1,), id="score-without-box"),
        pytest.param((2, 4), (1,), id="box-without-score"),
        pytest.param((2, 5), (2,), id="five-columns"),
    ],
)
def test_detections_refuse_rows_that_differ(xyxy_shape, score_shape):
    with pytest.raises(ValueError, match="rows differ"):
        Detections(np.zeros(xyxy_shape, np.float32), np.zeros(score_shape, np.float32))


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        pytest.param(np.zeros(3, bool), [], id="no-row"),
        pytest.param(np.array([True, False, True]), [0.9, 0.7], id="mask"),
        pytest.param(np.array([2, 0]), [0.7, 0.9], id="index"),
    ],
)
def test_detections_give_rows_by_mask_or_index(rows, expected):
    all_three = make_detections((0, 0, 1, 9, 0.9), (0, 0, 2, 8, 0.8), (0, 0, 3, 7, 0.7))
    chosen = all_three[rows]
    np.testing.assert_allclose(chosen.score, expected)
    np.testing.assert_allclose(chosen.xyxy[:, 3] / 10, expected)


def test_crops_refuse_a_picture_too_many():
    one = make_detections((0, 0, 2, 2, 0.5))
    assert len(Crops((black(2, 2, 3),), one)) == 1
    with pytest.raises(ValueError, match="rows differ"):
        Crops((black(2, 2, 3), black(2, 2, 3)), one)


def test_embeddings_may_be_empty():
    assert len(Embeddings(np.empty((0, 512), np.float32), "space")) == 0


@pytest.mark.parametrize(
    ("vectors", "says"),
    [
        pytest.param(np.ones(2), "N, D", id="flat"),
        pytest.param(np.array([[0.0, 0.0]]), "normalised", id="zero"),
        pytest.param(np.array([[np.nan, 1.0]]), "normalised", id="nan"),
        pytest.param(np.array([[1.0, 0.0], [0.6, 0.7]]), "normalised", id="last-row-too-short"),
    ],
)
def test_embeddings_refuse_vectors_that_are_not_of_length_one(vectors, says):
    with pytest.raises(ValueError, match=says):
        Embeddings(vectors.astype(np.float32), "space")


def test_records_refuse_a_sighting_without_vector():
    detection = make_detection(make_info(), 1)
    one = Embeddings(make_vectors(0), "space")
    assert len(Records((detection,), one)) == 1
    with pytest.raises(ValueError, match="rows differ"):
        Records((detection, detection), one)


def test_filter_allows_all_sources_or_some_but_not_none():
    assert Filter().sources is None
    assert Filter(sources=(("gate", "monday"),)).sources
    with pytest.raises(ValueError, match="sources is empty"):
        Filter(sources=())


@pytest.mark.parametrize(
    ("changes", "number", "expected_s"),
    [
        pytest.param({}, 1, 0.0, id="first-frame"),
        pytest.param({"first_number": 100, "fps": 12.5}, 125, 2.0, id="numbers-from-100"),
        pytest.param({"start_s": 1.5e9}, 21, 1.5e9 + 2, id="epoch"),
        pytest.param({"first_number": 10, "fps": 2.0}, 7, -1.5, id="before-the-first"),
    ],
)
def test_source_turns_numbers_into_times(changes, number, expected_s):
    assert make_info(**changes).time_of(number) == expected_s


def test_source_is_named_by_camera_and_name():
    info = make_info("gate", "monday")
    assert str(info) == "gate/monday"
    assert info.key == ("gate", "monday")
