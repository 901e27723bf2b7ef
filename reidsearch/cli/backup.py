"""`reidsearch backup` and `reidsearch restore`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from reidsearch.cli.opening import open_db
from reidsearch.cli.options import DEFAULT_DB, Db, Force, Json
from reidsearch.cli.output import print_json, say


def backup(
    out: Annotated[Path, typer.Argument(metavar="FILE.zip", help="File to write.")],
    db: Db = DEFAULT_DB,
    force: Force = False,
    json: Json = False,
) -> None:
    """Copy a database into one file with checksums, also while others search or write it.

    All of it is read and verified.
    """
    from reidsearch.core.files import require_writable
    from reidsearch.core.text import format_bytes

    require_writable(out, ".zip", force=force)
    with open_db(db) as database:
        size = database.backup(out)
    if json:
        print_json({"out": str(out), "bytes": size})
    else:
        say(f"{escape(str(db))} backed up: {escape(str(out))}, {format_bytes(size)}")


def restore(
    file: Annotated[Path, typer.Argument(metavar="FILE.zip", help="File that `backup` wrote.")],
    db: Db = DEFAULT_DB,
    json: Json = False,
) -> None:
    """Restore a backup into a new folder, after verifying all its checksums."""
    from reidsearch.core.text import format_bytes

    with open_db(db) as database:
        size = database.restore(file)
    if json:
        print_json({"db": str(db), "bytes": size})
    else:
        say(f"{format_bytes(size)} restored: {escape(str(db))}")
