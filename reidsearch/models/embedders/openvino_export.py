"""torchreid's networks run by OpenVINO: shipped converted, or converted from torch once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import openvino

from reidsearch.core import extras
from reidsearch.models.embedders.openvino_network import OpenVinoEmbedder
from reidsearch.models.openvino_ir import take_pixels
from reidsearch.models.openvino_runtime import compile_card

if TYPE_CHECKING:
    from reidsearch.models.backends import Precision
    from reidsearch.models.cards import EmbedderCard


def load_exported(card: EmbedderCard, precision: Precision) -> OpenVinoEmbedder:
    """Load one of torchreid's networks; torch is imported only to convert it for the first time.

    Raises:
        ModelError: the weights are missing, damaged, or of another architecture.
        MissingPackageError: torch is not installed.
    """
    name = card.fingerprint[:16]
    return OpenVinoEmbedder(
        card, compile_card(card, name, lambda _weights: export(card), precision)
    )


def export(card: EmbedderCard) -> openvino.Model:
    """Convert a network from torch; its input is `(1, H, W, 3)` uint8 RGB."""
    extras.require(extras.TORCH, "reference", f"converting {card.name} for OpenVINO")
    import torch

    from reidsearch.models.embedders.torchreid_network import load_network

    crop = torch.zeros(1, 3, *card.input_hw)
    model = openvino.convert_model(torch.export.export(load_network(card), (crop,)))
    model.reshape(list(crop.shape))
    return take_pixels(model, card.mean, card.std)
