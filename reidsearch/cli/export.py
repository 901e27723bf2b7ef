"""`reidsearch export`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from reidsearch.cli.opening import read_db
from reidsearch.cli.options import DEFAULT_DB, Db, Force, Json
from reidsearch.cli.output import NOTHING_MATCHED, print_json, say
from reidsearch.cli.query_options import SearchOptions, warn_of_doubts, with_options
from reidsearch.core import extras
from reidsearch.core.errors import UsageError
from reidsearch.core.files import is_stdout, require_writable
from reidsearch.core.text import count

if TYPE_CHECKING:
    from collections.abc import Iterable

app = typer.Typer(
    help="Write detections, embeddings or matches for other tools.", no_args_is_help=True
)

_Out = Annotated[
    Path,
    typer.Option(
        "--out",
        metavar="FILE",
        help="File to write; its suffix names the format. - is stdout, as CSV; or -.jsonl, ...",
    ),
]
_Sources = Annotated[
    list[str] | None,
    typer.Option(
        "--source", metavar="[CAMERA/]SOURCE", help="Export only this source; repeatable."
    ),
]


@app.command()
def detections(
    out: _Out,
    source: _Sources = None,
    db: Db = DEFAULT_DB,
    force: Force = False,
    json: Json = False,
) -> None:
    """Write all stored detections: .csv, .jsonl, .parquet, .json (COCO) or .txt (MOTChallenge).

    MOTChallenge's text counts from 1 and holds one source only.
    """
    from reidsearch.services.export import BOXES, export_detections

    out = _require_output(out, BOXES, force=force, json=json)
    with read_db(db) as gallery:
        rows = export_detections(gallery, gallery.find_sources(source or ()), out)
    _finish(rows, out, json=json)


@app.command()
def embeddings(
    out: _Out,
    source: _Sources = None,
    db: Db = DEFAULT_DB,
    force: Force = False,
    json: Json = False,
) -> None:
    """Write all stored detections with their vectors: .csv, .jsonl or .parquet."""
    from reidsearch.services.export import TABLES, export_embeddings

    out = _require_output(out, TABLES, force=force, json=json)
    with read_db(db) as gallery:
        rows = export_embeddings(gallery, gallery.find_sources(source or ()), out)
    _finish(rows, out, json=json)


@app.command()
@with_options(SearchOptions)
def matches(
    options: SearchOptions,
    out: _Out,
    force: Force = False,
    json: Json = False,
) -> None:
    """Write the matches of a search: .csv, .jsonl or .parquet."""
    from reidsearch.services.export import TABLES, export_matches

    out = _require_output(out, TABLES, force=force, json=json)
    with options.open() as gallery:
        files = [] if is_stdout(out) else [out]
        result = options.search(gallery, options.query(gallery), files, "export")
        warn_of_doubts(result)
    if not result.matches:
        if json:
            print_json({"out": None, "rows": 0})
        say("nothing matched: nothing is written")
        raise typer.Exit(NOTHING_MATCHED)
    _finish(export_matches(result.matches, out), out, json=json)


def _require_output(out: Path, endings: Iterable[str], *, force: bool, json: bool) -> Path:
    """Check where an export goes, before any work; return it with the ending of its format."""
    if out == Path("-"):
        out = Path("-.csv")
    if json and is_stdout(out):
        raise UsageError("--json prints to stdout, where the export goes", hint="name a file")
    require_writable(out, *endings, force=force or is_stdout(out))
    if out.suffix.lower() == ".parquet":
        extras.require(extras.PARQUET, "parquet", f"writing {out.name}")
    return out


def _finish(rows: int, out: Path, *, json: bool) -> None:
    if json:
        print_json({"out": str(out), "rows": rows})
    elif not is_stdout(out):
        say(f"{count(rows, 'row')}: {escape(str(out))}")
