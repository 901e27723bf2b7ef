"""What a run leaves behind: weights, and a card that says where they come from."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import tomli_w
import torch

from reidsearch._version import __version__
from reidsearch.core.files import atomic_write, hash_file

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from reidsearch.research.training.distil import Lesson
    from reidsearch.research.training.recipe import Recipe


def write_card(
    folder: Path,
    recipe: Recipe | Lesson,
    state: Mapping[str, torch.Tensor],
    *,
    dimension: int,
    training: Mapping[str, Any],
) -> Path:
    """Write `weights.pt` and `card.toml`, which `--embedder` takes.

    Args:
        folder: where to.
        recipe: what the weights were trained by.
        state: the weights, without a classifier.
        dimension: D of the network's vectors.
        training: what else the card shall say about the run.

    Returns:
        The card.

    Raises:
        OSError: the folder cannot be written.
    """
    weights = folder / "weights.pt"
    with atomic_write(weights) as partial:
        torch.save({name: tensor.contiguous() for name, tensor in state.items()}, partial)
    names = ", ".join(training["datasets"])
    embedder = {
        "about": f"{recipe.architecture}, trained on {names}",
        "architecture": recipe.architecture,
        "files": [
            {
                "name": weights.name,
                "sha256": hash_file(weights),
                "bytes": weights.stat().st_size,
            }
        ],
        "dimension": dimension,
        "input_hw": list(recipe.input_hw),
        "data_license": f"the terms of {names}",
    }
    run = {"reidsearch": __version__, **training, "recipe": asdict(recipe)}
    card = folder / "card.toml"
    with atomic_write(card) as partial:
        partial.write_text(tomli_w.dumps({"embedder": embedder, "training": run}), "utf-8")
    return card
