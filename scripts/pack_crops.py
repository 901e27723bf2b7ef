#!/usr/bin/env python
"""Pack crops to be taught with: data sets in Market-1501's layout, and people cut out of pictures.

    scripts/pack_crops.py PACK --set market1501 --set cuhk03 --pictures street/ \
        --video vtest.avi --until 397 --every 5 --detector person-vehicle-bike-detection-2003.xml

The detector is one of Open Model Zoo's ATSS ones: outputs `boxes` and `labels`, 1 being a person.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import cv2
import numpy as np
import openvino
import typer
from numpy.typing import NDArray

from reidsearch.core.types import Detections
from reidsearch.footage.images import IMAGE_SUFFIXES, cut_crops, read_image
from reidsearch.research.datasets import TRAIN, read_crops
from reidsearch.research.training.pack import write_pack

SIZE_HW = (256, 128)
MIN_SCORE, MIN_HEIGHT_PX = 0.4, 40
JITTER = 0.04  # of a box's width and height, each side by itself


class Detector:
    """People in pictures, their boxes moved a little."""

    def __init__(self, path: Path) -> None:
        self._compiled = openvino.Core().compile_model(path, "CPU")
        _, _, self._height, self._width = self._compiled.input().shape
        self._rng = np.random.default_rng(1)

    def cut(self, image: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
        """Their crops."""
        stretched = cv2.resize(image, (self._width, self._height))[..., ::-1]
        given: Any = self._compiled(
            {0: stretched.transpose(2, 0, 1)[np.newaxis].astype(np.float32)}
        )
        boxes, labels = given["boxes"], given["labels"]
        boxes = boxes[(labels == 1) & (boxes[:, 4] >= MIN_SCORE)].astype(np.float32)
        scale = image.shape[1] / self._width, image.shape[0] / self._height
        xyxy = boxes[:, :4] * np.array([*scale, *scale], np.float32)
        size = np.tile(xyxy[:, 2:] - xyxy[:, :2], 2)
        tall = size[:, 1] >= MIN_HEIGHT_PX
        xyxy += size * self._rng.uniform(-JITTER, JITTER, size.shape).astype(np.float32)
        return list(cut_crops(image, Detections(xyxy[tall], boxes[tall, 4])).images)


def labelled(folders: list[Path]) -> Iterator[tuple[NDArray[np.uint8], str]]:
    """Crops of data sets; a group is a person."""
    for folder in folders:
        crops = read_crops(folder, TRAIN)
        for path, pid in zip(crops.paths, crops.pids, strict=True):
            yield read_image(path), f"{folder.name}/{pid}"


def found(folder: Path, detector: Detector) -> Iterator[tuple[NDArray[np.uint8], str]]:
    """People in pictures; a group is a picture."""
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in IMAGE_SUFFIXES:
            for crop in detector.cut(read_image(path)):
                yield crop, str(path)


def filmed(
    video: Path, until: int, every: int, detector: Detector
) -> Iterator[tuple[NDArray[np.uint8], str]]:
    """People in a video's first frames; a group is a frame."""
    reader = cv2.VideoCapture(str(video))
    for number in range(1, until + 1):
        read, image = reader.read()
        if not read:
            break
        if number % every == 1 % every:
            for crop in detector.cut(image[..., ::-1].astype(np.uint8)):
                yield crop, f"{video}/{number}"


def main(
    out: Path,
    sets: Annotated[list[Path], typer.Option("--set")],
    detector: Annotated[Path, typer.Option()],
    pictures: Annotated[Path, typer.Option()],
    video: Annotated[Path, typer.Option()],
    until: int = 397,
    every: int = 5,
) -> None:
    """Write OUT."""
    finder = Detector(detector)

    def everyone() -> Iterator[tuple[NDArray[np.uint8], str]]:
        yield from found(pictures, finder)
        yield from filmed(video, until, every, finder)
        yield from labelled(sets)

    pack = write_pack(out, everyone(), SIZE_HW)
    print(f"{len(pack):,} crops in {pack.groups.max() + 1:,} groups")


if __name__ == "__main__":
    typer.run(main)
