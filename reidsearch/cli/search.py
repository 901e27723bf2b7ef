"""`reidsearch search`."""

from __future__ import annotations

import shlex
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from reidsearch.cli.options import Force, Json, Root
from reidsearch.cli.output import NOTHING_MATCHED, print_json, print_line, print_table, say, warn
from reidsearch.cli.preview import show_crop, show_crops, show_frame
from reidsearch.cli.query_options import SearchOptions, warn_of_doubts, with_options
from reidsearch.core.errors import SeveralPeopleError, UsageError
from reidsearch.core.text import count, format_time

if TYPE_CHECKING:
    from reidsearch.core.types import Scene
    from reidsearch.render.report import ReportContext
    from reidsearch.search.find import SearchResult
    from reidsearch.search.query import Query
    from reidsearch.services.gallery import Gallery


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
    force: Force = False,
    root: Root = None,
    json: Json = False,
    csv: Annotated[bool, typer.Option("--csv", help="Print CSV instead of a table.")] = False,
) -> None:
    """Rank passages of people in later frames by their distance to one person, nearest first.

    The person is given as a stored detection, --frame or --id, or as pictures. In a scene, people
    are looked for, and --person takes one of several. Distances are L2, from 0 to 2. The search is
    exact. Each match is a passage of somebody before a camera, with its nearest detection; the
    passage of a stored detection itself is none.
    """
    _require_fitting(options, each=each, drawn=bool(sheet or show or report or csv))
    if json + csv + preview > 1:
        raise UsageError("--json, --csv and --preview exclude each other")
    with options.open() as gallery:
        _require_writable(sheet, report, gallery, options, force=force)
        try:
            queries = options.queries(gallery) if each else [options.query(gallery)]
        except SeveralPeopleError as error:
            table = not (json or csv)
            _show_scene(error.scene, sheet, table=table, preview=preview, show=show)
            raise
        results = [options.search(gallery, query, [sheet, report]) for query in queries]
        warn_of_doubts(results[0])
        # The answer comes first: a file may turn out to be one that cannot be written.
        if json:
            documents = [_to_json(result) for result in results]
            print_json({"results": documents} if each else documents[0])
        elif csv:
            from reidsearch.services.export import write_matches

            write_matches(results[0].matches, sys.stdout)
        else:
            for result in results:
                (print_line if each else say)(_caption(result, options.max_distance))
                _print(result, root, preview=preview)
        drawn = bool(sheet or show or report)
        if not any(result.matches for result in results):
            if drawn:
                say("nothing is written")
            raise typer.Exit(NOTHING_MATCHED)
        if drawn:
            _draw(results[0], gallery, options, sheet=sheet, show=show, report=report, root=root)


def _require_fitting(options: SearchOptions, *, each: bool, drawn: bool) -> None:
    if each and drawn:
        raise UsageError("--each goes with a table or --json only")
    if each and (not options.pictures or options.fuse != "min"):
        raise UsageError("--each goes with pictures, and without --fuse")


def _show_scene(
    scene: Scene, sheet: Path | None, *, table: bool, preview: bool, show: bool
) -> None:
    """Number the people of a picture, for the user to choose one of them."""
    from reidsearch.footage.images import cut_crops
    from reidsearch.render.numbered import draw_numbered, write_numbered

    boxes, pictures = scene.boxes_xyxy, None
    if table:
        from reidsearch.cli.tables import scene_table

        if preview:
            print_table(show_frame(draw_numbered(scene.image, boxes)))
            pictures = [show_crop(crop) for crop in cut_crops(scene.image, scene.detections).images]
        print_table(scene_table(scene.detections, pictures))
    if sheet is not None or show:
        path = sheet or _temporary()
        write_numbered(scene.image, boxes, path)
        _say_picture(path, show=show)


def _require_writable(
    sheet: Path | None,
    report: Path | None,
    gallery: Gallery,
    options: SearchOptions,
    *,
    force: bool,
) -> None:
    from reidsearch.core.files import PAGES, PICTURES, require_writable

    kept = options.kept_files(gallery)
    if sheet is not None:
        require_writable(sheet, *PICTURES, force=force, protected=kept)
    if report is not None:
        require_writable(report, *PAGES, force=force, protected=kept)


