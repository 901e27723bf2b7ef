"""What moves the answers: processor, precision, threads, versions and backends.

Each variant finds and embeds the people of the same frames in a process of its own and is compared
with the first: f32 on this processor. Vectors are of the same crops in all variants; mAP is of each
variant's own detections. A folder of `pip install --target FOLDER PACKAGE==VERSION` tries another
version of a library.

usage: python scripts/bench_answers.py main VIDEO GT [--person-map FILE] [--every N]
    [--with FOLDER ...]
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from reidsearch.core.boxes import iou_matrix

SMALL = {
    "ONEDNN_MAX_CPU_ISA": "SSE41",
    "ATEN_CPU_CAPABILITY": "default",
    "NPY_DISABLE_CPU_FEATURES": "AVX2 FMA3 AVX512F",
    "OPENCV_CPU_DISABLE": "AVX2,FMA3,AVX,AVX512-SKX",
}
"""Environment of a processor without AVX, for the libraries that can be told."""


@dataclass(frozen=True)
class Variant:
    """One way to compute.

    Attributes:
        options: of `look`.
    """

    name: str
    options: tuple[str, ...] = ()
    variables: dict[str, str] = field(default_factory=dict)


VARIANTS = (
    Variant("f32, this processor"),
    Variant("the same again"),
    Variant("oneDNN as AVX2", variables={"ONEDNN_MAX_CPU_ISA": "AVX2"}),
    Variant("all libraries as SSE4.1", variables=SMALL),
    Variant("one thread", ("--cores", "1")),
    Variant("bf16", ("--precision", "bf16")),
    Variant("TensorFlow and torch", ("--backend", "reference")),
)

app = typer.Typer()


@app.command()
def main(
    video: Path,
    truth: Path,
    person_map: Path | None = None,
    every: int = 5,
    folders: Annotated[list[Path] | None, typer.Option("--with")] = None,
) -> None:
    """Print a table."""
    others = [
        Variant(", ".join(describe(path)), variables={"PYTHONPATH": str(path)})
        for path in folders or []
    ]
    print("| variant | detections | missing, new | box, px | score | ids | cosine | mAP |")
    print("|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        first = None
        for number, variant in enumerate((*VARIANTS, *others)):
            out = Path(folder, f"{number}.npz")
            command = [sys.executable, __file__, "look", video, truth, out, "--every", every]
            if person_map is not None:
                command += ["--person-map", person_map]
            if first is not None:
                command += ["--crops-of", Path(folder, "0.npz")]
            done = subprocess.run(
                [*map(str, command), *variant.options],
                env=os.environ | variant.variables,
                stderr=subprocess.PIPE,
                text=True,
                check=False,
            )
            if done.returncode:
                said = done.stderr.strip().splitlines()[-1:] or [f"ended with {done.returncode}"]
                print(f"| {variant.name} | {said[0]} |", flush=True)
                continue
            found = dict(np.load(out))
            first = found if first is None else first
            print(f"| {variant.name} | {compare(first, found)} |", flush=True)


@app.command()
def look(
    video: Path,
    truth: Path,
    out: Path,
    person_map: Path | None = None,
    every: int = 5,
    cores: int | None = None,
    precision: str = "f32",
    backend: str = "auto",
    crops_of: Path | None = None,
) -> None:
    """Find and embed, and write what was found."""
    if cores is not None:
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])
    from reidsearch.core.defaults import MIN_HEIGHT_PX
    from reidsearch.core.provenance import DetectionSettings
    from reidsearch.core.types import Detections
    from reidsearch.footage import SourceOptions, open_source
    from reidsearch.footage.images import cut_crops
    from reidsearch.models.catalog import (
        default_detector,
        default_embedder,
        find_detector,
        find_embedder,
    )
    from reidsearch.models.detectors import load_detector
    from reidsearch.models.embedders import load_embedder
    from reidsearch.research.footage import measure_search
    from reidsearch.research.mot import read_mot

    card = find_detector(default_detector())
    settings = DetectionSettings(card.min_score, MIN_HEIGHT_PX, "auto")
    detector = load_detector(card, settings, backend, precision)
    embedder = load_embedder(find_embedder(default_embedder()), backend, precision)
    of_first = None if crops_of is None else dict(np.load(crops_of))
    rows: dict[str, list[np.ndarray]] = {name: [] for name in ("frame", "box", "score", "own")}
    same = []
    for frame in open_source(video, SourceOptions(every=every)).frames():
        [found] = detector.detect([frame.image])
        crops = cut_crops(frame.image, found.as_stored())
        rows["frame"].append(np.full(len(crops), frame.number))
        rows["box"].append(crops.detections.xyxy)
        rows["score"].append(crops.detections.score)
        rows["own"].append(embedder.embed(crops.images).vectors)
        if of_first is not None:
            its = of_first["frame"] == frame.number
            crops = cut_crops(frame.image, Detections(of_first["box"][its], of_first["score"][its]))
            same.append(embedder.embed(crops.images).vectors)
    found = {name: np.concatenate(parts) for name, parts in rows.items()}
    people = read_mot(truth, person_map).frames
    alone = np.arange(len(found["frame"]))  # by detections, not by tracklets
    quality = measure_search(found["frame"], found["box"], found["own"], alone, people)
    np.savez(
        out,
        **found,
        same=found["own"] if of_first is None else np.concatenate(same),
        mean_ap=quality.mean_ap,
    )


def compare(first: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> str:
    """How far another's answers are from the first's, as cells of the table."""
    missing = new = renumbered = 0
    box, score = [0.0], [0.0]
    for frame in np.union1d(first["frame"], other["frame"]):
        ours, theirs = (one["frame"] == frame for one in (first, other))
        iou = iou_matrix(first["box"][ours], other["box"][theirs])
        pairs = np.argwhere(iou > 0.8)
        missing += ours.sum() - len({row for row, _ in pairs})
        new += theirs.sum() - len({column for _, column in pairs})
        for row, column in pairs:
            box.append(np.abs(first["box"][ours][row] - other["box"][theirs][column]).max())
            score.append(abs(first["score"][ours][row] - other["score"][theirs][column]))
            renumbered += row != column
    cosine = (first["same"] * other["same"]).sum(axis=1).min()
    return (
        f"{len(other['frame'])} | {missing}, {new} | {max(box):.2f} | {max(score):.4f} "
        f"| {renumbered} other | {cosine:.6f} | {float(other['mean_ap']):.4f}"
    )


def describe(folder: Path) -> list[str]:
    """Names and versions of what pip has installed in a folder."""
    names = sorted(path.stem for path in folder.glob("*.dist-info"))
    return [name.replace("-", " ") for name in names if not name.startswith("numpy")]


if __name__ == "__main__":
    app()
