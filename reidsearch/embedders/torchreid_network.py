"""torchreid's networks in torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from reidsearch.catalog import weights_path
from reidsearch.embedders.state_dict import read_state_dict
from reidsearch.embedders.torchreid_parts import build_network, is_classifier
from reidsearch.errors import ModelError
from reidsearch.images import to_batch
from reidsearch.types import Embeddings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from reidsearch.catalog import EmbedderCard

_BATCH_CROPS = 32


class TorchreidEmbedder:
    """See `Embedder`."""

    def __init__(self, card: EmbedderCard) -> None:
        self.card = card
        network = build_network(card.architecture)
        for name, _ in list(network.named_children()):
            if is_classifier(name):
                setattr(network, name, nn.Identity())
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
