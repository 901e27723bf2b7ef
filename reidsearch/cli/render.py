"""`reidsearch render`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from reidsearch.cli.options import Force, Json, Root
from reidsearch.cli.output import NOTHING_MATCHED, print_json, say, warn
from reidsearch.cli.progress import Bar
from reidsearch.cli.query_options import QueryOptions, with_options
from reidsearch.core.errors import UsageError
from reidsearch.core.text import count

if TYPE_CHECKING:
    from reidsearch.core.provenance import SourceRecord
    from reidsearch.search.query import Query
    from reidsearch.services.gallery import Gallery

app = typer.Typer(help="Draw the matches of a search.", no_args_is_help=True)


@app.command()
@with_options(QueryOptions)
def video(
    options: QueryOptions,
    source: Annotated[
        str | None,
        typer.Option(
            metavar="[CAMERA/]SOURCE", help="Footage to show. Default: where the query was seen."
        ),
    ] = None,
    out: Annotated[Path, typer.Option(metavar="FILE.mp4", help="Video to write.")] = Path(
        "matches.mp4"
    ),
    max_distance: Annotated[
        float | None,
        typer.Option(
            min=0.0,
            max=2.0,
            help="Show no match farther away. Default: where a match is 50 % likely.",
        ),
    ] = None,
    only_matches: Annotated[
        bool, typer.Option("--only-matches", help="Show only frames with a match.")
    ] = False,
    fps: Annotated[
        float | None,
        typer.Option(
            min=0.1, max=240, help="Frames per second of the video. Default: the footage's speed."
        ),
    ] = None,
    root: Root = None,
    force: Force = False,
    json: Json = False,
) -> None:
    """Draw all detections in green and, in later frames, the best match in orange."""
    from reidsearch.core.files import VIDEOS, require_writable
    from reidsearch.footage.reread import open_moved
    from reidsearch.render.video import VideoOptions, render_video

    with options.open() as gallery:
        require_writable(out, *VIDEOS, force=force, protected=options.kept_files(gallery))
        query = options.query(gallery)
        record = _find_footage(gallery, query, source)
        drawn = VideoOptions(only_matches, fps, root)
        found = gallery.find_in_footage(query, record, max_distance, files=[out])
        if not found.matches:
            if json:
                print_json({"out": None, "frames": 0, "matched": 0})
            say("nothing matched: nothing is written")
            raise typer.Exit(NOTHING_MATCHED)
        footage = open_moved(record, root, (match.detection for match in found.matches.values()))
        with Bar() as progress:
            report = render_video(footage, found, out, drawn, progress)
    for problem in report.problems:
        warn(problem)
    if json:
        print_json({"out": str(out), "frames": report.frames, "matched": report.matched})
    else:
        say(f"{count(report.frames, 'frame')}, {report.matched} with a match: {escape(str(out))}")


def _find_footage(gallery: Gallery, query: Query, source: str | None) -> SourceRecord:
    own = query.detection
    if source is None and own is None:
        raise UsageError(
            "--source is required with a picture",
            hint="--source [CAMERA/]SOURCE names what to show",
        )
    name = source or (str(own.key) if own is not None else "")
    [record] = gallery.find_sources([name], () if own is None else (own.camera,))
    return record
