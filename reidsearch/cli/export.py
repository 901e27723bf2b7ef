"""`reidsearch export`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from reidsearch.cli.asking import AskedSearch, asks, warn_of_left_out
from reidsearch.cli.opening import open_db
from reidsearch.cli.options import DEFAULT_DB, Db, Json
from reidsearch.cli.output import print_json, say
from reidsearch.cli.recording import record
from reidsearch.core import extras
from reidsearch.core.errors import UsageError
from reidsearch.core.files import require_writable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from reidsearch.core.provenance import SourceRecord
    from reidsearch.core.store import Store

app = typer.Typer(help="Write what is stored or found for other tools.", no_args_is_help=True)

_Out = Annotated[Path, typer.Option("--out", metavar="FILE", help="Its ending says the format.")]
_Sources = Annotated[
    list[str] | None,
    typer.Option("--source", metavar="[CAMERA/]SOURCE", help="Only these; else all."),
]


@app.command()
def detections(out: _Out, source: _Sources = None, db: Db = DEFAULT_DB, json: Json = False) -> None:
    """Write everyone found: .csv, .jsonl, .parquet, .json (COCO) or .txt (MOTChallenge).

    MOTChallenge's text counts boxes from 1 and knows one source only.
    """
    from reidsearch.services.export import BOXES, export_detections

    _require_file(out, BOXES)
    with open_db(db) as gallery:
        chosen = _choose(gallery.store, source)
        if out.suffix.lower() == ".txt" and len(chosen) > 1:
            names = ", ".join(str(record.info) for record in chosen)
            raise UsageError(
                "MOTChallenge's text cannot name sources", hint=f"give one --source of {names}"
            )
        _record(db, "detections", chosen, out)
        _finish(export_detections(gallery.store, chosen, out), out, json=json)


@app.command()
def embeddings(out: _Out, source: _Sources = None, db: Db = DEFAULT_DB, json: Json = False) -> None:
    """Write everyone found, with their vectors: .csv, .jsonl or .parquet."""
    from reidsearch.services.export import TABLES, export_embeddings

    _require_file(out, TABLES)
    with open_db(db) as gallery:
        chosen = _choose(gallery.store, source)
        _record(db, "embeddings", chosen, out)
        _finish(export_embeddings(gallery.store, chosen, out), out, json=json)


@app.command()
@asks(AskedSearch)
def matches(
    asked: AskedSearch,
    out: Annotated[Path, typer.Option(metavar="FILE", help="Its ending says the format.")],
    json: Json = False,
) -> None:
    """Write what a search finds: .csv, .jsonl or .parquet."""
    from reidsearch.services.export import TABLES, export_matches

    _require_file(out, TABLES)
    with asked.open(approximate=asked.approximate) as gallery:
        result = asked.search(gallery, asked.query(gallery), [out], "export")
        warn_of_left_out(result)
    _finish(export_matches(result.matches, out), out, json=json)


def _require_file(out: Path, endings: Iterable[str]) -> None:
    require_writable(out, *endings)
    if out.suffix.lower() == ".parquet":
        extras.require(extras.PARQUET, "parquet", f"writing {out.name}")


def _choose(store: Store, names: list[str] | None) -> list[SourceRecord]:
    from reidsearch.search.query import find_source

    if not names:
        return [*store.sources()]
    return [*{(r := find_source(store, name)).info.key: r for name in names}.values()]


def _record(db: Path, kind: str, chosen: list[SourceRecord], out: Path) -> None:
    """Record what is exported, before it is: whole sources, whose ids need no naming."""
    about = {
        "kind": kind,
        "source": [str(source.info) for source in chosen],
        "people": sum(source.people for source in chosen),
        "files": [str(out.resolve())],
    }
    record(db, "export", about=about)


def _finish(rows: int, out: Path, *, json: bool) -> None:
    if json:
        print_json({"out": str(out), "rows": rows})
    else:
        say(f"{rows} rows: {escape(str(out))}")
