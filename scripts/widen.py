#!/usr/bin/env python
"""Weights for a wider network that computes what the narrower one does, to go on training from.

Each channel is copied, and what the next layer took from it is split between the copies at random,
so that they learn different things from the first step on: Chen et al., "Net2Net: Accelerating
Learning via Knowledge Transfer", ICLR 2016. Widths must be whole multiples, as those of
osnet_ain_x0_25, x0_5 and x1_0 are.

    scripts/widen.py osnet_ain_x0_5=weights.pt osnet_ain_x1_0 wide.pt
    reidsearch train ... --arch osnet_ain_x1_0 --from wide.pt
"""

from __future__ import annotations

from pathlib import Path

import torch
import typer

from reidsearch.models.catalog import find_embedder
from reidsearch.models.embedders.state_dict import read_state_dict
from reidsearch.models.embedders.torchreid_parts import build_network, is_classifier
from reidsearch.models.weights import weights_path

SPREAD = 0.5  # of the share that a copy gets


def widen(tensor: torch.Tensor, shape: torch.Size, generator: torch.Generator) -> torch.Tensor:
    """A tensor of `(out, in, ...)`, `(out,)` or no axes, grown to a shape of as many."""
    if not tensor.ndim:
        return tensor
    tensor = tensor.repeat(shape[0] // tensor.shape[0], *[1] * (tensor.ndim - 1))
    if tensor.ndim == 1 or shape[1] == tensor.shape[1]:
        return tensor
    copies = shape[1] // tensor.shape[1]
    shares = SPREAD * torch.randn(copies, *tensor.shape[:2], generator=generator)
    shares += 1 / copies - shares.mean(dim=0)
    extra = [1] * (tensor.ndim - 2)
    return torch.cat([tensor * share.view(*share.shape, *extra) for share in shares], dim=1)


def main(embedder: str, architecture: str, out: Path) -> None:
    """Write OUT: weights of ARCHITECTURE that compute what EMBEDDER does."""
    narrow = read_state_dict(weights_path(find_embedder(embedder)))
    generator = torch.Generator().manual_seed(1)
    network = build_network(architecture)
    wide = {
        name: widen(narrow[name], tensor.shape, generator)
        for name, tensor in network.state_dict().items()
        if not is_classifier(name)
    }
    torch.save(wide, out)


if __name__ == "__main__":
    typer.run(main)
