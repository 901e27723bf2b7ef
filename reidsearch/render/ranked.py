"""A query beside its ranked gallery: right crops framed in green, wrong ones in red."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw

from reidsearch.footage.images import read_image
from reidsearch.models.preprocess import resize

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_CELL_WH = (96, 192)
_FRAME_PX = 5
_GAP_PX = 8
_LABEL_PX = 16
_WHITE, _BLACK = (255, 255, 255), (0, 0, 0)
_RIGHT, _WRONG = (0, 160, 60), (210, 40, 40)


def draw_ranked(query: Path, ranked: Sequence[Path], is_right: Sequence[bool], path: Path) -> None:
    """Draw one query as torchreid's `visrank` does.

    Args:
        query: the query's crop, drawn first in a black frame.
        ranked: the gallery's crops, nearest first.
        is_right: whether each shows the query's person.
        path: the picture to write.

    Raises:
        ImageError: a crop cannot be decoded.
        OSError: the picture cannot be written.
    """
    width, height = _CELL_WH
    colours = [_BLACK, *(_RIGHT if right else _WRONG for right in is_right)]
    labels = ["query", *map(str, range(1, len(ranked) + 1))]
    sheet = Image.new(
        "RGB",
        ((width + _GAP_PX) * len(labels) + _GAP_PX, height + _LABEL_PX + 2 * _GAP_PX),
        _WHITE,
    )
    draw = ImageDraw.Draw(sheet)
    for place, (crop, colour, label) in enumerate(
        zip([query, *ranked], colours, labels, strict=True)
    ):
        left = _GAP_PX + place * (width + _GAP_PX)
        draw.text((left, _GAP_PX // 2), label, fill=_BLACK)
        inner_hw = height - 2 * _FRAME_PX, width - 2 * _FRAME_PX
        picture = np.full((height, width, 3), colour, np.uint8)
        picture[_FRAME_PX:-_FRAME_PX, _FRAME_PX:-_FRAME_PX] = resize(read_image(crop), inner_hw)
        sheet.paste(Image.fromarray(picture), (left, _GAP_PX + _LABEL_PX))
    sheet.save(path)
