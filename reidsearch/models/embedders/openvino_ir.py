"""Networks in OpenVINO's own format, such as those of Open Model Zoo."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import openvino

from reidsearch.core.errors import ModelError
from reidsearch.models.catalog import weights_path
from reidsearch.models.embedders.openvino_network import OpenVinoEmbedder, take_pixels
from reidsearch.models.openvino_runtime import compile_model

if TYPE_CHECKING:
    from reidsearch.models.backends import Precision
    from reidsearch.models.catalog import EmbedderCard


def load_ir(card: EmbedderCard, precision: Precision) -> OpenVinoEmbedder:
    """Load a `.bin` with its `.xml` beside it.

    Raises:
        ModelError: the files are missing, or no network as the card describes it.
    """
    weights = weights_path(card)
    try:
        model = openvino.Core().read_model(weights.with_suffix(".xml"), weights)
        taken, given = list(model.input().shape), list(model.output().shape)
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1]
        raise ModelError(f"{weights} is no network of one fixed size: {reason}") from error
    if taken != [1, 3, *card.input_hw] or np.prod(given) != card.dimension:
        raise ModelError(f"{weights} is not {card.name}: it turns {taken} into {given}")
    model = take_pixels(model, card, reverse_channels=True)
    return OpenVinoEmbedder(card, compile_model(model, precision))
