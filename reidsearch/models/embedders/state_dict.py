"""Reading network weights saved by torch."""

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

# What torch raises for other files depends on their first bytes.
UNREADABLE = (
    *(pickle.UnpicklingError, struct.error, EOFError, OSError, RuntimeError),
    *(ValueError, LookupError, TypeError, AttributeError),
)


def read_state_dict(path: Path) -> dict[str, torch.Tensor]:
    """Read network weights from a plain state dict or from a torchreid training checkpoint.

    The classifier is dropped: it only knows the people of the training set. The prefix `module.`,
    added by `nn.DataParallel`, is removed. No code in the file is run.

    Raises:
        ModelError: the file does not contain a state dict, or contains more than plain data.
    """
    allowed: list[Any] = [
        np.float64(0).__reduce__()[0],
        np.dtype,
        type(np.dtype(np.float64)),
    ]
    try:
        with torch.serialization.safe_globals(allowed):  # torchreid saves rank-1 as a numpy scalar
            loaded = torch.load(path, map_location="cpu", weights_only=True)
    except UNREADABLE as error:  # torch's text advises to run whatever code the file holds
        is_cut = isinstance(error, pickle.UnpicklingError)
        reason = "" if is_cut else f": {str(error).partition(chr(10))[0]}"
        raise ModelError(
            f"{path} is not a valid torch checkpoint{reason}",
            hint="give weights saved by torch.save, without other objects",
        ) from error
    state = loaded.get("state_dict", loaded) if isinstance(loaded, dict) else None
    if not _is_state_dict(state):
        raise ModelError(f"{path} does not contain a state dict")
    if not all(tensor.isfinite().all() for tensor in state.values()):
        raise ModelError(f"some weights in {path} are not finite numbers")
    named = {name.removeprefix("module."): tensor for name, tensor in state.items()}
    return {name: tensor for name, tensor in named.items() if not is_classifier(name)}


def _is_state_dict(state: Any) -> TypeGuard[dict[str, torch.Tensor]]:
    return (
        isinstance(state, dict)
        and bool(state)
        and all(isinstance(name, str) for name in state)
        and all(isinstance(value, torch.Tensor) for value in state.values())
    )
