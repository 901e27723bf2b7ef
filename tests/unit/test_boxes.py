import numpy as np
import pytest

from reidsearch.core.boxes import clip_to, cover_matrix, iou_matrix, nms


def as_boxes(*rows):
    return np.array(rows, np.float32).reshape(-1, 4)


def count_iou(a, b):
    """IoU of two whole-pixel boxes by counting pixels."""
    pixels = [{(x, y) for x in range(x1, x2) for y in range(y1, y2)} for x1, y1, x2, y2 in (a, b)]
    return len(pixels[0] & pixels[1]) / len(pixels[0] | pixels[1])


@pytest.mark.parametrize(
    ("count_a", "count_b"),
    [
        pytest.param(0, 0, id="both-empty"),
        pytest.param(0, 3, id="first-empty"),
        pytest.param(2, 0, id="second-empty"),
    ],
)
def test_iou_has_a_row_and_a_column_for_each_box(count_a, count_b):
    iou = iou_matrix(as_boxes(*[(0, 0, 2, 2)] * count_a), as_boxes(*[(0, 0, 2, 2)] * count_b))
    assert iou.shape == (count_a, count_b)
    assert iou.dtype == np.float32


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        pytest.param((0, 0, 4, 4), (0, 0, 4, 4), 1.0, id="same"),
        pytest.param((0, 0, 4, 4), (2, 0, 6, 4), 1 / 3, id="half-shared"),
        pytest.param((0, 0, 4, 4), (1, 1, 3, 3), 1 / 4, id="inside"),
        pytest.param((0, 0, 4, 4), (4, 0, 8, 4), 0.0, id="touching"),
        pytest.param((0, 0, 4, 4), (6, 6, 8, 8), 0.0, id="apart-in-both"),
        pytest.param((2, 2, 2, 2), (2, 2, 2, 2), 0.0, id="neither-has-area"),
    ],
)
def test_iou_of_two_boxes(a, b, expected):
    assert iou_matrix(as_boxes(a), as_boxes(b))[0, 0] == pytest.approx(expected)
    assert iou_matrix(as_boxes(b), as_boxes(a))[0, 0] == pytest.approx(expected)


def test_iou_agrees_with_counting_pixels():
    rng = np.random.default_rng(0)
    low = rng.integers(0, 12, (2, 9, 2))
    boxes = np.concatenate([low, low + rng.integers(1, 9, low.shape)], axis=2)
    expected = [[count_iou(a, b) for b in boxes[1].tolist()] for a in boxes[0].tolist()]
    np.testing.assert_allclose(iou_matrix(as_boxes(*boxes[0]), as_boxes(*boxes[1])), expected)


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        pytest.param((1, 2, 3, 4), (1, 2, 3, 4), id="inside"),
        pytest.param((-5, -6, 30, 40), (0, 0, 20, 10), id="all-around"),
        pytest.param((30, 12, 40, 20), (20, 10, 20, 10), id="outside"),
    ],
)
def test_boxes_are_cut_off_at_the_borders(box, expected):
    given = as_boxes(box)
    clipped = clip_to(given, (0, 0, 20, 10))
    assert clipped.tolist() == [list(expected)]
    assert clipped.dtype == np.float32
    assert given.tolist() == [list(box)]


def test_no_boxes_are_cut_off_to_no_boxes():
    assert clip_to(as_boxes(), (0, 0, 20, 10)).shape == (0, 4)


@pytest.mark.parametrize(
    ("boxes", "groups"),
    [
        pytest.param((), [], id="empty"),
        pytest.param(((0, 0, 9, 9), (20, 0, 29, 9)), [[0], [1]], id="apart"),
        pytest.param(((0, 0, 9, 9), (20, 0, 29, 9), (0, 0, 9, 8)), [[0, 2], [1]], id="two-of-one"),
        pytest.param(((0, 0, 9, 9), (4, 0, 13, 9), (8, 0, 17, 9)), [[0, 1], [2]], id="chain"),
        pytest.param(((5, 5, 5, 5), (5, 5, 5, 5)), [[0], [1]], id="no-area"),
    ],
)
def test_boxes_are_suppressed_by_the_first_that_they_overlap(boxes, groups):
    assert [group.tolist() for group in nms(as_boxes(*boxes), 0.3)] == groups


def test_cover_is_the_share_of_the_first_that_the_second_covers():
    half, whole, apart = as_boxes((0, 0, 10, 10), (0, 0, 20, 10), (50, 0, 60, 10))
    cover = cover_matrix(np.stack([half, whole]), np.stack([half, whole, apart]))
    np.testing.assert_allclose(cover, [[1, 1, 0], [0.5, 1, 0]])
    assert cover_matrix(as_boxes((5, 5, 5, 5)), as_boxes((0, 0, 9, 9))) == 0
