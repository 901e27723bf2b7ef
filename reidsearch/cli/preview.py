"""Pictures in the terminal, as good as it can show them."""

from __future__ import annotations

import logging
import shutil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image
    from rich.console import RenderableType

    from reidsearch.core.types import StoredDetection

_ROWS = 7
_CROP_WH = 160, 240


def show_crop(crop: NDArray[np.uint8]) -> RenderableType:
    """Make a crop, `(h, w, 3)` uint8 RGB, a cell of a table."""
    from PIL import Image

    from reidsearch.render.crops import fit

    return _show(Image.fromarray(fit(crop, _CROP_WH)), None, _ROWS)


def show_crops(
    detections: Iterable[StoredDetection], root: Path | None
) -> tuple[dict[str, RenderableType], set[str]]:
    """Make stored detections cells of a table, by id; and say which frames are missing."""
    from reidsearch.footage.reread import read_frames
    from reidsearch.render.crops import ORANGE, render_crop

    pictures: dict[str, RenderableType] = {}
    problems = set()
    for found in read_frames(detections, root):
        problems.add(found.problem)
        crop = render_crop(found, _CROP_WH, ORANGE).picture
        pictures[found.detection.id] = "no picture" if crop is None else show_crop(crop)
    return pictures, problems - {""}


def show_frame(picture: Image.Image) -> RenderableType:
    """Make a picture as wide as the terminal."""
    return _show(picture, shutil.get_terminal_size().columns, "auto")


def _show(picture: Image.Image, width: int | None, height: int | str) -> RenderableType:
    logging.getLogger("textual_image").setLevel(logging.ERROR)  # it tells what a terminal lacks
    from textual_image.renderable import Image as TerminalPicture

    return TerminalPicture(picture, width, height)
