"""Opening a database for a command: with a bar while its index is made, and warnings."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from reidsearch.cli.output import warn
from reidsearch.cli.progress import working

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from reidsearch.services.gallery import Gallery


@contextmanager
def open_db(db: Path, **options: Any) -> Iterator[Gallery]:
    """Open a gallery; see `open_gallery`, which takes the options."""
    from reidsearch.services.gallery import open_gallery

    with (
        working("indexing") as step,
        open_gallery(db, on_index=step, on_problem=warn, **options) as gallery,
    ):
        yield gallery
