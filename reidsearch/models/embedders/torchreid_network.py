"""torchreid's networks in torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from reidsearch.core.errors import ModelError
from reidsearch.models.embedders.state_dict import read_state_dict
from reidsearch.models.embedders.torchreid_parts import build_network, is_classifier
from reidsearch.models.weights import weights_path

if TYPE_CHECKING:
    import torch

    from reidsearch.models.cards import EmbedderCard


def load_network(card: EmbedderCard) -> nn.Module:
    """Build a network in evaluation mode, `(N, 3, H, W)` to `(N, D)`, with its verified weights.

    Raises:
        ModelError: the weights are missing, damaged, or of another architecture.
    """
    network: nn.Module = build_network(card.architecture)
    for name, _ in list(network.named_children()):
        if is_classifier(name):
            setattr(network, name, nn.Identity())
    _load_strictly(network, read_state_dict(weights_path(card)), card)
    return network.eval()


def _load_strictly(network: nn.Module, state: dict[str, torch.Tensor], card: EmbedderCard) -> None:
    try:
        network.load_state_dict(state, strict=True)
    except RuntimeError as error:
        differences = str(error).splitlines()[1:]
        first = differences[0].strip() if differences else str(error)
        if len(first) > 160:
            first = f"{first[:160]}..."
        raise ModelError(
            f"the weights of {card.name} do not fit the architecture {card.architecture}: {first}"
        ) from error
