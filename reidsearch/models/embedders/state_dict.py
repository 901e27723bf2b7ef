"""Reading network weights that torch has saved."""

from __future__ import annotations

import pickle
import struct
from typing import TYPE_CHECKING, Any, TypeGuard

import numpy as np
import torch

from reidsearch.core.errors import ModelError
from reidsearch.models.embedders.torchreid_parts import is_classifier

if TYPE_CHECKING:
    from pathlib import Path

# What torch raises for files that are none of its own depends on their first bytes.
UNREADABLE = (
    *(pickle.UnpicklingError, struct.error, EOFError, OSError, RuntimeError),
    *(ValueError, LookupError, TypeError, AttributeError),
)


def read_state_dict(path: Path) -> dict[str, torch.Tensor]:
    """Read network weights from a plain state dict or from a torchreid training checkpoint.

    The classifier is dropped: it knows the training identities only. `module.` prefixes, left by
    `nn.DataParallel`, are removed. Nothing in the file is executed.

    Raises:
        ModelError: the file holds no state dict, or more than plain data.
    """
    plain: list[Any] = [
        np.float64(0).__reduce__()[0],
        np.dtype,
        type(np.dtype(np.float64)),
    ]
    try:
        with torch.serialization.safe_globals(plain):  # torchreid saves rank-1 as a numpy scalar
            loaded = torch.load(path, map_location="cpu", weights_only=True)
    except UNREADABLE as error:
        reason = str(error).partition("\n")[0]
        raise ModelError(f"{path} is not a torch checkpoint of plain data: {reason}") from error
    state = loaded.get("state_dict", loaded) if isinstance(loaded, dict) else None
    if not _is_state_dict(state):
        raise ModelError(f"{path} holds no state dict")
    if not all(tensor.isfinite().all() for tensor in state.values()):
        raise ModelError(f"the weights in {path} are not all numbers")
    named = {name.removeprefix("module."): tensor for name, tensor in state.items()}
    return {n: tensor for n, tensor in named.items() if not is_classifier(n)}


def _is_state_dict(state: Any) -> TypeGuard[dict[str, torch.Tensor]]:
    return (
        isinstance(state, dict)
        and bool(state)
        and all(isinstance(name, str) for name in state)
        and all(isinstance(value, torch.Tensor) for value in state.values())
    )
