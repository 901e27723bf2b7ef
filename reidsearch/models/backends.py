"""What runs the networks, and in which numbers."""

from __future__ import annotations

import shutil
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import Literal

from reidsearch.core.errors import UsageError

Backend = Literal["auto", "reference"]
"""`reference`: the frameworks that the networks were made in; `auto`: the fastest there is here."""

Precision = Literal["f32", "bf16"]
"""The numbers that networks compute in: `f32` gives the same answers on every processor; `bf16`
keeps 8 bits of each product's factors, and is faster on processors that have it."""

_DECIDING = ("openvino", "torch", "tensorflow", "opencv-python", "av", "pillow", "numpy")


def has_gpu() -> bool:
    """Whether torch could use a GPU of this machine; torch itself takes seconds to ask."""
    if shutil.which("nvidia-smi") is None or find_spec("torch") is None:
        return False
    import torch

    return torch.cuda.is_available()


def require_precision(name: str, backend: Backend) -> Precision:
    """The precision of that name, if networks can compute in it here.

    Raises:
        UsageError: there is none of that name, or they cannot.
    """
    if name == "f32":
        return "f32"
    if name != "bf16":
        raise UsageError(f"{name!r} is not a precision", hint="f32 or bf16")
    if backend == "reference" or has_gpu():
        raise UsageError(
            f"only OpenVINO computes in {name}, and another backend runs the networks here",
            hint="drop --precision",
        )
    import openvino

    if name.upper() not in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        raise UsageError(f"this processor cannot compute in {name}", hint="drop --precision")
    return "bf16"


def library_versions() -> str:
    """Names and versions of the libraries that may decide pixels, boxes and vectors."""
    found = []
    for name in _DECIDING:
        with suppress(PackageNotFoundError):
            found.append(f"{name} {version(name)}")
    return ", ".join(found)
