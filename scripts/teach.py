#!/usr/bin/env python
"""Teach a network by others on a pack of crops (`scripts/pack_crops.py`), until it is stopped.

    scripts/teach.py PACK --out run --start osnet_ain_x1_0.third --teacher A.toml --teacher B.toml \
        --test pku --test market1501

Each round first asks the teachers about some more views, then learns from all that are known. A run
that was killed goes on with the same command. `run/latest/card.toml` is the last that was
evaluated, `run/best/card.toml` the one with the highest mAP on the first of the sets to test with.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import torch
import typer

from reidsearch.models.catalog import find_embedder
from reidsearch.models.embedders import load_embedder
from reidsearch.models.embedders.state_dict import read_state_dict
from reidsearch.models.weights import weights_path
from reidsearch.research.market1501 import evaluate_market1501
from reidsearch.research.training.card import write_card
from reidsearch.research.training.distil import Distiller, Lesson
from reidsearch.research.training.pack import read_pack
from reidsearch.research.training.views import ViewStore


def main(
    pack: Path,
    out: Annotated[Path, typer.Option()],
    start: Annotated[str, typer.Option()],
    teacher: Annotated[list[str], typer.Option()],
    test: Annotated[list[Path], typer.Option()],
    arch: str = "osnet_ain_x1_0",
    size: str = "128x64",
    first_shards: int = 2,
    more_shards: int = 1,
    views: int = 2,
    lr: float = 6e-4,
    batches: int = 100,
    evaluate_every: int = 3,
    seed: int = 1,
    compiled: bool = False,  # noqa: FBT001, FBT002
    rounds: int = 10_000,
    threads: int = 0,
    averaged: int = 200,
) -> None:
    """Teach."""
    out.mkdir(parents=True, exist_ok=True)
    if threads:
        torch.set_num_threads(threads)
    height, width = map(int, size.split("x"))
    lesson = Lesson(
        architecture=arch,
        input_hw=(height, width),
        lr=lr,
        batches=batches,
        seed=seed,
        averaged=averaged,
    )
    store = ViewStore(out / "views", read_pack(pack), lesson.input_hw, seed)
    cards = [find_embedder(spec) for spec in teacher]
    distiller = Distiller(
        lesson,
        read_state_dict(weights_path(find_embedder(start))),
        sum(card.dimension for card in cards),
        out,
        compiled=compiled,
    )
    teachers = [load_embedder(card) for card in cards]
    while len(distiller.log) < rounds:
        done = len(distiller.log)
        wanted = min(first_shards + done * more_shards, views * store.shards_per_view)
        while store.shards < wanted:
            store.extend(teachers)
            print(f"asked: {len(store):,} views", flush=True)
        log = distiller.run_round(store)
        line: dict[str, Any] = asdict(log)
        if log.round % evaluate_every == 0 or log.round == 1:
            found = evaluate(distiller, lesson, out / "latest", test, cards)
            keep_best(out, found, f"{test[0].name} mAP")
            line |= found
        print(json.dumps(line), flush=True)
        with (out / "rounds.jsonl").open("a") as file:
            file.write(json.dumps(line) + "\n")


def keep_best(out: Path, found: dict[str, float], judged_by: str) -> None:
    """Copy the latest weights if none were better."""
    path = out / "rounds.jsonl"
    lines = path.read_text().splitlines() if path.exists() else []
    if found[judged_by] >= max((json.loads(line).get(judged_by, 0) for line in lines), default=0):
        shutil.copytree(out / "latest", out / "best", dirs_exist_ok=True)


def evaluate(
    distiller: Distiller, lesson: Lesson, folder: Path, test: list[Path], cards: list[Any]
) -> dict[str, float]:
    """Rank each of the sets with the mean of the weights, rounded to float16 as it is shipped."""
    folder.mkdir(exist_ok=True)
    state = {n: t.half() if t.is_floating_point() else t for n, t in distiller.state().items()}
    training = {
        "datasets": {"pack": {}},
        "teachers": [card.about for card in cards],
        "rounds": len(distiller.log),
    }
    card = write_card(folder, lesson, state, dimension=distiller.dimension, training=training)
    embedder = load_embedder(find_embedder(str(card)), "reference")
    found: dict[str, float] = {}
    with torch.inference_mode():
        for path in test:
            quality = evaluate_market1501(path, embedder).quality
            found[f"{path.name} rank1"] = round(float(quality.cmc[0]), 4)
            found[f"{path.name} mAP"] = round(quality.mean_ap, 4)
    return found


if __name__ == "__main__":
    typer.run(main)
