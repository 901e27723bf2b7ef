"""What runs the networks."""

from __future__ import annotations

import shutil
from typing import Literal

Backend = Literal["auto", "reference"]
"""`reference`: the frameworks that the networks were made in; `auto`: the fastest there is here."""


def has_gpu() -> bool:
    """Whether torch could use a GPU of this machine; torch itself takes seconds to ask."""
    if shutil.which("nvidia-smi") is None:
        return False
    import torch

    return torch.cuda.is_available()
