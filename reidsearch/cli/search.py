"""`reidsearch search`."""

from __future__ import annotations

import logging
import shlex
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from reidsearch.cli.options import Json, Root
from reidsearch.cli.output import print_json, print_table, say, warn
from reidsearch.cli.query_options import SearchOptions, warn_of_left_out, with_options
from reidsearch.core.errors import UsageError

if TYPE_CHECKING:
    from rich.console import RenderableType

    from reidsearch.core.types import Match
    from reidsearch.search.find import SearchResult
    from reidsearch.search.query import Query
    from reidsearch.services.gallery import Gallery

NOTHING_MATCHED = 3
_PREVIEW_ROWS = 7


@with_options(SearchOptions)
def search(
    options: SearchOptions,
    each: Annotated[
        bool, typer.Option("--each", help="Search for each picture separately.")
    ] = False,
    sheet: Annotated[
        Path | None,
        typer.Option(metavar="FILE.jpg", help="Draw the query and all matches as one picture."),
    ] = None,
    show: Annotated[bool, typer.Option("--show", help="Open that picture in a viewer.")] = False,
    preview: Annotated[
        bool, typer.Option("--preview", help="Show the matches as pictures in the terminal.")
    ] = False,
    report: Annotated[
        Path | None,
        typer.Option(metavar="FILE.html", help="Write a report as one HTML file."),
    ] = None,
    root: Root = None,
    json: Json = False,
    csv: Annotated[bool, typer.Option("--csv", help="Print CSV instead of a table.")] = False,
) -> None:
    """Rank detections in later frames by their distance to one person, nearest first.

    The person is given as pictures, or as a stored detection: --frame or --id. Distances are L2,
    from 0 to 2. The search is exact and shows the nearest detection of each frame.
    """
    if json + csv + preview > 1:
        raise UsageError("--json, --csv and --preview exclude each other")
    if each and (sheet or show or report or csv):
        raise UsageError("--each goes with a table or --json only")
    with options.open() as gallery:
        _require_writable(sheet, report, gallery, options)
        queries = options.queries(gallery) if each else [options.query(gallery)]
        results = [options.search(gallery, query, [sheet, report]) for query in queries]
        warn_of_left_out(results[0])
        if report is not None:
            _write_report(results[0], gallery, options, report, root)
    if json:
        documents = [_to_json(result) for result in results]
        print_json({"results": documents} if each else documents[0])
    elif csv:
        from reidsearch.services.export import write_matches

        write_matches(results[0].matches, sys.stdout)
    else:
        for result in results:
            _print(result, root, preview=preview)
    if sheet is not None or show:
        _draw_sheet(results[0], sheet, root, show=show)
    if not any(result.matches for result in results):
        raise typer.Exit(NOTHING_MATCHED)


def _require_writable(
    sheet: Path | None, report: Path | None, gallery: Gallery, options: SearchOptions
) -> None:
    from reidsearch.core.files import PAGES, PICTURES, require_writable

    kept = options.kept_files(gallery)
    if sheet is not None:
        require_writable(sheet, *PICTURES, protected=kept)
    if report is not None:
        require_writable(report, *PAGES, protected=kept)


def _to_json(result: SearchResult) -> dict[str, Any]:
    from reidsearch.services.export import match_row

    query = _query_fields(result.query)
    return {
        "query": query | {"searched": result.scope, "left_out": result.left_out},
        "exact": result.exact,
        "candidates": result.candidates,
        "ms": round(result.ms, 3),
        "likely": result.likely,
        "matches": [match_row(match) | _passage_fields(match) for match in result.matches],
    }


def _query_fields(query: Query) -> dict[str, Any]:
    if query.detection is not None:
        return asdict(query.detection)
    if len(query.paths) == 1:
        return {"path": query.paths[0]}
    return {"paths": list(query.paths)}


def _passage_fields(match: Match) -> dict[str, Any]:
    if match.passage is None:
        return {}
    first, last = match.passage.first, match.passage.last
    return {
        "passage": {
            "first_frame": first.frame,
            "first_s": first.time_s,
            "last_frame": last.frame,
            "last_s": last.time_s,
            "detections": match.passage.count,
        }
    }


def _print(result: SearchResult, root: Path | None, *, preview: bool) -> None:
    who, where = escape(str(result.query)), escape(result.scope)
    if not result.matches:
        say(f"{who}: no matches in {where}")
        return
    from reidsearch.cli.tables import match_table

    say(f"[bold]{who}[/] in {where}")
    print_table(match_table(result.matches, _preview(result, root) if preview else None))
    if result.likely == 0:
        say("[yellow]no likely match:[/] none reaches 50 %")


def _preview(result: SearchResult, root: Path | None) -> dict[str, RenderableType]:
    """Pictures as good as the terminal can show them."""
    from PIL import Image

    logging.getLogger("textual_image").setLevel(logging.ERROR)  # it tells what a terminal lacks
    from textual_image.renderable import Image as TerminalPicture

    from reidsearch.footage.reread import read_frames
    from reidsearch.render.crops import ORANGE, render_crop

    pictures: dict[str, RenderableType] = {}
    problems = set()
    for found in read_frames([match.detection for match in result.matches], root):
        problems.add(found.problem)
        picture = render_crop(found, (160, 240), ORANGE).picture
        pictures[found.detection.id] = (
            "no picture"
            if picture is None
            else TerminalPicture(Image.fromarray(picture), height=_PREVIEW_ROWS)
        )
    _warn_of(problems)
    return pictures


def _draw_sheet(result: SearchResult, path: Path | None, root: Path | None, *, show: bool) -> None:
    from reidsearch.render.sheet import draw_sheet

    if path is None:
        path = Path(tempfile.mkdtemp(prefix="reidsearch-")) / "matches.jpg"
    _warn_of(draw_sheet(result, path, root))
    say(f"picture: {escape(str(path))}")
    if show and typer.launch(str(path)):
        warn(f"no viewer found for {path}")


def _write_report(
    result: SearchResult, gallery: Gallery, options: SearchOptions, path: Path, root: Path | None
) -> None:
    from reidsearch.render.report import ReportContext, write_report

    context = ReportContext(
        options.db.resolve(),
        gallery.store.provenance,
        gallery.store.sources(),
        shlex.join(["reidsearch", *sys.argv[1:]]),
        gallery.nearest_distances(result.query, options.window(gallery), options.fuse),
    )
    _warn_of(write_report(result, context, path, root))
    say(f"report: {escape(str(path))}")


def _warn_of(problems: set[str] | list[str]) -> None:
    for problem in sorted(filter(None, problems)):
        warn(problem)
