"""`reidsearch render`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from reidsearch.cli.options import DEFAULT_DB, Db, Json, Person
from reidsearch.cli.output import print_json, say

app = typer.Typer(no_args_is_help=True)


@app.callback()
def render() -> None:
    """Draw what a search found."""


@app.command()
def video(
    source: Annotated[Path, typer.Argument(metavar="SOURCE", help="The footage itself.")],
    frame: Annotated[
        str, typer.Option(metavar="[CAMERA/]SOURCE:N", help="The stored frame with the person.")
    ],
    person: Person = None,
    out: Annotated[Path, typer.Option(metavar="FILE", help="Video to write.")] = Path(
        "matches.mp4"
    ),
    fps: Annotated[
        float | None,
        typer.Option(min=0.1, max=240, help="Pictures per second; else the footage's own speed."),
    ] = None,
    db: Db = DEFAULT_DB,
    json: Json = False,
) -> None:
    """Draw everyone found in green and, in later frames, the best match in orange."""
    from reidsearch.build import open_gallery
    from reidsearch.render.video import render_video
    from reidsearch.search import find_frame, query_stored
    from reidsearch.sources import SourceOptions, open_source

    with open_gallery(db) as gallery:
        record, _ = find_frame(gallery.store, frame)
        footage = open_source(source, SourceOptions(fps=record.info.fps))
        query = query_stored(gallery.store, frame, person or 1)
        report = render_video(footage, record, query, gallery.store, out, fps)
    if json:
        print_json({"out": str(out), "frames": report.frames, "matched": report.matched})
    else:
        say(f"{report.frames} frames, {report.matched} with a match: {escape(str(out))}")
