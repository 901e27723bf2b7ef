"""Packages that reidsearch does without until something needs them."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Literal

from reidsearch.errors import MissingPackageError

_PACKAGES = {
    "reference": ("tensorflow", "torch", "torchreid"),
    "train": ("torch", "torchreid", "matplotlib"),
    "parquet": ("pyarrow",),
}


Extra = Literal["reference", "train", "parquet"]
"""Named in `pyproject.toml`: `reference` runs networks in the frameworks they were made in."""


def missing_packages(extra: Extra) -> list[str]:
    """Which packages of an extra are not installed; imports none of them."""
    return [name for name in _PACKAGES[extra] if find_spec(name) is None]


def require_extra(extra: Extra, what: str) -> None:
    """Check that the packages of an extra are installed.

    Args:
        extra: which.
        what: needs it, to be told.

    Raises:
        MissingPackageError: one of them is not.
    """
    if missing := missing_packages(extra):
        raise MissingPackageError(
            f"{what} needs {', '.join(missing)}: not installed",
            hint=f'pip install "reidsearch[{extra}]"',
        )
