"""The query and its matches on one picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PIL import Image, ImageDraw

from reidsearch.core.errors import ReidsearchError
from reidsearch.core.files import atomic_write
from reidsearch.core.text import format_probability, format_time, printable
from reidsearch.footage.reread import read_frames
from reidsearch.render.crops import (
    GREY,
    ORANGE,
    CropImage,
    load_font,
    render_crop,
    render_query,
)

if TYPE_CHECKING:
    from pathlib import Path

    from reidsearch.core.types import Match, StoredDetection
    from reidsearch.search.find import SearchResult

_CELL_WH = 160, 240
_COLUMNS = 6
_GAP = 16
_TEXT_PX = 14
_LINE_PX = 18
_LINES = 4
_PAPER, _INK, _FAINT, _ABSENT = (250, 250, 248), (28, 28, 30), (110, 110, 115), (222, 222, 220)


def draw_sheet(result: SearchResult, path: Path, root: Path | None = None) -> list[str]:
    """Draw the query and every match with rank, distance, probability, camera, frame and time.

    Args:
        result: of a search.
        path: the picture to write; its ending determines the format.
        root: folder that footage was moved to; see `reread.locate`.

    Returns:
        Which frames are missing or have changed, one sentence each.

    Raises:
        ReidsearchError: the picture cannot be written.
    """
    sheet = _Sheet(len(result.matches))
    problems = []
    query = result.query.detection
    lines = _place_lines(query) if query is not None else ["a picture"]
    crop_image = render_query(result.query, _CELL_WH, root)
    problems.append(crop_image.problem)
    sheet.put(0, crop_image, ["query", *lines], ORANGE)
    places = {match.detection.id: match for match in result.matches}
    for found in read_frames([match.detection for match in result.matches], root):
        match = places[found.detection.id]
        colour = ORANGE if match.is_likely else GREY
        lines = [describe(match), *_place_lines(match.detection)]
        sheet.put(match.rank, render_crop(found, _CELL_WH, colour), lines, colour)
        problems.append(found.problem)
    sheet.save(path)
    return sorted({problem for problem in problems if problem})


def describe(match: Match) -> str:
    """Write a match's rank, distance and probability in one short line."""
    line = f"{match.rank}.  {match.distance:.3f}"
    if match.probability is None:
        return line
    return f"{line}   {format_probability(match.probability)}"


def _place_lines(detection: StoredDetection) -> list[str]:
    return [
        detection.camera,
        f"{detection.source} {detection.frame}",
        format_time(detection.time_s).partition(".")[0],
    ]


class _Sheet:
    """A grid of cells, the query's first."""

    def __init__(self, matches: int) -> None:
        columns = min(_COLUMNS, matches + 1)
        rows = -(-(matches + 1) // columns)
        self._columns = columns
        self._step = _CELL_WH[0] + _GAP, _CELL_WH[1] + _LINES * _LINE_PX + _GAP
        size = columns * self._step[0] + _GAP, rows * self._step[1] + _GAP
        self._picture = Image.new("RGB", size, _PAPER)
        self._draw = ImageDraw.Draw(self._picture)
        self._font = load_font(_TEXT_PX)

    def put(
        self, cell: int, crop_image: CropImage, lines: list[str], colour: tuple[int, int, int]
    ) -> None:
        row, column = divmod(cell, self._columns)
        left, top = _GAP + column * self._step[0], _GAP + row * self._step[1]
        width, height = _CELL_WH
        frame = (left, top, left + width - 1, top + height - 1)
        if crop_image.picture is not None:
            self._picture.paste(Image.fromarray(crop_image.picture), (left, top))
        else:
            self._draw.rectangle(frame, fill=_ABSENT)
            middle = left + width / 2, top + height / 2
            self._draw.text(middle, "no picture", fill=_FAINT, font=self._font, anchor="mm")
        if cell == 0:
            self._draw.rectangle(frame, outline=colour, width=4)
        if crop_image.picture is not None and crop_image.problem:
            self._write(left + 4, top + 4, "changed", colour)
        for number, line in enumerate(lines):
            y = top + height + 4 + number * _LINE_PX
            self._write(left, y, line, _INK if number == 0 else _FAINT)

    def _write(self, left: int, top: int, text: str, colour: tuple[int, int, int]) -> None:
        text = printable(text)
        while self._font.getlength(text) > _CELL_WH[0]:
            text = f"{text.rstrip('…')[:-1]}…"
        self._draw.text((left, top), text, fill=colour, font=self._font)

    def save(self, path: Path) -> None:
        try:
            with atomic_write(path.resolve()) as partial:
                self._picture.save(partial, quality=90)
        except (OSError, ValueError) as error:  # ValueError: larger than the format can be
            reason = getattr(error, "strerror", None) or error
            raise ReidsearchError(
                f"cannot write {path}: {reason}", hint="use a smaller --top, or another format"
            ) from error
