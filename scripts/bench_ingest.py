"""Compare detection, embedding and the whole of ingest with the way the demo did them.

Same models, same frames, each side in a process of its own, in turn; models are loaded and warm
before the clock starts. The demo's loop stores nothing; ingest writes its database. The last table
says how far from this CPU's limit the networks run.

usage: python scripts/bench_ingest.py VIDEO [--frames N] [--rounds R] [--out FILE.json]
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from bench_tools import compare, machine, peak_mb, run_side, to_markdown

from reidsearch import ModelChoice, SourceOptions, open_database, open_source
from reidsearch.core.defaults import MIN_HEIGHT_PX
from reidsearch.core.provenance import DetectionSettings
from reidsearch.footage.images import cut_crops
from reidsearch.models.backends import Precision
from reidsearch.models.catalog import (
    default_detector,
    default_embedder,
    find_detector,
    find_embedder,
)
from reidsearch.models.detectors import Detector, load_detector
from reidsearch.models.embedders import load_embedder

LARGE = "osnet_ain_x1_0"
BATCH = 32  # of torchreid's FeatureExtractor, in this comparison
SOME_FRAMES = 60  # for detection or embedding alone


@dataclass(frozen=True)
class Setting:
    """What both sides are given."""

    source: Path
    frames: int
    embedder: str
    precision: Precision


def main(
    source: Path,
    frames: Annotated[int, typer.Option(help="Frames of the source to ingest.")] = 300,
    rounds: Annotated[int, typer.Option(help="Runs of each side.")] = 3,
    precision: Annotated[Precision, typer.Option(help="Of our side.")] = "f32",
    out: Annotated[Path | None, typer.Option(help="Write everything measured, as JSON.")] = None,
    side: Annotated[str, typer.Option(hidden=True)] = "",
    embedder: Annotated[str, typer.Option(hidden=True)] = "",
) -> None:
    """Print tables in Markdown."""
    if side:
        print(json.dumps(SIDES[side](Setting(source, frames, embedder, precision))))
        return
    with tempfile.TemporaryDirectory() as folder:
        large = f"{LARGE}={save_random_weights(Path(folder))}"
        small = default_embedder()

        def sides(name: str, embedder: str, count: int) -> list[list[object]]:
            call = [sys.executable, __file__, source, "--embedder", embedder, "--frames", count]
            call += ["--precision", precision]
            return [[*call, "--side", f"{name}-{who}"] for who in ("ours", "reference")]

        def run(work: str, unit: str, *args: object) -> None:
            rows.append(compare(work, unit, *sides(*args), rounds))

        rows: list = []
        run(f"embedding, {LARGE}, 256x128", "crop", "embed", large, SOME_FRAMES)
        run(f"embedding, {small}", "crop", "embed", small, SOME_FRAMES)
        run("detection, tiles and whole", "frame", "detect", small, SOME_FRAMES)
        run(f"ingest, {LARGE}, 256x128", "frame", "ingest", large, frames)
        run(f"ingest, {small}", "frame", "ingest", small, frames)
        limits = [run_side(*sides("limit", spec, 8)[0]) for spec in (large, small)]
    print(f"{machine()}\n\n{to_markdown(rows)}\n\n{limits_table(limits, precision)}")
    if out:
        figures = {"machine": machine(), "rows": [asdict(row) for row in rows], "limits": limits}
        out.write_text(json.dumps(figures, indent=1) + "\n")


def save_random_weights(folder: Path) -> Path:
    """Speed does not ask what a network has learnt."""
    import torch

    from reidsearch.models.embedders.torchreid_parts import build_network

    path = folder / "random.pt"
    torch.save(build_network(LARGE).state_dict(), path)
    return path


def limits_table(limits: list[dict[str, float]], precision: Precision) -> str:
    """How long the multiply-adds alone would take at the peak of matrix products."""
    peaks = ", ".join(f"{limits[0][f'peak_{p}'] / 1e9:.0f} in {p}" for p in ("f32", "bf16", "int8"))
    lines = [
        f"Large matrix products reach {peaks}, in GMAC/s.",
        "",
        f"| network | GMAC | at the {precision} peak | measured | of the peak |",
        "|---|---|---|---|---|",
    ]
    for name, figures, part in (
        ("detector, a view", limits[0], "detector"),
        (f"{LARGE} at 256x128, a crop", limits[0], "embedder"),
        (f"{default_embedder()}, a crop", limits[1], "embedder"),
    ):
        macs, seconds = figures[f"{part}_macs"], figures[f"{part}_seconds"]
        least = macs / figures[f"peak_{precision}"]
        lines.append(
            f"| {name} | {macs / 1e9:.3f} | {least * 1000:.2f} ms | {seconds * 1000:.2f} ms "
            f"| {least / seconds:.0%} |"
        )
    return "\n".join(lines)


def read_frames(setting: Setting) -> list[np.ndarray]:
    """Read the first frames into memory."""
    frames = open_source(setting.source).frames()
    return [frame.image for frame in islice(frames, setting.frames)]


def read_crops(setting: Setting) -> list[np.ndarray]:
    """Find people to embed."""
    frames = read_frames(setting)
    found = our_detector(setting.precision).detect(frames)
    return [c for pair in zip(frames, found, strict=True) for c in cut_crops(*pair).images]


def our_detector(precision: Precision) -> Detector:
    """The built-in detector with ingest's settings."""
    card = find_detector(default_detector())
    settings = DetectionSettings(card.min_score, MIN_HEIGHT_PX, "auto")
    return load_detector(card, settings, precision=precision)


