"""Progress bars on stderr; none when it is no terminal."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Self

from rich.markup import escape
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from reidsearch.cli.output import say, talk, warn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def make_bar() -> Progress:
    """A bar whose tasks have a `note`, shown beside the count."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[note]}"),
        TimeRemainingColumn(),
        console=talk,
        transient=True,
        disable=not talk.is_terminal,
    )


class Bar:
    """Draws what long work reports; see `core.progress.Progress`."""

    cancelled = False

    def __init__(self) -> None:
        self._bar = make_bar()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def phase(self, name: str, total: int | None = None) -> None:
        """Show another bar in place of the last."""
        for task in self._bar.task_ids:
            self._bar.remove_task(task)
        self._bar.add_task(name, total=total, note="")
        self._bar.start()

    def advance(self, n: int = 1, note: str = "") -> None:
        """Move the bar; it goes once the phase is done."""
        for task in self._bar.tasks:
            speed = f"{task.speed or 0:.1f}/s"
            self._bar.update(task.id, advance=n, note=f"{speed}, {note}" if note else speed)
            if task.finished:
                self._bar.stop()

    def say(self, text: str) -> None:
        """Print a sentence above the bar."""
        say(escape(text))

    def warn(self, text: str) -> None:
        """Print a warning above the bar."""
        warn(text)


@contextmanager
def receiving() -> Iterator[Callable[[str, int, int], None]]:
    """Show a bar of bytes; call the function with a name, the bytes received, and all of them."""
    columns = BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn()
    with Progress(
        TextColumn("{task.description}"),
        *columns,
        console=talk,
        transient=True,
        disable=not talk.is_terminal,
    ) as bar:
        task = bar.add_task("", total=None)
        yield lambda name, done, total: bar.update(
            task, description=name, completed=done, total=total or None
        )
