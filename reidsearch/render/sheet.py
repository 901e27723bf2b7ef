"""The query and its matches on one picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from reidsearch.core.errors import ReidsearchError
from reidsearch.core.files import new_file
from reidsearch.core.native import cv2
from reidsearch.core.text import format_probability, format_time
from reidsearch.render.crops import GREY, ORANGE, CropImage, fit, render_crop
from reidsearch.render.text import draw_text, paste

if TYPE_CHECKING:
    from pathlib import Path

    from reidsearch.core.types import Match, Passage, StoredDetection
    from reidsearch.footage.reread import FoundFrame
    from reidsearch.render.text import Colour
    from reidsearch.search.find import SearchResult

_CELL_WH = 160, 240
_COLUMNS = 6
_GAP = 16
_TEXT_PX = 14
_LINE_PX = 18
_LINES = 4
_PAPER: Colour = (250, 250, 248)
_INK: Colour = (28, 28, 30)
_FAINT: Colour = (110, 110, 115)
_ABSENT: Colour = (222, 222, 220)


class Sheet:
    """A grid of cells: the query, and each match with its rank, distance, camera, frame and time.

    See `drawing.draw`.
    """

    def __init__(self, result: SearchResult) -> None:
        self._query = result.query.shown
        self._matches = {match.detection.id: match for match in result.matches}
        cells = len(result.matches) + 1
        self._columns = min(_COLUMNS, cells)
        self._step = _CELL_WH[0] + _GAP, _CELL_WH[1] + _LINES * _LINE_PX + _GAP
        width = self._columns * self._step[0] + _GAP
        height = -(-cells // self._columns) * self._step[1] + _GAP
        self._picture = np.full((height, width, 3), _PAPER, np.uint8)
        if self._query is None:
            picture = CropImage(fit(result.query.crops[0], _CELL_WH))
            self._put(0, picture, ["query", "a picture"], ORANGE)

    def add(self, found: FoundFrame) -> None:
        """See `Drawing.add`."""
        if found.detection == self._query:
            picture = render_crop(found, _CELL_WH, ORANGE)
            self._put(0, picture, ["query", *_place_lines(found.detection)], ORANGE)
        if match := self._matches.get(found.detection.id):
            colour = ORANGE if match.is_likely else GREY
            lines = [describe(match), *_place_lines(found.detection, match.passage)]
            self._put(match.rank, render_crop(found, _CELL_WH, colour), lines)

    def _put(
        self, cell: int, crop: CropImage, lines: list[str], outline: Colour | None = None
    ) -> None:
        row, column = divmod(cell, self._columns)
        left, top = _GAP + column * self._step[0], _GAP + row * self._step[1]
        width, height = _CELL_WH
        view = self._picture[top : top + height, left : left + width]
        view[:] = _ABSENT if crop.picture is None else crop.picture
        if crop.picture is None:
            text = draw_text("no picture", _TEXT_PX, _FAINT, _ABSENT)
            paste(view, text, (width - text.shape[1]) // 2, (height - text.shape[0]) // 2)
        if outline is not None:
            cv2.rectangle(view, (2, 2), (width - 3, height - 3), outline, 4)
        for number, line in enumerate(lines):
            colour = _INK if number == 0 else _FAINT
            text = draw_text(line, _TEXT_PX, colour, _PAPER, width)
            paste(self._picture, text, left - _TEXT_PX // 4, top + height + number * _LINE_PX)

    def save(self, path: Path) -> None:
        """Write the picture; the file's ending is its format.

        Raises:
            ReidsearchError: it cannot be written.
        """
        with new_file(path) as partial:
            try:
                Image.fromarray(self._picture).save(partial, quality=90)
            except (OSError, ValueError) as error:
                if getattr(error, "errno", None):
                    raise
                height, width = self._picture.shape[:2]
                raise ReidsearchError(
                    f"cannot write {path}: {width} x {height} pixels are too many for its format",
                    hint="use a smaller --top, or another format",
                ) from error


def describe(match: Match) -> str:
    """Write a match's rank, distance and probability in one short line."""
    line = f"{match.rank}.  {match.distance:.3f}"
    if match.probability is None:
        return line
    return f"{line}   {format_probability(match.probability)}"


def _place_lines(detection: StoredDetection, passage: Passage | None = None) -> list[str]:
    first_s, last_s = (
        (passage.first_s, passage.last_s) if passage else (detection.time_s, detection.time_s)
    )
    first, last = (format_time(time_s).partition(".")[0] for time_s in (first_s, last_s))
    when = first if first == last else f"{first} to {last.rpartition(' ')[2]}"
    return [detection.camera, f"{detection.source} {detection.frame}", when]
