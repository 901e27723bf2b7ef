"""What tiles do to detection: scenes of small and of large people, in 768x576 to 3840x2160.

The large scenes are composed of frames of several moments, enlarged or reduced, side by side, so
that people cross the inner borders of all tiles.

usage: python scripts/bench_tiles.py DATA [--detector CARD[=PATH]] [--tiles auto --tiles off ...]
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer

from reidsearch.core.boxes import areas, clip_to, cover_matrix, iou_matrix
from reidsearch.core.defaults import MIN_HEIGHT_PX
from reidsearch.core.native import cv2
from reidsearch.core.provenance import DetectionSettings
from reidsearch.footage import SourceOptions, open_source
from reidsearch.models.catalog import default_detector, find_detector
from reidsearch.models.detectors import load_detector
from reidsearch.models.detectors.tiles import lay_out, parse_tiles
from reidsearch.research.footage import MATCH_IOU, measure_detection
from reidsearch.research.mot import FrameTruth, read_mot

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from reidsearch.core.types import Detections
    from reidsearch.models.detectors.tiles import Tile

HD, UHD = (1920, 1080), (3840, 2160)
MOMENTS = 20  # of a scene of people of a given height
NEAR = 0.02  # of a tile, to its border
PART_COVER = 0.7

app = typer.Typer()


@dataclass(frozen=True)
class Scene:
    """Frames, and who is where in them, by frame number."""

    name: str
    images: dict[int, np.ndarray]
    truth: Mapping[int, FrameTruth]

    @property
    def image_height(self) -> int:
        """Height of its frames, in pixels."""
        return int(next(iter(self.images.values())).shape[0])


@app.command()
def main(
    data: Path,
    *,
    detector: Annotated[str | None, typer.Option()] = None,
    tiles: Annotated[list[str], typer.Option()] = ["off", "auto"],  # noqa: B006
    person: Annotated[int | None, typer.Option(help="Only scenes of people so high.")] = None,
) -> None:
    """Print one row for each scene and kind of tiles."""
    pets, campus = data / "pets09-s2l1", data / "tud-campus"
    scenes = [
        read_scene("PETS09-S2L1, every 5th frame", pets / "vtest.avi", pets / "gt.txt", 5),
        read_scene("TUD-Campus, every 2nd", campus / "campus.mp4", campus / "gt.txt", 2),
    ]
    if person is not None:
        scenes = [
            compose(scene, size, person / person_px(scene), MOMENTS)
            for size in (HD, UHD)
            for scene in scenes
        ]
    else:
        scenes += [compose(s, HD, HD[1] / s.image_height, len(s.images)) for s in scenes]
    card = find_detector(detector or default_detector())
    print("| scene | tiles | views | recall | precision | AP50 | cut boxes | ms a frame |")
    print("|---|---|---|---|---|---|---|---|")
    for scene in scenes:
        height, width = next(iter(scene.images.values())).shape[:2]
        for text in tiles:
            every_score = DetectionSettings(0.0, MIN_HEIGHT_PX, text)
            network = load_detector(card, every_score)
            layout = lay_out(width, height, parse_tiles(text), card)
            network.detect(list(scene.images.values())[:1])
            began = time.perf_counter()
            found = {n: network.detect([image])[0] for n, image in scene.images.items()}
            ms = 1000 * (time.perf_counter() - began) / len(scene.images)
            quality = measure_detection(found, scene.truth, card.min_score)
            cut = sum(
                count_cut(some[some.score >= card.min_score], scene.truth.get(number), layout)
                for number, some in found.items()
            )
            rates = (quality.recall, quality.precision, quality.ap50)
            cells = (scene.name, text, len(layout), *(f"{rate:.3f}" for rate in rates), cut)
            print(f"| {' | '.join(map(str, cells))} | {ms:.0f} |", flush=True)


def read_scene(name: str, path: Path, truth: Path, every: int) -> Scene:
    """Read footage."""
    source = open_source(path, SourceOptions(every=every))
    return Scene(name, {f.number: f.image for f in source.frames()}, read_mot(truth).frames)


def person_px(scene: Scene) -> float:
    """Median height of the people in a scene."""
    boxes = np.concatenate([truth.xyxy for truth in scene.truth.values()])
    return float(np.median(boxes[:, 3] - boxes[:, 1]))


def compose(scene: Scene, size: tuple[int, int], scale: float, count: int) -> Scene:
    """Compose `count` larger frames: in each, cells of moments spread over the scene."""
    numbers = list(scene.images)
    height, width = (round(scale * px) for px in scene.images[numbers[0]].shape[:2])
    corners = [(x, y) for y in range(0, size[1], height) for x in range(0, size[0], width)]
    interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    images, truth = {}, {}
    for place in range(0, len(numbers), len(numbers) // count):
        canvas = np.zeros((size[1], size[0], 3), np.uint8)
        boxes = []
        for cell, (x, y) in enumerate(corners):
            number = numbers[(place + cell * len(numbers) // len(corners)) % len(numbers)]
            part = cv2.resize(scene.images[number], (width, height), interpolation=interpolation)
            part = part[: size[1] - y, : size[0] - x]
            canvas[y : y + part.shape[0], x : x + part.shape[1]] = part
            within = (x, y, x + part.shape[1], y + part.shape[0])
            boxes.append(move(scene.truth.get(number), scale, (x, y), within))
        everyone = np.concatenate(boxes).astype(np.float32)
        images[place] = canvas
        truth[place] = FrameTruth(tuple(map(str, range(len(everyone)))), everyone)
    px = person_px(scene) * scale
    name = f"{scene.name.partition(',')[0]}, people of {px:.0f} px in {size[0]}x{size[1]}"
    return Scene(name, images, truth)


def move(
    truth: FrameTruth | None,
    scale: float,
    corner: tuple[int, int],
    within: tuple[int, int, int, int],
) -> np.ndarray:
    """Boxes in a composed frame; those of which less than half is seen go."""
    if truth is None:
        return np.empty((0, 4), np.float32)
    whole = truth.xyxy * scale + np.array([*corner, *corner], np.float32)
    seen = clip_to(whole, within)
    return seen[areas(seen) > areas(whole) / 2]


def count_cut(found: Detections, truth: FrameTruth | None, layout: Sequence[Tile]) -> int:
    """Count boxes that end at an inner border of their tile, and people in them who do not."""
    if truth is None or not truth.people:
        return 0
    is_part = cover_matrix(found.xyxy, truth.xyxy) >= PART_COVER
    is_part &= (iou_matrix(found.xyxy, truth.xyxy).max(axis=1) < MATCH_IOU)[:, None]
    is_cut = np.zeros(len(found), bool)
    for tile in layout[1:]:
        low, high = np.array(tile[:2]), np.array(tile[2:])
        near = NEAR * (high - low)
        holds = ((found.xyxy[:, :2] >= low - near) & (found.xyxy[:, 2:] <= high + near)).all(axis=1)
        for edges, beyond in (
            (abs(found.xyxy[:, :2] - low) < near, truth.xyxy[:, :2] < low - near),
            (abs(found.xyxy[:, 2:] - high) < near, truth.xyxy[:, 2:] > high + near),
        ):
            ends = edges[:, None] & beyond[None]
            is_cut |= holds & (ends.any(axis=2) & is_part).any(axis=1)
    return int(is_cut.sum())


if __name__ == "__main__":
    app()
