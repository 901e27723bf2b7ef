"""Options that several commands take."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from reidsearch import defaults
from reidsearch.backends import Backend as BackendName

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
Frame = Annotated[
    str | None,
    typer.Option("--frame", metavar="[CAMERA/]SOURCE:N", help="A stored frame with the person."),
]
Person = Annotated[
    int | None,
    typer.Option("--person", min=1, help="Which person of --frame, by falling score; else 1."),
]

DEFAULT_DB = Path(defaults.DB)
