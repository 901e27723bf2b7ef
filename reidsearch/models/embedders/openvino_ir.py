"""Networks in OpenVINO's own format (IR), such as those of Open Model Zoo."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import openvino

from reidsearch.core.errors import ModelError
from reidsearch.models.embedders.openvino_network import OpenVinoEmbedder, add_preprocessing
from reidsearch.models.openvino_runtime import compile_model
from reidsearch.models.weights import weight_paths

if TYPE_CHECKING:
    from reidsearch.models.backends import Precision
    from reidsearch.models.cards import EmbedderCard


def load_ir(card: EmbedderCard, precision: Precision) -> OpenVinoEmbedder:
    """Load an `.xml` with its `.bin`.

    Raises:
        ModelError: the files are missing, or not the network that the card describes.
    """
    paths = {path.suffix: path for path in weight_paths(card)}
    if paths.keys() != {".xml", ".bin"}:
        raise ModelError(
            f"{card.name} is not a network in OpenVINO's format",
            hint="name an .xml file that has its .bin file beside it",
        )
    try:
        model = openvino.Core().read_model(paths[".xml"], paths[".bin"])
        input_shape, output_shape = list(model.input().shape), list(model.output().shape)
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1]
        raise ModelError(
            f"{paths['.xml']} is not a network with one fixed input: {reason}"
        ) from error
    if input_shape != [1, 3, *card.input_hw] or np.prod(output_shape) != card.dimension:
        raise ModelError(
            f"{paths['.xml']} is not {card.name}: it maps {input_shape} to {output_shape}"
        )
    model = add_preprocessing(model, card, reverse_channels=True)
    return OpenVinoEmbedder(card, compile_model(model, precision))
