"""torchreid's networks, run by torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from reidsearch.core.types import Embeddings
from reidsearch.models.backends import has_gpu
from reidsearch.models.embedders.torchreid_network import load_network
from reidsearch.models.preprocess import to_batch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from reidsearch.models.cards import EmbedderCard

_BATCH_CROPS = 32


class TorchreidEmbedder:
    """See `Embedder`; on the GPU, if there is one."""

    def __init__(self, card: EmbedderCard) -> None:
        self.card = card
        self._device = torch.device("cuda" if has_gpu() else "cpu")
        torch.backends.cudnn.allow_tf32 = False  # f32 on every processor
        network = load_network(card).to(memory_format=torch.channels_last)
        self._network = network.to(self._device)

    def embed(self, images: Sequence[NDArray[np.uint8]]) -> Embeddings:
        """See `Embedder.embed`."""
        vectors = np.empty((len(images), self.card.dimension), np.float32)
        for start in range(0, len(images), _BATCH_CROPS):
            rows = slice(start, start + _BATCH_CROPS)
            batch = to_batch(
                images[rows], size_hw=self.card.input_hw, mean=self.card.mean, std=self.card.std
            )
            with torch.inference_mode():
                output = self._network(torch.from_numpy(batch).to(self._device))
                vectors[rows] = nn.functional.normalize(output, dim=1).cpu().numpy()
        return Embeddings(vectors, self.card.fingerprint)
