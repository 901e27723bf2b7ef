"""Cutting a frame into overlapping tiles.

A detector shrinks its input to a few hundred pixels, where people far away disappear. So it is run
on the whole frame and on enlarged parts of it. What suits small and large people, in 768x576 and
1920x1080, was measured by `scripts/bench_tiles.py`.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

import numpy as np

from reidsearch.core.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reidsearch.models.cards import DetectorCard

Tile = tuple[int, int, int, int]
"""x1, y1, x2, y2 in whole pixels of the frame."""
Grid = tuple[int, int]
"""Columns, rows; `(1, 1)` stands for no tiles."""

# Neighbouring tiles share a quarter of their width, and in two rows 0.21 of the frame's height, so
# that smaller people are whole in one of them.
_OVERLAP_X, _OVERLAP_Y = 0.25, 0.35
_MAX_COLUMNS, _MAX_TILES = 4, 64


def parse_tiles(text: str) -> Grid | None:
    """Read `auto` as None, and `off` or `3x2` as a grid.

    Raises:
        UsageError: the text is not a valid tile grid, or has too many tiles.
    """
    if text == "auto":
        return None
    if text == "off":
        return 1, 1
    match = re.fullmatch(r"([1-9]\d?)x([1-9]\d?)", text)
    if not match or int(match[1]) * int(match[2]) > _MAX_TILES:
        raise UsageError(
            f"{text!r} is not a valid tile grid (for example 3x2)",
            hint=f"use auto, off, or COLUMNSxROWS with at most {_MAX_TILES} tiles",
        )
    return int(match[1]), int(match[2])


def choose_grids(width: int, height: int, input_px: int, smallest_px: int) -> tuple[Grid, ...]:
    """Choose the grids of a frame: one row of tiles for large people, then two for small ones.

    Each has as many columns as make its tiles no wider than high: 2x1 and 3x2 for 4:3, 3x1 and 4x2
    for 16:9. A frame is not tiled when it is not larger than the network's input, or when the
    network finds people of an eighth of the height of the whole frame, too.

    Args:
        width: of the frame.
        height: likewise.
        input_px: the height to which the network resizes its input.
        smallest_px: see `DetectorCard`.
    """
    is_small = width * height <= input_px**2 or min(width, height) <= 0.8 * input_px
    if is_small or input_px / 8 >= smallest_px:
        return ()
    return tuple(
        (_columns(width, height / (rows - (rows - 1) * _OVERLAP_Y)), rows) for rows in (1, 2)
    )


def lay_out(width: int, height: int, grid: Grid | None, card: DetectorCard) -> list[Tile]:
    """List the views of a frame that a detector looks at; without a grid those that suit it."""
    chosen = choose_grids(width, height, card.input_hw[0], card.smallest_px)
    return lay_tiles(width, height, chosen if grid is None else [grid])


def lay_tiles(width: int, height: int, grids: Sequence[Grid]) -> list[Tile]:
    """List the views of a frame: all of it, then the tiles of each grid row by row."""
    tiles = [(0, 0, width, height)]
    for columns, rows in grids:
        if columns * rows > 1:
            spans_y = _spans(height, rows, _OVERLAP_Y)
            spans_x = _spans(width, columns, _OVERLAP_X)
            tiles += [(x1, y1, x2, y2) for y1, y2 in spans_y for x1, x2 in spans_x]
    return tiles


def _columns(width: int, tile_height: float) -> int:
    """How many columns make tiles no wider than high."""
    columns = math.ceil((width / tile_height - _OVERLAP_X) / (1 - _OVERLAP_X))
    return min(max(columns, 1), _MAX_COLUMNS)


def _spans(length: int, count: int, overlap: float) -> list[tuple[int, int]]:
    """Cut `length` into equal spans, each sharing `overlap` of its own length with the next."""
    size = length / (count - (count - 1) * overlap)
    starts = np.linspace(0, length - size, count)
    spans = ((round(start), round(start + size)) for start in starts)
    return [(start, end) for start, end in spans if end > start]
