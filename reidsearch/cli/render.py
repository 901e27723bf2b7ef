"""`reidsearch render`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from reidsearch.cli.asking import AskedPerson, AskedSearch, asks, warn_of_left_out
from reidsearch.cli.options import Json, Root
from reidsearch.cli.output import print_json, say, warn
from reidsearch.cli.progress import counting
from reidsearch.core.errors import UsageError

if TYPE_CHECKING:
    from reidsearch.core.provenance import SourceRecord
    from reidsearch.search.query import Query
    from reidsearch.services.gallery import Gallery

app = typer.Typer(help="Draw what a search finds.", no_args_is_help=True)


@app.command()
@asks(AskedPerson)
def video(
    asked: AskedPerson,
    source: Annotated[
        str | None,
        typer.Option(metavar="[CAMERA/]SOURCE", help="The footage to show; else the person's own."),
    ] = None,
    out: Annotated[Path, typer.Option(metavar="FILE.mp4", help="Video to write.")] = Path(
        "matches.mp4"
    ),
    max_distance: Annotated[
        float | None,
        typer.Option(
            min=0.0, max=2.0, help="Show no match farther away; else those likelier wrong."
        ),
    ] = None,
    only_matches: Annotated[
        bool, typer.Option("--only-matches", help="Leave out frames without a match.")
    ] = False,
    fps: Annotated[
        float | None,
        typer.Option(min=0.1, max=240, help="Pictures per second; else the footage's own speed."),
    ] = None,
    root: Root = None,
    json: Json = False,
) -> None:
    """Draw everyone found in green and, in later frames, the best match in orange."""
    from reidsearch.core.files import VIDEOS, require_writable
    from reidsearch.core.types import Filter
    from reidsearch.footage.reread import open_moved
    from reidsearch.render.video import VideoOptions, render_video

    with asked.open() as gallery:
        require_writable(out, *VIDEOS, kept=asked.kept_files(gallery))
        query = asked.query(gallery)
        record = _find_footage(gallery, query, source)
        options = VideoOptions(only_matches, fps, root)
        footage = open_moved(record, root)
        best = gallery.find_in_footage(query, record, max_distance, files=[out])
        people = gallery.store.detections(Filter(sources=(record.info.key,)))
        with counting("frames", len(record.frames)) as step:
            report = render_video(footage, record, query, people, best, out, options, step)
    for problem in report.problems:
        warn(problem)
    if json:
        print_json({"out": str(out), "frames": report.frames, "matched": report.matched})
    else:
        say(f"{report.frames} frames, {report.matched} with a match: {escape(str(out))}")


def _find_footage(gallery: Gallery, query: Query, source: str | None) -> SourceRecord:
    own = query.detection
    if source is None and own is None:
        raise UsageError(
            "--source is required with a picture", hint="give --source [CAMERA/]SOURCE"
        )
    name = source or (f"{own.camera}/{own.source}" if own is not None else "")
    [record] = gallery.find_sources([name])
    return record


@app.command()
@asks(AskedSearch)
def sheet(
    asked: AskedSearch,
    out: Annotated[Path, typer.Option(metavar="FILE.jpg", help="Picture to write.")] = Path(
        "matches.jpg"
    ),
    root: Root = None,
    json: Json = False,
) -> None:
    """Draw the person and the best matches on one picture."""
    from reidsearch.core.files import PICTURES, require_writable
    from reidsearch.render.sheet import draw_sheet

    with asked.open() as gallery:
        require_writable(out, *PICTURES, kept=asked.kept_files(gallery))
        result = asked.search(gallery, asked.query(gallery), [out])
        warn_of_left_out(result)
    for problem in draw_sheet(result, out, root):
        warn(problem)
    if json:
        print_json({"out": str(out), "matches": len(result.matches)})
    else:
        say(f"{len(result.matches)} matches: {escape(str(out))}")
