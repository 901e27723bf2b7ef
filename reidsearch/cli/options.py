"""Options that several commands take."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from reidsearch.core import defaults
from reidsearch.models.backends import Backend as BackendName
from reidsearch.models.backends import Precision as PrecisionName

Db = Annotated[
    Path, typer.Option("--db", envvar="REIDSEARCH_DB", help="Database folder.", metavar="DIR")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
Backend = Annotated[
    BackendName,
    typer.Option(help="What runs the networks: the fastest there is, or TensorFlow and torch."),
]
_PRECISION = (
    "What networks compute in: f32, the same answers on every processor, or bf16, faster on "
    "processors that have it."
)
Precision = Annotated[PrecisionName, typer.Option(help=_PRECISION)]
OwnPrecision = Annotated[
    PrecisionName | None,
    typer.Option("--precision", help=f"{_PRECISION} Else the database's own, f32 for a new one."),
]
SkipUnchanged = Annotated[
    bool,
    typer.Option(
        "--skip-unchanged",
        help="For fixed cameras: do not look again where nothing changed since the frame before.",
    ),
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


DEFAULT_DB = Path(defaults.DB)
