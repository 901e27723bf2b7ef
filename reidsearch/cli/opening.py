"""Opening a database for a command: with a bar while long work goes on, and warnings."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from reidsearch.cli.progress import Bar

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from reidsearch.models.pair import ModelChoice
    from reidsearch.services.database import Database
    from reidsearch.services.gallery import Gallery


@contextmanager
def open_db(
    db: Path, models: ModelChoice | None = None, bar: Bar | None = None
) -> Iterator[Database]:
    """Name a database; see `open_database`."""
    from reidsearch.services.database import open_database

    with bar or Bar() as progress:
        yield open_database(db, models=models, progress=progress)


@contextmanager
def read_db(
    db: Path, models: ModelChoice | None = None, *, approximate: bool = False
) -> Iterator[Gallery]:
    """Open a database to read it; see `Database.read`."""
    with open_db(db, models) as database, database.read(approximate=approximate) as gallery:
        yield gallery
