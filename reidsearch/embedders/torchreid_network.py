"""torchreid's networks in torch."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from reidsearch.catalog import weights_path
from reidsearch.embedders.torchreid_models import build_network
from reidsearch.errors import ModelError
from reidsearch.images import to_batch
from reidsearch.types import Embeddings

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from reidsearch.catalog import EmbedderCard

_BATCH_CROPS = 32


class TorchreidEmbedder:
    """See `Embedder`."""

    def __init__(self, card: EmbedderCard) -> None:
        self.card = card
        network = build_network(card.architecture)
        network.classifier = nn.Identity()
        _load_strictly(network, read_state_dict(weights_path(card)), card)
        self._network = network.eval().to(memory_format=torch.channels_last)

    def embed(self, images: Sequence[NDArray[np.uint8]]) -> Embeddings:
        """See `Embedder.embed`."""
        vectors = np.empty((len(images), self.card.dimension), np.float32)
        for start in range(0, len(images), _BATCH_CROPS):
            rows = slice(start, start + _BATCH_CROPS)
            batch = to_batch(
                images[rows], size_hw=self.card.input_hw, mean=self.card.mean, std=self.card.std
            )
            with torch.inference_mode():
                output = self._network(torch.from_numpy(batch))
                vectors[rows] = nn.functional.normalize(output, dim=1).numpy()
        return Embeddings(vectors, self.card.fingerprint)


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
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError) as error:
        reason = str(error).partition("\n")[0]
        raise ModelError(f"{path} is not a torch checkpoint of plain data: {reason}") from error
    state = loaded.get("state_dict", loaded) if isinstance(loaded, dict) else None
    if not state or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise ModelError(f"{path} holds no state dict")
    named = {name.removeprefix("module."): tensor for name, tensor in state.items()}
    return {n: tensor for n, tensor in named.items() if not n.startswith("classifier.")}


def _load_strictly(network: nn.Module, state: dict[str, torch.Tensor], card: EmbedderCard) -> None:
    try:
        network.load_state_dict(state, strict=True)
    except RuntimeError as error:
        differences = str(error).splitlines()[1:]
        first = differences[0].strip() if differences else str(error)
        if len(first) > 160:
            first = f"{first[:160]}..."
        raise ModelError(
            f"the weights of {card.name} are not of the architecture {card.architecture}: {first}"
        ) from error