def _to_json(result: SearchResult) -> dict[str, Any]:
    from reidsearch.services.export import match_row, passage_row

    own = None if result.own is None else passage_row(result.own)
    return {
        "query": _query_fields(result.query)
        | {
            "passage": own,
            "searched": result.scope,
            "left_out": result.left_out,
            "disagreeing": result.disagreeing,
        },
        "exact": result.exact,
        "candidates": result.candidates,
        "ms": round(result.ms, 3),
        "likely": result.likely,
        "matches": [match_row(match) for match in result.matches],
    }


def _query_fields(query: Query) -> dict[str, Any]:
    from reidsearch.services.export import detection_row

    if query.name:
        return {"name": query.name, "confirmed": [one.id for one in query.confirmed]}
    if query.detection is not None:
        return detection_row(query.detection)
    fields: dict[str, Any] = {"paths": list(query.paths)}
    if len(query.paths) == 1:
        fields = {"path": query.paths[0], "box_xyxy": query.box_xyxy}
    return fields


def _caption(result: SearchResult, max_distance: float | None) -> str:
    """Say whom was searched for, and where; or that there was nobody."""
    who, where = escape(str(result.query)), escape(result.scope)
    if result.own is not None and result.own.count > 1:
        first, last = (
            format_time(time_s, zone=False) for time_s in (result.own.first_s, result.own.last_s)
        )
        who = f"{who} (seen from {first} to {last})"
    if result.matches:
        return f"[bold]{who}[/] in {where}"
    if max_distance is not None and result.candidates:
        found = f"none of {count(result.candidates, 'detection')}"
        return f"{who}: {found} in {where} is within a distance of {max_distance:g}"
    return f"{who}: no matches in {where}"


def _print(result: SearchResult, root: Path | None, *, preview: bool) -> None:
    if not result.matches:
        return
    from reidsearch.cli.tables import match_table

    pictures = None
    if preview:
        pictures, problems = show_crops([match.detection for match in result.matches], root)
        _warn_of(problems)
    print_table(match_table(result.matches, pictures))
    if result.query.name:
        still = sum(match.is_likely and not match.is_confirmed for match in result.matches)
        say(f"{count(still, 'likely passage')} to be judged")
    elif result.likely == 0:
        say("[yellow]no likely match:[/] none reaches 50 %")


def _temporary() -> Path:
    return Path(tempfile.mkdtemp(prefix="reidsearch-")) / "matches.jpg"


def _say_picture(path: Path, *, show: bool) -> None:
    say(f"picture: {escape(str(path))}")
    if show and typer.launch(str(path)):
        warn(f"no viewer found for {path}")


def _draw(
    result: SearchResult,
    gallery: Gallery,
    options: SearchOptions,
    *,
    sheet: Path | None,
    show: bool,
    report: Path | None,
    root: Path | None,
) -> None:
    """Write a sheet and a report, of frames that are read once for both."""
    from reidsearch.render.drawing import draw
    from reidsearch.render.report import Report
    from reidsearch.render.sheet import Sheet

    page = None if report is None else Report(result, _describe(result, gallery, options))
    picture = Sheet(result) if sheet is not None or show else None
    _warn_of(draw(result, [drawing for drawing in (page, picture) if drawing], root))
    if page is not None and report is not None:
        page.save(report)
        say(f"report: {escape(str(report))}")
    if picture is not None:
        path = sheet or _temporary()
        picture.save(path)
        _say_picture(path, show=show)


def _describe(result: SearchResult, gallery: Gallery, options: SearchOptions) -> ReportContext:
    from reidsearch.render.report import ReportContext

    window = options.window(gallery, result.query)
    return ReportContext(
        options.db.resolve(),
        gallery.store.provenance,
        gallery.store.sources(),
        shlex.join(["reidsearch", *sys.argv[1:]]),
        gallery.nearest_distances(result.query, window, options.fuse),
    )


def _warn_of(problems: set[str] | list[str]) -> None:
    for problem in sorted(filter(None, problems)):
        warn(problem)
