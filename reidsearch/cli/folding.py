"""Tables in terminals that are too narrow for them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.measure import measure_renderables
from rich.padding import Padding
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.console import Console, RenderableType

_GAP, _INDENT = 2, 2
_LEAST = 24  # columns that may wrap are not made narrower than this


def fold_rows(table: RenderableType, console: Console) -> Iterator[RenderableType]:
    """Give a table row by row, each in as many lines as its columns need.

    What needs one line a row, or is no table, is given as it is.
    """
    if not isinstance(table, Table):
        yield table
        return
    cells = [[column.header, *column.cells] for column in table.columns]
    widths = [measure_renderables(console, console.options, column).maximum for column in cells]
    least = [
        width if column.no_wrap else min(width, _LEAST)
        for width, column in zip(widths, table.columns, strict=True)
    ]
    lines = _break(least, console.width)
    if len(lines) == 1:
        yield table
        return
    for number, row in enumerate(zip(*cells, strict=True)):
        for first, places in enumerate(lines):
            indent = _INDENT if first else 0
            room = console.width - indent - _GAP * (len(places) - 1)
            spare = max(0, room - sum(least[place] for place in places))
            line = Table.grid(padding=(0, _GAP, 0, 0))
            for place in places:
                width = min(widths[place], least[place] + spare, room)
                spare -= max(0, width - least[place])
                justify = table.columns[place].justify
                line.add_column(justify=justify, overflow="fold", width=width)
            line.add_row(*(row[place] for place in places), style="" if number else "bold")
            yield Padding(line, (0, 0, 0, indent))


def _break(widths: Sequence[int], width: int) -> list[list[int]]:
    """Places of columns, line by line, as many in each as fit."""
    lines: list[list[int]] = [[]]
    left = width
    for place, needed in enumerate(widths):
        if lines[-1] and needed > left:
            lines.append([])
            left = width - _INDENT
        lines[-1].append(place)
        left -= needed + _GAP
    return lines
