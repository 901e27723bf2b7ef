"""Options that several commands take."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from reidsearch.core import defaults
from reidsearch.models.backends import Backend as BackendName
from reidsearch.models.backends import Precision as PrecisionName

Db = Annotated[
    Path,
    typer.Option(
        "--db", envvar="REIDSEARCH_DB", readable=False, help="Database folder.", metavar="DIR"
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
Backend = Annotated[
    BackendName,
    typer.Option(
        help="What runs the networks: auto takes the fastest, reference TensorFlow and torch."
    ),
]
_PRECISION = (
    "Numeric precision: f32 gives the same answers on every processor; bf16 is faster where "
    "the processor supports it."
)
Precision = Annotated[PrecisionName, typer.Option(help=_PRECISION)]
OwnPrecision = Annotated[
    PrecisionName | None,
    typer.Option(
        "--precision", help=f"{_PRECISION} Default: as recorded in the database; f32 for a new one."
    ),
]
SkipUnchanged = Annotated[
    bool,
    typer.Option(
        "--skip-unchanged",
        help="For fixed cameras: skip parts of the view that did not change since the last frame.",
    ),
]
Root = Annotated[
    Path | None,
    typer.Option(
        "--root",
        metavar="DIR",
        exists=True,
        file_okay=False,
        help="Folder where the footage is now, if it was moved.",
    ),
]
Force = Annotated[bool, typer.Option("--force", help="Replace a file that exists.")]
OwnEmbedder = Annotated[
    str | None, typer.Option("--embedder", metavar="CARD[=PATH]", help="Default: the built-in one.")
]
PersonMap = Annotated[
    Path | None,
    typer.Option("--person-map", metavar="FILE", help="JSON file that maps tracks to people."),
]


DEFAULT_DB = Path(defaults.DB)
