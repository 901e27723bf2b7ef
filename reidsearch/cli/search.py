"""`reidsearch search`."""

from __future__ import annotations

import logging
import shlex
import sys
import tempfile
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from reidsearch import defaults
from reidsearch.cli.options import (
    DEFAULT_DB,
    After,
    Backend,
    Box,
    Camera,
    CropId,
    Db,
    Frame,
    GalleryEmbedder,
    Json,
    Person,
    Picture,
    Root,
    Top,
    parse_box,
)
from reidsearch.cli.output import print_json, print_table, say, warn
from reidsearch.errors import UsageError

if TYPE_CHECKING:
    from rich.console import RenderableType

    from reidsearch.build import Gallery
    from reidsearch.search import SearchResult

NOTHING_MATCHED = 3
_PREVIEW_ROWS = 7
_HISTOGRAM_PEOPLE = 1000


def search(
    picture: Picture = None,
    box: Box = None,
    frame: Frame = None,
    person: Person = None,
    crop_id: CropId = None,
    db: Db = DEFAULT_DB,
    top: Top = defaults.TOP,
    after: After = None,
    camera: Camera = None,
    embedder: GalleryEmbedder = None,
    backend: Backend = "auto",
    sheet: Annotated[
        Path | None,
        typer.Option(metavar="FILE.jpg", help="Draw the person and all matches on one picture."),
    ] = None,
    show: Annotated[bool, typer.Option("--show", help="Open that picture.")] = False,
    preview: Annotated[
        bool, typer.Option("--preview", help="Draw the matches in the table.")
    ] = False,
    report: Annotated[
        Path | None,
        typer.Option(metavar="FILE.html", help="Write a page with pictures, to hand over."),
    ] = None,
    root: Root = None,
    json: Json = False,
    csv: Annotated[bool, typer.Option("--csv", help="Print CSV instead of a table.")] = False,
) -> None:
    """Rank the people of later frames by their distance to one person, nearest first.

    The person is a picture, or a stored one: --frame or --id. Distances are L2, 0 to 2.
    """
    if json + csv + preview > 1:
        raise UsageError("--json, --csv and --preview exclude each other")
    _require_writable(sheet, report)
    from reidsearch.build import open_gallery

    with open_gallery(db, embedder=embedder, backend=backend) as gallery:
        wider = gallery.search(
            picture,
            box_xyxy=parse_box(box),
            frame=frame,
            person=person,
            crop_id=crop_id,
            top=top if report is None else max(top, _HISTOGRAM_PEOPLE),
            camera=camera,
            after=after,
        )
        result = replace(wider, matches=wider.matches[:top])
        if report is not None:
            distances = [match.distance for match in wider.matches]
            _write_report(result, distances, gallery, db, report, root)
    _print(result, picture, root, json=json, csv=csv, preview=preview)
    if sheet is not None or show:
        _draw_sheet(result, sheet, root, show=show)
    if not result.matches:
        raise typer.Exit(NOTHING_MATCHED)


def _require_writable(sheet: Path | None, report: Path | None) -> None:
    from reidsearch.render.targets import PICTURES, require_writable

    if sheet is not None:
        require_writable(sheet, *PICTURES)
    if report is not None:
        require_writable(report, ".html", ".htm")


def _print(
    result: SearchResult,
    picture: Path | None,
    root: Path | None,
    *,
    json: bool,
    csv: bool,
    preview: bool,
) -> None:
    sighting = result.query.sighting
    who = sighting.id if sighting is not None else str(picture)
    if result.left_out:
        warn(
            f"not searched, as times with and without --start cannot be compared: "
            f"{', '.join(result.left_out)}"
        )
    from reidsearch.export import match_row, write_matches

    if json:
        query = {"path": str(picture)} if sighting is None else asdict(sighting)
        query |= {"searched": result.scope, "left_out": result.left_out}
        matches = [match_row(match) for match in result.matches]
        print_json({"query": query, "likely": result.likely, "matches": matches})
        return
    if csv:
        write_matches(result.matches, sys.stdout)
        return
    if not result.matches:
        say(f"{escape(who)}: nobody was found in {escape(result.scope)}")
        return
    from reidsearch.render.table import match_table

    say(f"[bold]{escape(who)}[/] in {escape(result.scope)}")
    print_table(match_table(result.matches, _preview(result, root) if preview else None))
    if result.likely == 0:
        say("[yellow]no likely match:[/] none of them is likelier right than wrong")


def _preview(result: SearchResult, root: Path | None) -> dict[str, RenderableType]:
    """Pictures for a terminal: as good as it can, by its own account."""
    from PIL import Image

    logging.getLogger("textual_image").setLevel(logging.ERROR)  # it tells what a terminal lacks
    from textual_image.renderable import Image as TerminalPicture

    from reidsearch.render.portrait import ORANGE, portray_all

    pictures: dict[str, RenderableType] = {}
    for sighting, portrait in portray_all(
        [match.sighting for match in result.matches], (160, 240), ORANGE, root
    ):
        if portrait.picture is None:
            pictures[sighting.id] = "no picture"
        else:
            image = Image.fromarray(portrait.picture)
            pictures[sighting.id] = TerminalPicture(image, height=_PREVIEW_ROWS)
    return pictures


def _draw_sheet(result: SearchResult, path: Path | None, root: Path | None, *, show: bool) -> None:
    from reidsearch.render.sheet import draw_sheet

    if path is None:
        path = Path(tempfile.mkdtemp(prefix="reidsearch-")) / "matches.jpg"
    for problem in draw_sheet(result, path, root):
        warn(problem)
    say(f"the matches as a picture: {escape(str(path))}")
    if show and typer.launch(str(path)):
        warn(f"no program was found to show {path}")


def _write_report(
    result: SearchResult,
    distances: list[float],
    gallery: Gallery,
    db: Path,
    path: Path,
    root: Path | None,
) -> None:
    from reidsearch.render.report import Origin, write_report

    command = shlex.join(["reidsearch", *sys.argv[1:]])
    store = gallery.store
    origin = Origin(db.resolve(), store.provenance, store.sources(), command, distances)
    for problem in write_report(result, origin, path, root):
        warn(problem)
    say(f"report: {escape(str(path))}")
