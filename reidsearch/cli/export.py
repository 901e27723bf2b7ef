"""`reidsearch export`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from reidsearch.cli.opening import read_db
from reidsearch.cli.options import DEFAULT_DB, Db, Json
from reidsearch.cli.output import print_json, say
from reidsearch.cli.query_options import SearchOptions, warn_of_doubts, with_options
from reidsearch.core import extras
from reidsearch.core.files import require_writable

if TYPE_CHECKING:
    from collections.abc import Iterable

app = typer.Typer(
    help="Write detections, embeddings or matches for other tools.", no_args_is_help=True
)

_Out = Annotated[
    Path, typer.Option("--out", metavar="FILE", help="File to write; its suffix names the format.")
]
_Sources = Annotated[
    list[str] | None,
    typer.Option(
        "--source", metavar="[CAMERA/]SOURCE", help="Export only this source; repeatable."
    ),
]


@app.command()
def detections(out: _Out, source: _Sources = None, db: Db = DEFAULT_DB, json: Json = False) -> None:
    """Write all stored detections: .csv, .jsonl, .parquet, .json (COCO) or .txt (MOTChallenge).

    MOTChallenge's text counts from 1 and holds one source only.
    """
    from reidsearch.services.export import BOXES, export_detections

    _require_file(out, BOXES)
    with read_db(db) as gallery:
        rows = export_detections(gallery, gallery.find_sources(source or ()), out)
    _finish(rows, out, json=json)


@app.command()
def embeddings(out: _Out, source: _Sources = None, db: Db = DEFAULT_DB, json: Json = False) -> None:
    """Write all stored detections with their vectors: .csv, .jsonl or .parquet."""
    from reidsearch.services.export import TABLES, export_embeddings

    _require_file(out, TABLES)
    with read_db(db) as gallery:
        rows = export_embeddings(gallery, gallery.find_sources(source or ()), out)
    _finish(rows, out, json=json)


@app.command()
@with_options(SearchOptions)
def matches(
    options: SearchOptions,
    out: Annotated[
        Path, typer.Option(metavar="FILE", help="File to write; its suffix names the format.")
    ],
    json: Json = False,
) -> None:
    """Write the matches of a search: .csv, .jsonl or .parquet."""
    from reidsearch.services.export import TABLES, export_matches

    _require_file(out, TABLES)
    with options.open() as gallery:
        result = options.search(gallery, options.query(gallery), [out], "export")
        warn_of_doubts(result)
    _finish(export_matches(result.matches, out), out, json=json)


def _require_file(out: Path, endings: Iterable[str]) -> None:
    require_writable(out, *endings)
    if out.suffix.lower() == ".parquet":
        extras.require(extras.PARQUET, "parquet", f"writing {out.name}")


def _finish(rows: int, out: Path, *, json: bool) -> None:
    if json:
        print_json({"out": str(out), "rows": rows})
    else:
        say(f"{rows} rows: {escape(str(out))}")
