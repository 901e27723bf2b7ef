"""Opening a database for a command: with a bar while its index is made, and warnings."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from reidsearch.cli.output import warn
from reidsearch.cli.progress import make_bar

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from reidsearch.build import Gallery


@contextmanager
def open_db(db: Path, **options: Any) -> Iterator[Gallery]:
    """Open a gallery; see `open_gallery`, which takes the options."""
    from reidsearch.build import open_gallery

    bar = make_bar()
    task = bar.add_task("indexing", total=None, note="")

    def step(done: int, total: int) -> None:
        bar.start()
        bar.update(task, completed=done, total=total)
        if done >= total:
            bar.stop()

    try:
        with open_gallery(db, on_index=step, on_problem=warn, **options) as gallery:
            yield gallery
    finally:
        bar.stop()
