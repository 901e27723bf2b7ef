import numpy as np
import pytest

from reidsearch.core.boxes import iou_matrix
from reidsearch.models.detectors.merge import merge_views
from reidsearch.models.detectors.tiles import lay_tiles
from tests.unit.builders import make_detections

NOBODY = make_detections()


def merge(width, height, *grids, **found):
    """Merge views; found["v2"] is what the third view saw, and views not named saw nobody."""
    tiles = lay_tiles(width, height, grids)
    return merge_views(tiles, [found.get(f"v{view}", NOBODY) for view in range(len(tiles))])


@pytest.mark.parametrize("grid", [(1, 1), (2, 1), (3, 2)])
def test_nobody_in_any_view_is_nobody(grid):
    merged = merge(768, 576, grid)
    assert len(merged) == 0
    assert merged.xyxy.shape == (0, 4)


def test_whole_frame_alone_keeps_all_as_the_network_found_them():
    small, large = (10, 10, 20, 40, 0.6), (300, 0, 500, 576, 0.9)
    beside_it = (350, 0, 500, 576, 0.7)
    merged = merge(768, 576, (1, 1), v0=make_detections(small, large, beside_it))
    np.testing.assert_allclose(merged.score, [0.9, 0.7, 0.6])
    np.testing.assert_allclose(merged.xyxy, [large[:4], beside_it[:4], small[:4]])


def test_cut_person_is_dropped_and_the_whole_one_stays():
    _, left, right = lay_tiles(700, 400, [(2, 1)])
    whole = right[0] + 15, 100, right[0] + 55, 200
    cut = right[0] + 1, 100, right[0] + 30, 200
    found = {"v1": make_detections((*whole, 0.5)), "v2": make_detections((*cut, 0.9))}
    assert whole[2] < left[2]
    merged = merge(700, 400, (2, 1), **found)
    np.testing.assert_allclose(merged.xyxy, [whole])
    np.testing.assert_allclose(merged.score, [0.5])


@pytest.mark.parametrize(
    ("view", "box", "is_kept"),
    [
        pytest.param(1, (100, 100, 130, 190), True, id="inside"),
        pytest.param(1, (0, 0, 30, 90), True, id="at-the-frame's-top-left"),
        pytest.param(1, (370, 100, 400, 190), False, id="at-the-inner-right"),
        pytest.param(1, (100, 160, 130, 242), False, id="at-the-inner-bottom"),
        pytest.param(1, (0, 160, 30, 242), False, id="at-the-frame-and-an-inner-border"),
        pytest.param(1, (360, 100, 393, 190), False, id="a-fiftieth-of-the-tile-from-it"),
        pytest.param(1, (360, 100, 391, 190), True, id="farther-from-it"),
        pytest.param(4, (660, 300, 700, 400), True, id="at-the-frame's-bottom-right"),
        pytest.param(4, (300, 300, 330, 390), False, id="at-the-inner-left"),
        pytest.param(4, (500, 158, 530, 240), False, id="at-the-inner-top"),
        pytest.param(4, (500, 162, 530, 240), False, id="a-fiftieth-from-the-inner-top"),
        pytest.param(4, (500, 164, 530, 240), True, id="farther-from-the-inner-top"),
    ],
)
def test_only_inner_borders_cut_people(view, box, is_kept):
    _, first, *_, last = lay_tiles(700, 400, [(2, 2)])
    assert (first, last) == ((0, 0, 400, 242), (300, 158, 700, 400))
    merged = merge(700, 400, (2, 2), **{f"v{view}": make_detections((*box, 0.8))})
    assert len(merged) == is_kept


def test_halves_of_a_person_larger_than_the_tiles_give_way_to_the_whole():
    whole = 40, 60, 120, 340
    upper, lower = (40, 60, 120, 240), (40, 160, 120, 340)
    halves = {"v1": make_detections((*upper, 0.99)), "v3": make_detections((*lower, 0.98))}
    assert len(merge(700, 400, (2, 2), **halves)) == 0
    merged = merge(700, 400, (2, 2), v0=make_detections((*whole, 0.7)), **halves)
    np.testing.assert_allclose(merged.xyxy, [whole])
    np.testing.assert_allclose(merged.score, [0.7])
    row = merge(700, 400, (2, 1), (2, 2), v1=make_detections((*whole, 0.8)), v3=halves["v1"])
    np.testing.assert_allclose(row.xyxy, [whole])


