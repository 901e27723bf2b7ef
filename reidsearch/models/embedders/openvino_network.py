"""Networks run by OpenVINO."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import openvino
from openvino.preprocess import PrePostProcessor

from reidsearch.core.types import Embeddings
from reidsearch.models.openvino_runtime import run_each
from reidsearch.models.preprocess import resize

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from reidsearch.models.cards import EmbedderCard


class OpenVinoEmbedder:
    """See `Embedder`.

    Args:
        card: the network.
        compiled: maps one crop, with the input of `add_preprocessing`, to a vector.
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


def add_preprocessing(
    model: openvino.Model, card: EmbedderCard, *, reverse_channels: bool = False
) -> openvino.Model:
    """Change a network's input to `(1, H, W, 3)` uint8 RGB, normalised as by `preprocess.to_batch`.

    Args:
        model: its input is `(1, 3, H, W)`, normalised.
        card: has the mean and deviation.
        reverse_channels: whether its input is BGR.
    """
    processor = PrePostProcessor(model)
    pixels = processor.input()
    pixels.tensor().set_element_type(openvino.Type.u8).set_layout(openvino.Layout("NHWC"))
    pixels.model().set_layout(openvino.Layout("NCHW"))
    steps = pixels.preprocess().convert_element_type(openvino.Type.f32)
    steps.mean([255 * mean for mean in card.mean]).scale([255 * std for std in card.std])
    if reverse_channels:
        steps.reverse_channels()
    return processor.build()
