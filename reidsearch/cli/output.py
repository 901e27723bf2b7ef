"""Data goes to stdout, talk to stderr."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.text import Text

from reidsearch.core.text import printable, to_json

if TYPE_CHECKING:
    from rich.console import RenderableType

INTERRUPTED = 130
NOTHING_MATCHED = 3
"""How every command ends that found nobody."""
_PIPE_WIDTH = 10_000  # a table that nobody looks at in a terminal is not folded

talk = Console(stderr=True, highlight=False, soft_wrap=True, emoji=False)


def say(message: str) -> None:
    """Tell the user something that is not data; rich markup in `message` must be meant."""
    talk.print(printable(message))


def warn(message: str) -> None:
    """Tell the user of something that went wrong without stopping us."""
    say(f"[yellow]warning:[/] {escape(message)}")


def print_line(message: str) -> None:
    """Print a line of data; rich markup in `message` must be meant."""
    print_table(Text.from_markup(printable(message), emoji=False))


def print_json(document: object) -> None:
    """Print one JSON document."""
    print(to_json(document, indent=2))


def print_table(table: RenderableType) -> None:
    """Print a table, or what else Rich can, as wide as the terminal; in a pipe as wide as it needs.

    Rows that a terminal is too narrow for take several lines. In a pipe, nothing is padded.
    """
    if sys.stdout.isatty():
        from reidsearch.cli.folding import fold_rows

        terminal = Console(emoji=False)
        for part in fold_rows(table, terminal):
            terminal.print(part)
        return
    console = Console(width=_PIPE_WIDTH, emoji=False)
    with console.capture() as captured:
        console.print(table)
    print("\n".join(line.rstrip() for line in captured.get().splitlines()))


def print_fields(fields: dict[str, Any]) -> None:
    """Print names and values, one pair a line."""
    from rich.table import Table

    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for name, value in fields.items():
        table.add_row(name.replace("_", " "), escape(printable(str(value))))
    print_table(table)
