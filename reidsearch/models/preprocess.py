"""Turning crops into network input."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


def resize(image: NDArray[np.uint8], size_hw: tuple[int, int]) -> NDArray[np.uint8]:
    """Resize a picture as torchreid does.

    torchreid resizes with torchvision on Pillow pictures, which is Pillow's bilinear filter with
    antialiasing; OpenCV's differs when it shrinks.
    """
    height, width = size_hw
    # A copy: the array that Pillow returns is read-only, which OpenVINO does not accept.
    return np.array(Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR))


def to_batch(
    images: Sequence[NDArray[np.uint8]],
    *,
    size_hw: tuple[int, int],
    mean: Sequence[float],
    std: Sequence[float],
) -> NDArray[np.float32]:
    """Resize and normalise crops as torchreid does for its networks.

    Args:
        images: N crops, `(h, w, 3)` uint8 RGB of any size.
        size_hw: height and width of the network's input.
        mean: per RGB channel, of values in `[0, 1]`.
        std: likewise.

    Returns:
        `(N, 3, H, W)` float32.
    """
    height, width = size_hw
    batch = np.empty((len(images), height, width, 3), np.float32)
    for row, image in zip(batch, images, strict=True):
        row[:] = resize(image, size_hw)
    batch /= 255.0
    batch -= np.asarray(mean, np.float32)
    batch /= np.asarray(std, np.float32)
    return batch.transpose(0, 3, 1, 2)
