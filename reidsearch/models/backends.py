"""Which library runs the networks, and in which numeric precision."""

from __future__ import annotations

import shutil
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import Literal

from reidsearch.core.errors import UsageError

Backend = Literal["auto", "reference"]
"""`reference`: the framework that a network was made in; `auto`: the fastest available."""

Precision = Literal["f32", "bf16"]
"""`f32` gives the same answers on every processor; `bf16` keeps 8 bits of each product's factors,
and is faster on processors that support it."""

_LIBRARIES = ("openvino", "torch", "tensorflow", "opencv-python", "av", "pillow", "numpy")


def has_gpu() -> bool:
    """Whether torch can use a GPU here; without `nvidia-smi`, torch is not imported to find out."""
    if shutil.which("nvidia-smi") is None or find_spec("torch") is None:
        return False
    import torch

    return torch.cuda.is_available()


def require_precision(name: str, backend: Backend) -> Precision:
    """Check that networks can compute in a precision on this machine.

    Raises:
        UsageError: the name is not a precision, or the machine does not support it.
    """
    if name == "f32":
        return "f32"
    if name != "bf16":
        raise UsageError(f"{name!r} is not a valid precision", hint="use f32 or bf16")
    if backend == "reference" or has_gpu():
        raise UsageError(
            f"only OpenVINO computes in {name}, and it does not run the networks here",
            hint="drop --precision",
        )
    import openvino

    if name.upper() not in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        raise UsageError(f"this processor does not support {name}", hint="drop --precision")
    return "bf16"


def library_versions() -> str:
    """Names and versions of the libraries that affect pixels, boxes and vectors."""
    versions = []
    for name in _LIBRARIES:
        with suppress(PackageNotFoundError):
            versions.append(f"{name} {version(name)}")
    return ", ".join(versions)
