"""Compare `ingest` with a loop written as the demo was, on the same frames and models.

The loop calls one TensorFlow session for each frame (or, with tiles, each view of it) and one torch
network for each crop, one after the other; it stores nothing. Each side runs in a process of its
own, in turn, and every round begins with models that are loaded and warm.

usage: python scripts/bench_ingest.py SOURCE [--frames N] [--rounds R] [--tiles T]
"""

from __future__ import annotations

import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from reidsearch import SourceOptions, open_gallery, open_source
from reidsearch.catalog import find_detector, find_embedder, weights_path
from reidsearch.detectors.tiles import choose_grid, join_views, lay_tiles, parse_tiles
from reidsearch.images import cut_crops, to_batch
from reidsearch.types import BadFrame, Detections


def main(
    source: Path,
    frames: Annotated[int, typer.Option(help="Frames of the source to take.")] = 100,
    rounds: Annotated[int, typer.Option(help="Runs of each side.")] = 3,
    tiles: str = "auto",
    side: Annotated[str, typer.Option(hidden=True)] = "",
) -> None:
    """Print frames/s and crops/s of both sides, their ratio, and the peak memory of ingest."""
    if side:
        measure = {"ingest": measure_ingest, "loop": measure_loop}[side]
        print(json.dumps(measure(source, frames, tiles)))
        return
    ran: dict[str, list[dict[str, float]]] = {"ingest": [], "loop": []}
    for _ in range(rounds):
        for name, results in ran.items():
            options = ["--frames", str(frames), "--tiles", tiles, "--side", name]
            command = [sys.executable, __file__, str(source), *options]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            results.append(json.loads(done.stdout))
    for name, results in ran.items():
        seconds = statistics.median(result["seconds"] for result in results)
        count, people = results[0]["frames"], results[0]["people"]
        print(
            f"{name:6}  {count / seconds:6.2f} frames/s  {people / seconds:6.1f} crops/s  "
            f"{people:.0f} people in {count:.0f} frames, "
            f"peak {max(result['peak_mb'] for result in results):.0f} MB"
        )
    pairs = zip(ran["loop"], ran["ingest"], strict=True)
    ratios = [loop["seconds"] / ingest["seconds"] for loop, ingest in pairs]
    print(
        f"ingest is {statistics.median(ratios):.2f} times as fast ({min(ratios):.2f} to "
        f"{max(ratios):.2f} in {rounds} rounds)"
    )


def measure_ingest(source: Path, frames: int, tiles: str) -> dict[str, float]:
    """Run ingest, with its database, after loading the models."""
    warm_up = np.zeros((600, 800, 3), np.uint8)
    with (
        tempfile.TemporaryDirectory() as db,
        open_gallery(db, write=True, tiles=tiles) as gallery,
    ):
        gallery.detector.detect([warm_up])
        gallery.embedder.embed([warm_up])
        footage = open_source(source, SourceOptions(max_frames=frames))
        report = gallery.ingest(footage)
    return finish(report.frames, report.people, report.seconds)


def measure_loop(source: Path, frames: int, tiles: str) -> dict[str, float]:
    """Detect frame by frame and embed crop by crop, with the frameworks' own defaults."""
    import torch
    from torch import nn

    from reidsearch.detectors.tensorflow_graph import tf  # loaded so that torch can come after it
    from reidsearch.embedders.state_dict import read_state_dict
    from reidsearch.embedders.torchreid_parts import build_network

    detector = find_detector("ssdlite_mobilenet_v2_pedestrian")
    embedder = find_embedder("osnet_ain_x0_5.second")
    definition = tf.compat.v1.GraphDef()
    definition.ParseFromString(weights_path(detector).read_bytes())
    with tf.Graph().as_default() as graph:
        tf.import_graph_def(definition, name="")
    session = tf.compat.v1.Session(graph=graph)
    network = build_network(embedder.architecture)
    network.classifier = nn.Identity()
    network.load_state_dict(read_state_dict(weights_path(embedder)))
    network.eval()
    outputs = ("detection_boxes:0", "detection_scores:0")

    def look(view: np.ndarray, left: int, top: int) -> Detections:
        boxes, scores = (o[0] for o in session.run(outputs, {"image_tensor:0": view[None]}))
        height, width = view.shape[:2]
        xyxy = boxes[:, [1, 0, 3, 2]] * [width, height, width, height] + [left, top, left, top]
        kept = scores >= 0.05
        return Detections(xyxy[kept].astype(np.float32), scores[kept])

    def embed(crop: np.ndarray) -> np.ndarray:
        batch = to_batch([crop], size_hw=embedder.input_hw, mean=embedder.mean, std=embedder.std)
        with torch.no_grad():
            return nn.functional.normalize(network(torch.from_numpy(batch))).numpy()

    look(np.zeros((600, 800, 3), np.uint8), 0, 0)
    embed(np.zeros((80, 40, 3), np.uint8))
    started, seen, people = time.perf_counter(), 0, 0
    for frame in open_source(source, SourceOptions(max_frames=frames)).frames():
        if isinstance(frame, BadFrame):
            continue
        height, width = frame.image.shape[:2]
        grid = parse_tiles(tiles) or choose_grid(width, height, detector.input_px)
        layout = lay_tiles(width, height, grid)
        views = [look(frame.image[y1:y2, x1:x2], x1, y1) for x1, y1, x2, y2 in layout]
        found = join_views(layout, views)
        tall = found.xyxy[:, 3] - found.xyxy[:, 1] >= 24
        crops = cut_crops(frame.image, found[tall & (found.score >= detector.min_score)])
        for crop in crops.images:
            embed(crop)
        seen, people = seen + 1, people + len(crops)
    return finish(seen, people, time.perf_counter() - started)


def finish(frames: int, people: int, seconds: float) -> dict[str, float]:
    """Add the process's peak memory to what was measured."""
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    return {"frames": frames, "people": people, "seconds": seconds, "peak_mb": peak_mb}


if __name__ == "__main__":
    typer.run(main)
