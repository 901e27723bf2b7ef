import numpy as np
import pytest

from reidsearch.core.errors import UsageError
from reidsearch.models.detectors.tiles import choose_grids, lay_tiles, parse_tiles

GRIDS = [
    pytest.param(768, 576, (1, 1), id="whole"),
    pytest.param(768, 576, (3, 2), id="3x2"),
    pytest.param(1920, 1080, (4, 2), id="4x2"),
    pytest.param(1080, 1920, (1, 2), id="one-column"),
    pytest.param(641, 479, (2, 1), id="one-row"),
    pytest.param(101, 97, (8, 8), id="many-on-little"),
    pytest.param(7, 5, (3, 2), id="tiny"),
]


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
        pytest.param(1, 1, 300, (), id="one-pixel"),
        pytest.param(300, 300, 300, (), id="as-large-as-the-input"),
        pytest.param(320, 240, 300, (), id="small"),
        pytest.param(240, 5000, 300, (), id="narrow"),
        pytest.param(5000, 240, 300, (), id="low"),
        pytest.param(5000, 250, 300, ((4, 1), (4, 2)), id="not-so-low"),
        pytest.param(640, 480, 300, ((2, 1), (3, 2)), id="vga"),
        pytest.param(768, 576, 300, ((2, 1), (3, 2)), id="4-to-3"),
        pytest.param(1920, 1080, 300, ((3, 1), (4, 2)), id="16-to-9"),
        pytest.param(1080, 1920, 300, ((1, 1), (1, 2)), id="portrait"),
        pytest.param(12000, 9000, 300, ((2, 1), (3, 2)), id="huge"),
        pytest.param(1920, 1080, 480, (), id="input-of-480-sees-small-people"),
        pytest.param(1920, 1080, 479, ((3, 1), (4, 2)), id="input-of-479-does-not"),
    ],
)
def test_grids_suit_the_frame(width, height, input_px, expected):
    assert choose_grids(width, height, input_px, 60) == expected


def test_network_that_sees_small_people_gets_no_tiles():
    assert choose_grids(1920, 1080, 256, 32) == ()
    assert choose_grids(1920, 1080, 256, 33) == ((3, 1), (4, 2))


@pytest.mark.parametrize(("width", "height", "grid"), GRIDS)
def test_tiles_follow_the_whole_frame_and_cover_it(width, height, grid):
    whole, *tiles = lay_tiles(width, height, [grid])
    assert whole == (0, 0, width, height)
    assert len(tiles) == (0 if grid == (1, 1) else grid[0] * grid[1])
    seen = np.zeros((height, width), bool)
    for x1, y1, x2, y2 in tiles:
        assert 0 <= x1 < x2 <= width
        assert 0 <= y1 < y2 <= height
        seen[y1:y2, x1:x2] = True
    assert seen.all() or not tiles


def test_grids_follow_each_other():
    both = lay_tiles(768, 576, [(2, 1), (3, 2)])
    one, other = lay_tiles(768, 576, [(2, 1)]), lay_tiles(768, 576, [(3, 2)])
    assert both == [*one, *other[1:]]
    assert lay_tiles(768, 576, [(1, 1), (3, 2)]) == other


def test_neighbouring_tiles_share_a_quarter_of_width_and_more_of_height():
    _, first, right, below, _ = lay_tiles(1000, 1000, [(2, 2)])
    assert (first[2] - right[0]) / (first[2] - first[0]) == pytest.approx(0.25, abs=0.01)
    assert (first[3] - below[1]) / (first[3] - first[1]) == pytest.approx(0.35, abs=0.01)
