"""`reidsearch train`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from reidsearch.cli.output import say
from reidsearch.cli.progress import Bar
from reidsearch.core import extras
from reidsearch.core.errors import UsageError


def train(
    datasets: Annotated[
        list[Path],
        typer.Argument(metavar="DATASET", help="Folders in Market-1501's layout."),
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder of the run.")],
    arch: Annotated[str, typer.Option(help="Architecture: any of torchreid's.")] = "osnet_ain_x0_5",
    size: Annotated[
        str, typer.Option(metavar="HxW", help="Height and width of the input.")
    ] = "256x128",
    epochs: Annotated[
        int, typer.Option(min=1, help="Epochs; each shows as many crops as there are.")
    ] = 60,
    batch: Annotated[
        str, typer.Option(metavar="PxK", help="People in a batch, and crops of each.")
    ] = "16x4",
    lr: Annotated[float, typer.Option(help="Highest learning rate.")] = 1e-3,
    loss: Annotated[
        str, typer.Option(metavar="softmax|triplet", help="Softmax alone, or with triplets.")
    ] = "triplet",
    erasing: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="How often a part of a crop is erased.")
    ] = 0.4,
    start_from: Annotated[
        str, typer.Option("--from", metavar="CARD|FILE", help="Weights to start from.")
    ] = "",
    teacher: Annotated[
        str, typer.Option(metavar="CARD[=PATH]", help="An embedder to also learn from.")
    ] = "",
    evaluate_every: Annotated[
        int, typer.Option(min=1, metavar="N", help="Evaluate every N epochs.")
    ] = 5,
    seed: Annotated[int, typer.Option(min=0, max=2**62, help="Seed of all randomness.")] = 1,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue the run in DIR, if there is one.")
    ] = False,
) -> None:
    """Train a re-identification network on DATASET's bounding_box_train folders.

    A checkpoint is kept after each epoch: the same command with --resume goes on from it. The
    result, DIR/card.toml, is what `ingest --embedder` takes.
    """
    if loss not in ("softmax", "triplet"):
        raise UsageError(f"--loss {loss} is not softmax or triplet")
    if not 0 < lr < float("inf"):
        raise UsageError(f"--lr {lr:g} is not a number above 0")
    input_hw = _parse_pair(size, "--size", "256x128")
    identities, crops = _parse_pair(batch, "--batch", "16x4")
    if min(identities, crops) < 2:
        raise UsageError(f"--batch {batch} is not two people or more and two crops or more of each")

    extras.require(extras.TRAIN, "train", "training")
    from reidsearch.research.training.recipe import Recipe
    from reidsearch.research.training.run import train as run

    recipe = Recipe(
        architecture=arch,
        input_hw=input_hw,
        epochs=epochs,
        identities=identities,
        crops=crops,
        peak_lr=lr,
        triplet_weight=1.0 if loss == "triplet" else 0.0,
        erasing=erasing,
        start_from=start_from,
        teacher=teacher,
        seed=seed,
    )
    with Bar() as progress:
        card = run(*(datasets, recipe, out, progress), evaluate_every=evaluate_every, resume=resume)
    say(f"trained: reidsearch ingest SOURCE --embedder {escape(str(card))} --db NEW")


def _parse_pair(text: str, option: str, example: str) -> tuple[int, int]:
    found = re.fullmatch(r"([1-9]\d{0,3})x([1-9]\d{0,3})", text)
    if not found:
        raise UsageError(f"{option} {text} is not two numbers (for example {example})")
    return int(found[1]), int(found[2])
