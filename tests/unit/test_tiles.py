import numpy as np
import pytest

from reidsearch.core.boxes import iou_matrix
from reidsearch.core.errors import UsageError
from reidsearch.models.detectors.tiles import choose_grid, lay_tiles, merge_tiles, parse_tiles
from tests.unit.builders import make_detections

NOBODY = make_detections()
GRIDS = [
    pytest.param(768, 576, (1, 1), id="whole"),
    pytest.param(768, 576, (3, 2), id="3x2"),
    pytest.param(1920, 1080, (4, 2), id="4x2"),
    pytest.param(1080, 1920, (1, 2), id="one-column"),
    pytest.param(641, 479, (2, 1), id="one-row"),
    pytest.param(101, 97, (8, 8), id="many-on-little"),
    pytest.param(7, 5, (3, 2), id="tiny"),
]


def join(width, height, grid, **found):
    """Join views; found["v2"] is what the third view saw, and views not named saw nobody."""
    tiles = lay_tiles(width, height, grid)
    return merge_tiles(tiles, [found.get(f"v{view}", NOBODY) for view in range(len(tiles))])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("auto", None, id="auto"),
        pytest.param("off", (1, 1), id="off"),
        pytest.param("1x1", (1, 1), id="one"),
        pytest.param("3x2", (3, 2), id="columns-first"),
        pytest.param("10x6", (10, 6), id="two-digits"),
        pytest.param("8x8", (8, 8), id="most"),
    ],
)
def test_tiles_are_read(text, expected):
    assert parse_tiles(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "3",
        "x",
        "3x",
        "x2",
        "0x2",
        "3x0",
        "-1x2",
        "3X2",
        "3x2x1",
        "3.5x2",
        "3x2 ",
        "AUTO",
        "9x8",
        "13x5",
    ],
)
def test_invalid_tile_grid_is_refused(text):
    with pytest.raises(UsageError, match="not a valid tile grid") as caught:
        parse_tiles(text)
    assert "COLUMNSxROWS" in caught.value.hint


@pytest.mark.parametrize(
    ("width", "height", "input_px", "expected"),
    [
        pytest.param(1, 1, 300, (1, 1), id="one-pixel"),
        pytest.param(300, 300, 300, (1, 1), id="as-large-as-the-input"),
        pytest.param(320, 240, 300, (1, 1), id="small"),
        pytest.param(240, 5000, 300, (1, 1), id="narrow"),
        pytest.param(5000, 240, 300, (1, 1), id="low"),
        pytest.param(5000, 250, 300, (4, 2), id="not-so-low"),
        pytest.param(640, 480, 300, (3, 2), id="vga"),
        pytest.param(768, 576, 300, (3, 2), id="4-to-3"),
        pytest.param(1920, 1080, 300, (4, 2), id="16-to-9"),
        pytest.param(1080, 1920, 300, (1, 2), id="portrait"),
        pytest.param(12000, 9000, 300, (3, 2), id="huge"),
        pytest.param(30000, 1000, 300, (4, 2), id="panorama"),
        pytest.param(1920, 1080, 600, (1, 1), id="input-of-600-sees-small-people"),
        pytest.param(1920, 1080, 480, (1, 1), id="input-of-480-does-too"),
        pytest.param(1920, 1080, 479, (4, 2), id="input-of-479-does-not"),
    ],
)
def test_grid_suits_the_frame(width, height, input_px, expected):
    assert choose_grid(width, height, input_px) == expected


@pytest.mark.parametrize(("width", "height", "grid"), GRIDS)
def test_tiles_follow_the_whole_frame_and_cover_it(width, height, grid):
    whole, *tiles = lay_tiles(width, height, grid)
    assert whole == (0, 0, width, height)
    assert len(tiles) == (0 if grid == (1, 1) else grid[0] * grid[1])
    seen = np.zeros((height, width), bool)
    for x1, y1, x2, y2 in tiles:
        assert 0 <= x1 < x2 <= width
        assert 0 <= y1 < y2 <= height
        seen[y1:y2, x1:x2] = True
    assert seen.all() or not tiles


def test_neighbouring_tiles_share_a_quarter_of_width_and_more_of_height():
    _, first, right, below, _ = lay_tiles(1000, 1000, (2, 2))
    assert (first[2] - right[0]) / (first[2] - first[0]) == pytest.approx(0.25, abs=0.01)
    assert (first[3] - below[1]) / (first[3] - first[1]) == pytest.approx(0.35, abs=0.01)


@pytest.mark.parametrize("grid", [(1, 1), (2, 1), (3, 2)])
def test_nobody_in_any_view_is_nobody(grid):
    joined = join(768, 576, grid)
    assert len(joined) == 0
    assert joined.xyxy.shape == (0, 4)


