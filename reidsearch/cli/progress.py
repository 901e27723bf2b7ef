"""Progress bars on stderr; none when it is no terminal."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from reidsearch.cli.output import talk

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


@contextmanager
def counting(what: str, total: int) -> Iterator[Callable[[], None]]:
    """Show a bar, and give a function to call after each step."""
    with make_bar() as bar:
        task = bar.add_task(what, total=total, note="")
        yield lambda: bar.advance(task)


@contextmanager
def working(what: str) -> Iterator[Callable[[int, int], None]]:
    """Show a bar once there is something to do; the function gets what is done and to do."""
    bar = make_bar()
    task = bar.add_task(what, total=None, note="")

    def step(done: int, total: int) -> None:
        bar.start()
        bar.update(task, completed=done, total=total)
        if done >= total:
            bar.stop()

    try:
        yield step
    finally:
        bar.stop()


@contextmanager
def receiving(what: str) -> Iterator[Callable[[int, int], None]]:
    """Show a bar of bytes, and give a function to call with those received and those to come."""
    columns = BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn()
    with Progress(
        TextColumn("{task.description}"),
        *columns,
        console=talk,
        transient=True,
        disable=not talk.is_terminal,
    ) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total or None)
