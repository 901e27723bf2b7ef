"""Crops decoded and resized once, kept in a file that is mapped into memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from reidsearch.core.files import atomic_write
from reidsearch.core.progress import SILENT
from reidsearch.footage.images import read_image
from reidsearch.models.preprocess import resize

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from reidsearch.core.progress import Progress
    from reidsearch.research.training.batches import TrainingSet


def cache_crops(
    data: TrainingSet,
    size_hw: tuple[int, int],
    folder: Path,
    progress: Progress = SILENT,
) -> NDArray[np.uint8]:
    """Decode crops, or map what an earlier call decoded.

    Args:
        data: N crops.
        size_hw: what they are resized to.
        folder: where the file is kept; it is complete or it is not there.
        progress: gets a step for each.

    Returns:
        `(N, H, W, 3)` uint8 RGB, read-only.

    Raises:
        ImageError: one of them cannot be decoded.
        OSError: the folder cannot be written, or its disk is full.
    """
    height, width = size_hw
    path = folder / f"crops-{data.fingerprint[:16]}-{height}x{width}.npy"
    if not path.exists():
        shape = (len(data), height, width, 3)
        header = {"descr": "|u1", "fortran_order": False, "shape": shape}
        with atomic_write(path) as partial, partial.open("wb") as file:
            np.lib.format.write_array_header_1_0(file, header)
            for crop in data.paths:
                file.write(resize(read_image(crop), size_hw).tobytes())
                progress.advance()
    mapped: NDArray[np.uint8] = np.load(path, mmap_mode="r")
    return mapped
