"""A small data set in Market-1501's layout, cut from the sample frames by their ground truth."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PIL import Image

from reidsearch.core.types import Detections
from reidsearch.footage.images import cut_crops, read_image
from reidsearch.research.mot import read_mot
from tests.conftest import SAMPLE

if TYPE_CHECKING:
    from pathlib import Path

import numpy as np


def write_dataset(folder: Path, *parts: str, people: slice = slice(None), cameras: int = 2) -> Path:
    """Write crops of some of the ten people to each of the parts; frames take turns as cameras."""
    truth = read_mot(SAMPLE / "gt.txt", SAMPLE / "person_map.json").frames
    names = sorted({name for frame in truth.values() for name in frame.people})[people]
    for part in parts:
        (folder / part).mkdir(parents=True, exist_ok=True)
    for number, frame in truth.items():
        image = read_image(SAMPLE / f"frame_{number:04}.jpg")
        boxes = Detections(frame.xyxy, np.ones(len(frame.people), np.float32))
        camera = number // 20 % cameras + 1
        for crop, name in zip(cut_crops(image, boxes).images, frame.people, strict=True):
            if name in names:
                for part in parts:
                    file = f"{names.index(name) + 1:04}_c{camera}s1_{number:06}_01.jpg"
                    Image.fromarray(crop).save(folder / part / file)
    return folder
