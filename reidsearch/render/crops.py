"""Pictures of detections: a part of the frame, with the box drawn in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from reidsearch.core.native import cv2
from reidsearch.render.text import draw_text, paste

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from reidsearch.footage.reread import FoundFrame
    from reidsearch.render.text import Colour

GREEN: Colour = (40, 200, 80)
ORANGE: Colour = (255, 140, 0)
GREY: Colour = (120, 120, 120)
_RED: Colour = (190, 40, 40)
_WHITE: Colour = (255, 255, 255)
_MARGIN = 0.25  # of the box's height, on each side


@dataclass(frozen=True, slots=True, eq=False)
class CropImage:
    """A picture of a detection, or why there is none.

    Attributes:
        picture: `(h, w, 3)` uint8 RGB of the requested size, or None.
        problem: one sentence, or empty.
    """

    picture: NDArray[np.uint8] | None
    problem: str = ""


def render_crop(found: FoundFrame, size_wh: tuple[int, int], colour: Colour) -> CropImage:
    """Cut a detection out with its surroundings, and draw its box.

    Where the frame has changed, there may be anybody: then it is grey, and says so.
    """
    if found.image is None:
        return CropImage(None, found.problem)
    height, width = found.image.shape[:2]
    x1, y1, x2, y2 = found.detection.box_xyxy
    # As high as the box and its margins, of the requested shape, and wide enough for the box.
    tall = (y2 - y1) * (1 + 2 * _MARGIN)
    tall = max(tall, (x2 - x1 + tall * _MARGIN) * size_wh[1] / size_wh[0])
    wide = tall * size_wh[0] / size_wh[1]
    left = _place((x1 + x2) / 2, wide, width)
    top = _place((y1 + y2) / 2, tall, height)
    right = min(max(round(left + wide), left + 1), width)
    bottom = min(max(round(top + tall), top + 1), height)
    view = found.image[top:bottom, left:right]
    picture = fit(view, size_wh)
    scale, shift_x, shift_y = _fitting(view, size_wh)
    low, high = (
        (round((x - left) * scale) + shift_x, round((y - top) * scale) + shift_y)
        for x, y in ((x1, y1), (x2, y2))
    )
    if found.problem:
        picture[:] = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)[..., None] // 2 + 64
        label = draw_text("changed", max(11, size_wh[1] // 15), _WHITE, _RED, size_wh[0])
        paste(picture, label, 0, 0)
        colour = GREY
    cv2.rectangle(picture, low, high, colour, max(1, size_wh[1] // 120), cv2.LINE_AA)
    return CropImage(picture, found.problem)


def fit(image: NDArray[np.uint8], size_wh: tuple[int, int]) -> NDArray[np.uint8]:
    """Resize a picture to fit into a black one, centred, keeping its aspect ratio."""
    scale, left, top = _fitting(image, size_wh)
    height, width = size_wh[1] - 2 * top, size_wh[0] - 2 * left
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    canvas = np.zeros((size_wh[1], size_wh[0], 3), np.uint8)
    canvas[top : top + height, left : left + width] = cv2.resize(
        image, (width, height), interpolation=method
    )
    return canvas


def _fitting(image: NDArray[np.uint8], size_wh: tuple[int, int]) -> tuple[float, int, int]:
    """The scale and the left and top margin with which a picture fits into a size."""
    height, width = image.shape[:2]
    scale = min(size_wh[0] / width, size_wh[1] / height)
    left, top = (round((size_wh[0] - width * scale) / 2), round((size_wh[1] - height * scale) / 2))
    return scale, min(left, (size_wh[0] - 1) // 2), min(top, (size_wh[1] - 1) // 2)


def _place(centre: float, length: float, limit: int) -> int:
    """The start of a window around a centre, moved as little as needed to be in the picture."""
    return min(round(max(0.0, min(centre - length / 2, limit - length))), limit - 1)
