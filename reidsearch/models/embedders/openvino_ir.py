"""Embedders of Open Model Zoo."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from reidsearch.models.embedders.openvino_network import OpenVinoEmbedder
from reidsearch.models.openvino_ir import not_this_network, read_ir, take_pixels
from reidsearch.models.openvino_runtime import compile_model

if TYPE_CHECKING:
    from reidsearch.models.backends import Precision
    from reidsearch.models.cards import EmbedderCard


def load_ir(card: EmbedderCard, precision: Precision) -> OpenVinoEmbedder:
    """Load one.

    Raises:
        ModelError: see `read_ir`; or its output is another.
    """
    model = read_ir(card)
    shapes = [output.partial_shape for output in model.outputs]
    if [shape.is_static and np.prod(shape.to_shape()) for shape in shapes] != [card.dimension]:
        raise not_this_network(card, f"its output is {', '.join(map(str, shapes))}")
    model = take_pixels(model, card.mean, card.std, reverse_channels=True)
    return OpenVinoEmbedder(card, compile_model(model, precision))
