"""Options that several commands take."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from reidsearch import defaults
from reidsearch.backends import Backend as BackendName
from reidsearch.errors import UsageError

Db = Annotated[
    Path, typer.Option("--db", envvar="REIDSEARCH_DB", help="Database folder.", metavar="DIR")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
Backend = Annotated[
    BackendName,
    typer.Option(help="What runs the networks: the fastest there is, or TensorFlow and torch."),
]
SkipUnchanged = Annotated[
    bool,
    typer.Option(
        "--skip-unchanged",
        help="For fixed cameras: do not look again where nothing changed since the frame before.",
    ),
]
Picture = Annotated[
    Path | None,
    typer.Argument(
        metavar="QUERY", readable=False, help="Picture of the person, or of a scene with --box."
    ),
]
Box = Annotated[
    str | None,
    typer.Option("--box", metavar="X1,Y1,X2,Y2", help="Where the person is in QUERY, in pixels."),
]
Frame = Annotated[
    str | None,
    typer.Option("--frame", metavar="[CAMERA/]SOURCE:N", help="A stored frame with the person."),
]
Person = Annotated[
    int | None,
    typer.Option("--person", min=1, help="Which person of --frame, by falling score; else 1."),
]
CropId = Annotated[
    str | None, typer.Option("--id", metavar="CROP_ID", help="A stored person, by id.")
]
Top = Annotated[int, typer.Option("--top", min=1, help="Matches to show.")]
After = Annotated[
    str | None,
    typer.Option(
        "--after",
        metavar="FRAME|TIME",
        help="Search later than this only: frame 120, 4.8s, 1:02:03 or ISO 8601.",
    ),
]
Camera = Annotated[str | None, typer.Option("--camera", help="Search this camera only.")]
GalleryEmbedder = Annotated[
    str | None,
    typer.Option("--embedder", metavar="CARD[=PATH]", help="Else the database's own."),
]
Root = Annotated[
    Path | None,
    typer.Option("--root", metavar="DIR", help="Where the footage is now, if it was moved."),
]
OwnEmbedder = Annotated[
    str | None, typer.Option("--embedder", metavar="CARD[=PATH]", help="Else the built-in one.")
]
PersonMap = Annotated[
    Path | None,
    typer.Option(
        "--person-map", metavar="FILE", help="JSON that says which tracks are the same person."
    ),
]


def parse_box(text: str | None) -> tuple[float, float, float, float] | None:
    """Read what `--box` was given."""
    if text is None:
        return None
    try:
        x1, y1, x2, y2 = (float(part) for part in text.split(","))
    except ValueError:
        raise UsageError(f"{text!r} is no box", hint="write --box X1,Y1,X2,Y2") from None
    return x1, y1, x2, y2


DEFAULT_DB = Path(defaults.DB)
