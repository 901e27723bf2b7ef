"""Networks run by OpenVINO."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import openvino
from openvino.preprocess import PrePostProcessor

from reidsearch.images import resize
from reidsearch.openvino_runtime import run_batches
from reidsearch.types import Embeddings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from reidsearch.catalog import EmbedderCard


class OpenVinoEmbedder:
    """See `Embedder`.

    Args:
        card: the network.
        compiled: turns pixels, as `take_pixels` lays them out, into N vectors; N is fixed.
    """

    def __init__(self, card: EmbedderCard, compiled: openvino.CompiledModel) -> None:
        self.card = card
        self._batch = int(compiled.input().shape[0])
        self._compiled = compiled

    def embed(self, images: Sequence[NDArray[np.uint8]]) -> Embeddings:
        """See `Embedder.embed`."""
        starts = range(0, len(images), self._batch)
        batches = (self._prepare(images[start : start + self._batch]) for start in starts)
        vectors = np.empty((len(starts) * self._batch, self.card.dimension), np.float32)
        for start, [given] in zip(starts, run_batches(self._compiled, batches), strict=True):
            vectors[start : start + self._batch] = given.reshape(self._batch, -1)
        vectors = vectors[: len(images)]
        vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)  # as torch
        return Embeddings(vectors, self.card.fingerprint)

    def _prepare(self, images: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:
        """One batch, filled up with black."""
        pixels = np.zeros((self._batch, *self.card.input_hw, 3), np.uint8)
        for row, image in zip(pixels, images, strict=False):
            row[:] = resize(image, self.card.input_hw)
        return pixels


def take_pixels(
    model: openvino.Model, card: EmbedderCard, *, reverse_channels: bool = False
) -> openvino.Model:
    """Let a network begin with `(N, H, W, 3)` uint8 RGB, and do what `images.to_batch` does then.

    Args:
        model: takes `(N, 3, H, W)`, normalised.
        card: says how that is normalised.
        reverse_channels: whether it takes BGR.
    """
    processor = PrePostProcessor(model)
    taken = processor.input()
    taken.tensor().set_element_type(openvino.Type.u8).set_layout(openvino.Layout("NHWC"))
    taken.model().set_layout(openvino.Layout("NCHW"))
    steps = taken.preprocess().convert_element_type(openvino.Type.f32)
    steps.mean([255 * mean for mean in card.mean]).scale([255 * std for std in card.std])
    if reverse_channels:
        steps.reverse_channels()
    return processor.build()
