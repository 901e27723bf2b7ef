"""A picture of how a run went."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from matplotlib.figure import Figure

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def draw_curves(epochs: Sequence[dict[str, Any]], path: Path) -> None:
    """Draw loss, accuracy and what was measured between, over the epochs.

    Args:
        epochs: entries of `log.json`.
        path: a PNG file.
    """
    figure = Figure(figsize=(10, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    number = [entry["epoch"] for entry in epochs]
    left.plot(number, [entry["loss"] for entry in epochs], color="tab:blue")
    left.set(xlabel="epoch", ylabel="loss")
    right.plot(number, [entry["accuracy"] for entry in epochs], ":", label="training accuracy")
    measured = [entry for entry in epochs if entry["quality"]]
    for name in sorted({name for entry in measured for name in entry["quality"]}):
        mine = [entry for entry in measured if name in entry["quality"]]
        for metric in ("rank1", "mAP"):
            points = [entry["quality"][name][metric] for entry in mine]
            at = [entry["epoch"] for entry in mine]
            right.plot(at, points, "o-", label=f"{name} {metric}")
    right.set(xlabel="epoch", ylim=(0, 1))
    right.grid(alpha=0.3)
    right.legend()
    figure.savefig(path, dpi=120)