def test_part_that_ends_before_the_border_gives_way_to_what_reaches_beyond_it():
    whole, part = (40, 60, 120, 340), (42, 60, 118, 200)
    merged = merge(
        700, 400, (2, 2), v0=make_detections((*whole, 0.5)), v1=make_detections((*part, 0.9))
    )
    np.testing.assert_allclose(merged.xyxy, [whole])


@pytest.mark.parametrize(
    ("larger", "score"),
    [
        pytest.param((40, 20, 120, 235), 0.9, id="larger-one-ends-in-the-tile"),
        pytest.param((60, 60, 140, 340), 0.9, id="covers-too-little"),
        pytest.param((40, 60, 120, 340), 0.4, id="is-too-doubtful"),
    ],
)
def test_person_before_another_stays(larger, score):
    small = 42, 60, 118, 150, 0.9
    merged = merge(
        700, 400, (2, 2), v0=make_detections((*larger, score)), v1=make_detections(small)
    )
    assert len(merged) == 2


@pytest.mark.parametrize(
    ("height", "expected"),
    [
        pytest.param(140, [], id="just-small"),
        pytest.param(150, [0.8], id="just-large"),
        pytest.param(390, [0.8], id="large"),
    ],
)
def test_small_people_of_the_whole_frame_are_left_to_the_tiles(height, expected):
    merged = merge(700, 400, (2, 2), v0=make_detections((50, 5, 90, 5 + height, 0.8)))
    np.testing.assert_allclose(merged.score, expected)


def test_small_person_whom_tiles_cut_is_taken_from_the_whole_frame():
    wide = 280, 20, 420, 120  # wider than what tiles share
    left, right = (280, 20, 400, 120, 0.9), (300, 20, 420, 120, 0.9)
    found = {"v1": make_detections(left), "v2": make_detections(right)}
    merged = merge(700, 400, (2, 2), v0=make_detections((*wide, 0.8)), **found)
    np.testing.assert_allclose(merged.xyxy, [wide])
    np.testing.assert_allclose(merged.score, [0.4])


def test_person_in_two_tiles_is_there_once_and_both_decide_where():
    one, other = (320, 100, 360, 200), (324, 100, 364, 204)
    found = {"v1": make_detections((*one, 0.9)), "v2": make_detections((*other, 0.3))}
    merged = merge(700, 400, (2, 1), **found)
    np.testing.assert_allclose(merged.score, [0.9])
    np.testing.assert_allclose(merged.xyxy, [np.average([one, other], axis=0, weights=[3, 1])])


def test_box_that_overlaps_a_surer_one_a_little_less_is_dropped_without_a_vote():
    sure, doubtful = (320, 100, 360, 200), (330, 100, 370, 200)
    assert 0.45 < iou_matrix(*(make_detections((*box, 1)).xyxy for box in (sure, doubtful))) < 0.7
    merged = merge(700, 400, (2, 1), v1=make_detections((*sure, 0.9), (*doubtful, 0.8)))
    np.testing.assert_allclose(merged.xyxy, [sure])


def test_two_people_side_by_side_both_stay():
    merged = merge(700, 400, (1, 1), v0=make_detections((0, 0, 40, 90, 0.9), (25, 0, 65, 90, 0.8)))
    assert len(merged) == 2


def test_merged_people_come_by_falling_score():
    merged = merge(
        700,
        400,
        (2, 1),
        v0=make_detections((10, 10, 30, 300, 0.9)),
        v1=make_detections((50, 10, 70, 90, 0.3), (90, 10, 110, 90, 0.8)),
        v2=make_detections((500, 10, 520, 90, 0.6)),
    )
    np.testing.assert_allclose(merged.score, [0.9, 0.8, 0.6, 0.3])
    np.testing.assert_allclose(merged.xyxy[:, 0], [10, 90, 500, 50])
