"""Networks run by OpenVINO."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from reidsearch.core.types import Embeddings
from reidsearch.models.openvino_runtime import run_each
from reidsearch.models.preprocess import resize

if TYPE_CHECKING:
    from collections.abc import Sequence

    import openvino
    from numpy.typing import NDArray

    from reidsearch.models.cards import EmbedderCard


class OpenVinoEmbedder:
    """See `Embedder`.

    Args:
        card: the network.
        compiled: maps one crop, `(1, H, W, 3)` uint8 RGB, to a vector.
    """

    def __init__(self, card: EmbedderCard, compiled: openvino.CompiledModel) -> None:
        self.card = card
        self._compiled = compiled

    def embed(self, images: Sequence[NDArray[np.uint8]]) -> Embeddings:
        """See `Embedder.embed`."""
        vectors = np.empty((len(images), self.card.dimension), np.float32)
        inputs = (resize(image, self.card.input_hw)[np.newaxis] for image in images)
        for row, [output] in zip(vectors, run_each(self._compiled, inputs), strict=True):
            row[:] = output.ravel()
        vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)  # as torch
        return Embeddings(vectors, self.card.fingerprint)