def test_whole_frame_alone_keeps_its_scores():
    small, large = (10, 10, 20, 40, 0.6), (300, 0, 500, 576, 0.9)
    joined = join(768, 576, (1, 1), v0=make_detections(small, large))
    np.testing.assert_allclose(joined.score, [0.9, 0.6])
    np.testing.assert_allclose(joined.xyxy, [large[:4], small[:4]])


def test_cut_person_is_dropped_and_the_whole_one_stays():
    _, left, right = lay_tiles(700, 400, (2, 1))
    whole = right[0] + 5, 100, right[0] + 45, 200
    cut = right[0] + 1, 100, right[0] + 20, 200
    found = {"v1": make_detections((*whole, 0.5)), "v2": make_detections((*cut, 0.9))}
    assert whole[2] < left[2]
    joined = join(700, 400, (2, 1), **found)
    np.testing.assert_allclose(joined.xyxy, [whole])
    np.testing.assert_allclose(joined.score, [0.5])


@pytest.mark.parametrize(
    ("view", "box", "is_kept"),
    [
        pytest.param(1, (100, 100, 130, 190), True, id="inside"),
        pytest.param(1, (0, 0, 30, 90), True, id="at-the-frame's-top-left"),
        pytest.param(1, (370, 100, 400, 190), False, id="at-the-inner-right"),
        pytest.param(1, (100, 160, 130, 242), False, id="at-the-inner-bottom"),
        pytest.param(1, (0, 160, 30, 242), False, id="at-the-frame-and-an-inner-border"),
        pytest.param(1, (370, 100, 399, 190), False, id="a-pixel-from-the-inner-right"),
        pytest.param(1, (370, 100, 397, 190), True, id="three-pixels-from-the-inner-right"),
        pytest.param(4, (660, 300, 700, 400), True, id="at-the-frame's-bottom-right"),
        pytest.param(4, (300, 300, 330, 390), False, id="at-the-inner-left"),
        pytest.param(4, (500, 158, 530, 240), False, id="at-the-inner-top"),
        pytest.param(4, (500, 159, 530, 240), False, id="a-pixel-from-the-inner-top"),
        pytest.param(4, (500, 161, 530, 240), True, id="three-pixels-from-the-inner-top"),
    ],
)
def test_only_inner_borders_cut_people(view, box, is_kept):
    _, first, *_, last = lay_tiles(700, 400, (2, 2))
    assert (first, last) == ((0, 0, 400, 242), (300, 158, 700, 400))
    joined = join(700, 400, (2, 2), **{f"v{view}": make_detections((*box, 0.8))})
    assert len(joined) == is_kept


def test_person_in_two_tiles_is_there_once_and_both_decide_where():
    one, other = (320, 100, 360, 200), (324, 100, 364, 204)
    found = {"v1": make_detections((*one, 0.9)), "v2": make_detections((*other, 0.3))}
    joined = join(700, 400, (2, 1), **found)
    np.testing.assert_allclose(joined.score, [0.9])
    np.testing.assert_allclose(joined.xyxy, [np.average([one, other], axis=0, weights=[3, 1])])


def test_box_that_overlaps_a_surer_one_a_little_less_is_dropped_without_a_vote():
    sure, doubtful = (320, 100, 360, 200), (330, 100, 370, 200)
    assert 0.45 < iou_matrix(*(make_detections((*box, 1)).xyxy for box in (sure, doubtful))) < 0.7
    joined = join(700, 400, (2, 1), v1=make_detections((*sure, 0.9), (*doubtful, 0.8)))
    np.testing.assert_allclose(joined.xyxy, [sure])


def test_two_people_side_by_side_both_stay():
    joined = join(700, 400, (1, 1), v0=make_detections((0, 0, 40, 90, 0.9), (25, 0, 65, 90, 0.8)))
    assert len(joined) == 2


@pytest.mark.parametrize(
    ("height", "expected"),
    [
        pytest.param(50, 0.4, id="small"),
        pytest.param(140, 0.4, id="just-small"),
        pytest.param(150, 0.8, id="just-large"),
        pytest.param(390, 0.8, id="large"),
    ],
)
def test_whole_frame_counts_half_for_small_people_only(height, expected):
    joined = join(700, 400, (2, 2), v0=make_detections((50, 5, 90, 5 + height, 0.8)))
    np.testing.assert_allclose(joined.score, [expected])


def test_joined_people_come_by_falling_score():
    joined = join(
        700,
        400,
        (2, 1),
        v0=make_detections((10, 10, 30, 90, 0.9)),
        v1=make_detections((50, 10, 70, 90, 0.3), (90, 10, 110, 90, 0.8)),
        v2=make_detections((500, 10, 520, 90, 0.6)),
    )
    np.testing.assert_allclose(joined.score, [0.8, 0.6, 0.45, 0.3])
    np.testing.assert_allclose(joined.xyxy[:, 0], [90, 500, 10, 50])