def embed_ours(setting: Setting) -> dict[str, float]:
    """Embed crops together."""
    card, crops = find_embedder(setting.embedder), read_crops(setting)
    network = load_embedder(card, precision=setting.precision)
    network.embed(crops[:BATCH])
    started = time.perf_counter()
    network.embed(crops)
    return {"units": len(crops), "seconds": time.perf_counter() - started}


def embed_reference(setting: Setting) -> dict[str, float]:
    """Embed crops in torch, batch by batch."""
    from bench_reference import DemoEmbedder

    crops, network = read_crops(setting), DemoEmbedder(find_embedder(setting.embedder))
    network.embed(crops[:BATCH])
    started = time.perf_counter()
    for start in range(0, len(crops), BATCH):
        network.embed(crops[start : start + BATCH])
    return {"units": len(crops), "seconds": time.perf_counter() - started}


def detect_ours(setting: Setting) -> dict[str, float]:
    """Find people in all frames."""
    frames, detector = read_frames(setting), our_detector(setting.precision)
    detector.detect(frames[:4])
    started = time.perf_counter()
    detector.detect(frames)
    return {"units": len(frames), "seconds": time.perf_counter() - started}


def detect_reference(setting: Setting) -> dict[str, float]:
    """Find people in one view after the other."""
    from bench_reference import DemoDetector

    frames, detector = read_frames(setting), DemoDetector(find_detector(default_detector()), "auto")
    detector.detect(frames[0])
    started = time.perf_counter()
    for frame in frames:
        detector.detect(frame)
    return {"units": len(frames), "seconds": time.perf_counter() - started}


def ingest_ours(setting: Setting) -> dict[str, float]:
    """Run ingest, with its database."""
    warm_up = np.zeros((600, 800, 3), np.uint8)
    choice = ModelChoice(embedder=setting.embedder, precision=setting.precision)
    with (
        tempfile.TemporaryDirectory() as db,
        open_database(db, models=choice).write() as ingest,
    ):
        ingest.models.detector.detect([warm_up])
        ingest.models.embedder.embed([warm_up])
        footage = open_source(setting.source, SourceOptions(max_frames=setting.frames))
        report = ingest.run(footage)
    return {
        "units": report.frames,
        "seconds": report.seconds,
        "detections": report.detections,
        "cores busy": report.cpu_s / report.seconds,
        "peak MB": peak_mb(),
    }


def ingest_reference(setting: Setting) -> dict[str, float]:
    """Detect view by view and embed crop by crop."""
    from bench_reference import DemoDetector, DemoEmbedder

    detector = DemoDetector(find_detector(default_detector()), "auto")
    network = DemoEmbedder(find_embedder(setting.embedder))
    detector.detect(np.zeros((600, 800, 3), np.uint8))
    network.embed([np.zeros((80, 40, 3), np.uint8)])
    started = time.perf_counter()
    footage = open_source(setting.source, SourceOptions(max_frames=setting.frames))
    count = 0
    for frame in footage.frames():
        for crop in cut_crops(frame.image, detector.detect(frame.image)).images:
            network.embed([crop])
        count += 1
    return {"units": count, "seconds": time.perf_counter() - started}


def limit_ours(setting: Setting) -> dict[str, float]:
    """Time the networks alone, and count what they do."""
    from bench_roofline import count_macs, measure_peaks

    from reidsearch.models.detectors.openvino_graph import cut_graph
    from reidsearch.models.embedders.openvino_export import export
    from reidsearch.models.openvino_runtime import compile_model, run_each
    from reidsearch.models.weights import weights_path

    detector = find_detector(default_detector())
    figures = {f"peak_{name}": value for name, value in measure_peaks().items()}
    for part, model in (
        ("detector", cut_graph(weights_path(detector), detector.input_hw)),
        ("embedder", export(find_embedder(setting.embedder))),
    ):
        compiled, shape = compile_model(model, setting.precision), list(model.input().shape)
        pixels = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
        rounds = []
        for _ in range(4):
            started = time.perf_counter()
            list(run_each(compiled, [pixels] * 64))
            rounds.append((time.perf_counter() - started) / 64)
        figures[f"{part}_macs"] = count_macs(model)
        figures[f"{part}_seconds"] = min(rounds)
    return figures


SIDES = {
    "embed-ours": embed_ours,
    "embed-reference": embed_reference,
    "detect-ours": detect_ours,
    "detect-reference": detect_reference,
    "ingest-ours": ingest_ours,
    "ingest-reference": ingest_reference,
    "limit-ours": limit_ours,
}

if __name__ == "__main__":
    typer.run(main)
