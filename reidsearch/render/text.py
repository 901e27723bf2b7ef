"""Text in pictures, in the font that OpenCV carries: Latin, Greek, Cyrillic and Chinese letters."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from reidsearch.core.native import cv2
from reidsearch.core.text import printable

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Colour = tuple[int, int, int]


_WEIGHT = 400  # regular


@lru_cache(maxsize=256)
def draw_text(
    text: str, size_px: int, colour: Colour, background: Colour, width_px: int | None = None
) -> NDArray[np.uint8]:
    """Render one line of text; the result is cached and must not be changed.

    Args:
        text: what it says; it is cut short where it does not fit.
        size_px: of the font.
        colour: of the letters.
        background: around them.
        width_px: the widest that the picture may be; None is any width.
    """
    text, pad = printable(text), size_px // 4
    while width_px and len(text) > 1 and _measure(text, size_px) + 2 * pad > width_px:
        text = f"{text.removesuffix('…')[:-1]}…"
    picture = np.empty((size_px + 2 * pad, _measure(text, size_px) + 2 * pad, 3), np.uint8)
    picture[:] = background
    cv2.putText(picture, text, (pad, size_px), colour, _font(), size_px, _WEIGHT)
    return picture


def paste(picture: NDArray[np.uint8], patch: NDArray[np.uint8], left: int, top: int) -> None:
    """Copy as much of a patch into a picture as fits, in place."""
    left, top = max(left, 0), max(top, 0)
    room = picture[top : top + patch.shape[0], left : left + patch.shape[1]]
    room[:] = patch[: room.shape[0], : room.shape[1]]


def _measure(text: str, size_px: int) -> int:
    left, _, width, _ = cv2.getTextSize((0, 0), text, (0, 0), _font(), size_px, _WEIGHT)
    return int(left + width)


@lru_cache(maxsize=1)
def _font() -> cv2.FontFace:
    return cv2.FontFace("sans")
