"""A picture with a numbered box around each person, to point at one of them."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

from PIL import Image, ImageDraw

from reidsearch.core.files import new_file
from reidsearch.render.text import draw_text

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    Box = tuple[float, float, float, float]

_LEAST_PX, _MOST_PX = 1200, 2400  # the longer side: numbers on a small picture would hide people
_TEXT_PX = 22
_LINE_PX = 3
# After Okabe and Ito (2008), to be told apart by the colour-blind, too.
_COLOURS = (
    *((0, 158, 115), (230, 159, 0), (86, 180, 233), (240, 228, 66), (204, 121, 167)),
    *((213, 94, 0), (255, 255, 255)),
)
_BLACK = (0, 0, 0)


def draw_numbered(image: NDArray[np.uint8], boxes_xyxy: Mapping[int, Box]) -> Image.Image:
    """Draw boxes with their numbers.

    Args:
        image: `(H, W, 3)` uint8 RGB.
        boxes_xyxy: in pixels of `image`, by number.

    Returns:
        The picture, enlarged where it is small and reduced where it is large.
    """
    height, width = image.shape[:2]
    longest = max(height, width)
    scale = min(max(longest, _LEAST_PX), _MOST_PX) / longest
    size = max(1, round(width * scale)), max(1, round(height * scale))
    picture = Image.fromarray(image).resize(size, Image.Resampling.LANCZOS)
    draw = ImageDraw.Draw(picture)
    boxes = {
        n: (x1 * scale, y1 * scale, x2 * scale, y2 * scale)
        for n, (x1, y1, x2, y2) in boxes_xyxy.items()
    }
    colours = _choose_colours(boxes)
    for number, box in boxes.items():
        draw.rectangle(box, outline=_BLACK, width=_LINE_PX + 2)
        draw.rectangle(box, outline=colours[number], width=_LINE_PX)
    taken: list[Box] = []
    for number, box in boxes.items():
        label = Image.fromarray(draw_text(str(number), _TEXT_PX, _BLACK, colours[number]))
        tag = _place_tag(box, label.size, size, taken)
        taken.append(tag)
        picture.paste(label, (round(tag[0]), round(tag[1])))
        draw.rectangle(tag, outline=_BLACK)
    return picture


def write_numbered(image: NDArray[np.uint8], boxes_xyxy: Mapping[int, Box], path: Path) -> None:
    """Write what `draw_numbered` draws; the path's ending determines the format.

    Raises:
        ReidsearchError: the picture cannot be written.
    """
    with new_file(path) as partial:
        draw_numbered(image, boxes_xyxy).save(partial, quality=90)


def _choose_colours(boxes: Mapping[int, Box]) -> dict[int, tuple[int, int, int]]:
    """Give boxes that overlap different colours, as far as there are any."""
    colours: dict[int, tuple[int, int, int]] = {}

    def cost(colour: tuple[int, int, int], box: Box) -> float:
        return sum(1 + _overlap(box, boxes[n]) for n, used in colours.items() if used == colour)

    for number, box in boxes.items():
        costs = [cost(colour, box) for colour in _COLOURS]
        colours[number] = _COLOURS[costs.index(min(costs))]
    return colours


def _place_tag(
    box: Box,
    tag_wh: tuple[float, float],
    size_wh: tuple[int, int],
    taken: list[Box],
) -> Box:
    """Above the box where there is room, or else at another corner, or over what is there."""
    x1, y1, x2, y2 = box
    wide, high = tag_wh
    places = []
    for y, x in product((y1 - high, y2, y1, y2 - high), (x1, x2 - wide)):
        left, top = min(max(x, 0), size_wh[0] - wide), min(max(y, 0), size_wh[1] - high)
        places.append((left, top, left + wide, top + high))
    return min(places, key=lambda place: sum(_overlap(place, other) for other in taken))


def _overlap(a: Box, b: Box) -> float:
    wide, high = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    return max(wide, 0) * max(high, 0)
