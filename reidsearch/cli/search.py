"""`reidsearch search`."""

from __future__ import annotations

import csv as csv_writer
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from reidsearch import defaults
from reidsearch.cli.options import DEFAULT_DB, Backend, Db, Frame, Json, Person
from reidsearch.cli.output import match_fields, print_json, print_table, say, warn
from reidsearch.errors import UsageError

if TYPE_CHECKING:
    from reidsearch.search import SearchResult

NOTHING_MATCHED = 3


def search(
    picture: Annotated[
        Path | None,
        typer.Argument(
            metavar="QUERY", readable=False, help="Picture of the person, or of a scene with --box."
        ),
    ] = None,
    box: Annotated[
        str | None,
        typer.Option(metavar="X1,Y1,X2,Y2", help="Where the person is in QUERY, in pixels."),
    ] = None,
    frame: Frame = None,
    person: Person = None,
    crop_id: Annotated[
        str | None, typer.Option("--id", metavar="CROP_ID", help="A stored person, by id.")
    ] = None,
    db: Db = DEFAULT_DB,
    top: Annotated[int, typer.Option(min=1, help="Matches to show.")] = defaults.TOP,
    after: Annotated[
        str | None,
        typer.Option(
            metavar="FRAME|TIME",
            help="Search later than this only: frame 120, 4.8s, 1:02:03 or ISO 8601.",
        ),
    ] = None,
    camera: Annotated[str | None, typer.Option(help="Search this camera only.")] = None,
    embedder: Annotated[
        str | None, typer.Option(metavar="CARD[=PATH]", help="Else the database's own.")
    ] = None,
    backend: Backend = "auto",
    json: Json = False,
    csv: Annotated[bool, typer.Option("--csv", help="Print CSV instead of a table.")] = False,
) -> None:
    """Rank the people of later frames by their distance to one person, nearest first.

    The person is a picture, or a stored one: --frame or --id. Distances are L2, 0 to 2.
    """
    if json and csv:
        raise UsageError("--json and --csv exclude each other")
    from reidsearch.build import open_gallery

    with open_gallery(db, embedder=embedder, backend=backend) as gallery:
        result = gallery.search(
            picture,
            box_xyxy=_parse_box(box) if box is not None else None,
            frame=frame,
            person=person,
            crop_id=crop_id,
            top=top,
            camera=camera,
            after=after,
        )
    _print(result, picture, json=json, csv=csv)
    if not result.matches:
        raise typer.Exit(NOTHING_MATCHED)


def _parse_box(text: str) -> tuple[float, float, float, float]:
    try:
        x1, y1, x2, y2 = (float(part) for part in text.split(","))
    except ValueError:
        raise UsageError(f"{text!r} is no box", hint="write --box X1,Y1,X2,Y2") from None
    return x1, y1, x2, y2


def _print(result: SearchResult, picture: Path | None, *, json: bool, csv: bool) -> None:
    sighting = result.query.sighting
    who = sighting.id if sighting is not None else str(picture)
    if result.left_out:
        warn(
            f"not searched, as times with and without --start cannot be compared: "
            f"{', '.join(result.left_out)}"
        )
    if json:
        query = {"path": str(picture)} if sighting is None else asdict(sighting)
        query |= {"searched": result.scope, "left_out": result.left_out}
        matches = [match_fields(match) for match in result.matches]
        print_json({"query": query, "matches": matches})
        return
    if csv:
        _print_csv(result)
        return
    if result.matches:
        from reidsearch.render.table import match_table

        say(f"[bold]{escape(who)}[/] in {escape(result.scope)}")
        print_table(match_table(result.matches))
    else:
        say(f"{escape(who)}: nobody was found in {escape(result.scope)}")


def _print_csv(result: SearchResult) -> None:
    columns = ("rank", "distance", "id", "camera", "source", "frame", "time_s", "score", "path")
    writer = csv_writer.writer(sys.stdout, lineterminator="\n")
    writer.writerow([*columns, "x1", "y1", "x2", "y2"])
    for match in result.matches:
        fields = match_fields(match)
        writer.writerow([*(fields[column] for column in columns), *fields["box_xyxy"]])
