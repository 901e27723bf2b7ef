"""`reidsearch render`."""

from __future__ import annotations

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
from reidsearch.cli.output import print_json, say, warn
from reidsearch.cli.progress import counting
from reidsearch.errors import QueryError, SourceError, UsageError

if TYPE_CHECKING:
    from reidsearch.search import Query

app = typer.Typer(help="Draw what a search finds.", no_args_is_help=True)


@app.command()
def video(
    picture: Picture = None,
    box: Box = None,
    frame: Frame = None,
    person: Person = None,
    crop_id: CropId = None,
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
    db: Db = DEFAULT_DB,
    embedder: GalleryEmbedder = None,
    backend: Backend = "auto",
    json: Json = False,
) -> None:
    """Draw everyone found in green and, in later frames, the best match in orange."""
    from reidsearch.build import open_gallery
    from reidsearch.render.footage import locate
    from reidsearch.render.video import VideoOptions, render_video
    from reidsearch.search import find_source, has_clock_of
    from reidsearch.sources import SourceOptions, open_source

    with open_gallery(db, embedder=embedder, backend=backend) as gallery:
        query = gallery.find_query(
            picture, box_xyxy=parse_box(box), frame=frame, person=person, crop_id=crop_id
        )
        record = find_source(gallery.store, source or _source_of(query))
        if not has_clock_of(record, query, gallery.store.sources()):
            raise QueryError(
                f"the times of {record.info} cannot be compared with the person's",
                hint="only one of the two sources was ingested with --start",
            )
        path = locate(record.info.path, root)
        if not path.exists():
            raise SourceError(
                f"{path} is not there any more", hint="--root DIR says where it was moved to"
            )
        footage = open_source(
            path,
            SourceOptions(record.info.camera, fps=record.info.fps, start_s=record.info.start_s),
        )
        if max_distance is None and gallery.calibration is not None:
            max_distance = gallery.calibration.likely_distance
        options = VideoOptions(max_distance, only_matches, fps, root)
        with counting("frames", len(record.frames)) as step:
            report = render_video(footage, record, query, gallery.store, out, options, step)
    if json:
        print_json({"out": str(out), "frames": report.frames, "matched": report.matched})
    else:
        say(f"{report.frames} frames, {report.matched} with a match: {escape(str(out))}")


def _source_of(query: Query) -> str:
    if query.sighting is None:
        raise UsageError("whose footage shall be shown?", hint="give --source [CAMERA/]SOURCE")
    return f"{query.sighting.camera}/{query.sighting.source}"


@app.command()
def sheet(
    picture: Picture = None,
    box: Box = None,
    frame: Frame = None,
    person: Person = None,
    crop_id: CropId = None,
    out: Annotated[Path, typer.Option(metavar="FILE.jpg", help="Picture to write.")] = Path(
        "matches.jpg"
    ),
    top: Top = defaults.TOP,
    after: After = None,
    camera: Camera = None,
    root: Root = None,
    db: Db = DEFAULT_DB,
    embedder: GalleryEmbedder = None,
    backend: Backend = "auto",
    json: Json = False,
) -> None:
    """Draw the person and the best matches on one picture."""
    from reidsearch.build import open_gallery
    from reidsearch.render.sheet import draw_sheet

    with open_gallery(db, embedder=embedder, backend=backend) as gallery:
        result = gallery.search(
            picture,
            box_xyxy=parse_box(box),
            frame=frame,
            person=person,
            crop_id=crop_id,
            top=top,
            camera=camera,
            after=after,
        )
    for problem in draw_sheet(result, out, root):
        warn(problem)
    if json:
        print_json({"out": str(out), "matches": len(result.matches)})
    else:
        say(f"{len(result.matches)} matches: {escape(str(out))}")
