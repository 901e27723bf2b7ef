"""How well, and how fast, each pair of a detector and an embedder finds people again.

Each row is what `reidsearch evaluate footage` says of both scenes, at one score and grid of tiles.
Milliseconds are of two hundred frames or crops of the first scene, one network after the other;
let nothing else run beside it.

usage: python scripts/bench_pairs.py VIDEO=GT[=PERSON_MAP]@EVERY ...
    --detector NAME[@SCORE[@TILES]] ...
    --embedder NAME ... [--crops DIR]
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from reidsearch.core.defaults import MIN_HEIGHT_PX
from reidsearch.core.provenance import DetectionSettings
from reidsearch.core.types import Frame
from reidsearch.footage import SourceOptions, open_source
from reidsearch.footage.images import cut_crops
from reidsearch.models.catalog import find_detector, find_embedder
from reidsearch.models.detectors import load_detector
from reidsearch.models.embedders import Embedder, load_embedder
from reidsearch.research.footage import FootageQuality, evaluate_footage
from reidsearch.research.market1501 import evaluate_market1501
from reidsearch.research.mot import read_mot

_TIMED = 200


@dataclass(frozen=True)
class Scene:
    """Footage with ground truth, each `every`th frame of it."""

    video: Path
    truth: Path
    person_map: Path | None
    every: int

    @classmethod
    def parse(cls, text: str) -> Scene:
        """Read `VIDEO=GT@EVERY` or `VIDEO=GT=PERSON_MAP@EVERY`."""
        paths, _, every = text.partition("@")
        video, truth, *person_map = map(Path, paths.split("="))
        return cls(video, truth, person_map[0] if person_map else None, int(every or 1))

    def evaluate(
        self, settings: DetectionSettings, detector: str, embedder: Embedder
    ) -> FootageQuality:
        """See `evaluate_footage`."""
        return evaluate_footage(
            open_source(self.video, SourceOptions(every=self.every)),
            read_mot(self.truth, self.person_map).frames,
            load_detector(find_detector(detector), settings),
            embedder,
            settings.min_score,
        )

    def images(self) -> list[np.ndarray]:
        """The first of its frames."""
        source = open_source(self.video, SourceOptions(max_frames=_TIMED))
        return [frame.image for frame in source.frames() if isinstance(frame, Frame)]


def main(
    scenes: Annotated[list[str], typer.Argument()],
    detector: Annotated[list[str], typer.Option(help="NAME, or NAME@SCORE, or NAME@SCORE@TILES.")],
    embedder: Annotated[list[str], typer.Option()],
    crops: Annotated[Path | None, typer.Option(help="In Market-1501's layout.")] = None,
) -> None:
    """Print tables."""
    footage = [Scene.parse(text) for text in scenes]
    networks = {name: load_embedder(find_embedder(name)) for name in embedder}
    names = " | ".join(scene.video.stem for scene in footage)
    print(f"recall / precision, mAP, mAP_all\n\n| detector, score, tiles | embedder | {names} |")
    print("|---" * (2 + len(footage)) + "|")
    for spec in detector:
        name, settings = parse(spec)
        for network in networks.values():
            cells = [describe(scene.evaluate(settings, name, network)) for scene in footage]
            about = f"{name}, {settings.min_score}, {settings.tiles}"
            print(f"| {about} | {network.card.name} | {' | '.join(cells)} |", flush=True)
    print("\n| network | ms a frame or crop | rank-1 / mAP of crops |\n|---|---|---|")
    images = footage[0].images()
    for spec in detector:
        name, settings = parse(spec)
        finder = load_detector(find_detector(name), settings)
        found = finder.detect(images[:1])
        ms = milliseconds(finder.detect, images)
        print(f"| {name}, {settings.tiles} | {ms:.1f} | |", flush=True)
    cut = list(cut_crops(images[0], found[0]).images)
    many = (cut * _TIMED)[:_TIMED]
    for network in networks.values():
        ms, quality = milliseconds(network.embed, many), ""
        if crops is not None:
            ranked = evaluate_market1501(crops, network).quality
            quality = f"{ranked.cmc[0]:.3f} / {ranked.mean_ap:.3f}"
        print(f"| {network.card.name} | {ms:.1f} | {quality} |", flush=True)


def parse(spec: str) -> tuple[str, DetectionSettings]:
    """Read `NAME`, `NAME@SCORE` or `NAME@SCORE@TILES`."""
    name, score, tiles = [*spec.split("@"), "", ""][:3]
    min_score = float(score or find_detector(name).min_score)
    return name, DetectionSettings(min_score, MIN_HEIGHT_PX, tiles or "auto")


def describe(quality: FootageQuality) -> str:
    """A cell of the table."""
    found, searched = quality.detection, quality.search
    return (
        f"{found.recall:.3f} / {found.precision:.3f}, "
        f"{searched.mean_ap:.3f}, {searched.mean_ap_all:.3f}"
    )


def milliseconds(work: Any, items: list[Any]) -> float:
    """Of one item, once the network is warm."""
    work(items[:8])
    started = time.perf_counter()
    for start in range(0, len(items), 8):
        work(items[start : start + 8])
    return 1000 * (time.perf_counter() - started) / len(items)


if __name__ == "__main__":
    typer.run(main)
