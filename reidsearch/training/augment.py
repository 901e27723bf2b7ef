"""Random changes to a batch of crops, so that a network learns what does not matter.

A batch is changed at once: torchvision's transforms, which torchreid's build on, change one picture
at a time or all of them in the same way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn import functional

if TYPE_CHECKING:
    from collections.abc import Sequence

_ZOOM = (0.88, 1.06)  # a detector's boxes are sometimes too tight and sometimes too wide
_SHIFT = 0.06  # of the crop's width and height
_BRIGHTNESS, _CONTRAST, _SATURATION = 0.25, 0.25, 0.4
_GREY_RATE = 0.05
_COARSE_RATE, _COARSE_SCALE = 0.3, (0.3, 0.9)  # people far away have few pixels
_ERASED_AREA, _ERASED_ASPECT = (0.02, 0.35), (0.3, 3.3)  # aspect: height to width


class Augmenter:
    """Turns cached crops into network input.

    Args:
        mean, std: per RGB channel, of values in `[0, 1]`.
        erasing: how often a part of a crop is erased, as a fraction.
        generator: where all randomness comes from.
    """

    def __init__(
        self,
        mean: Sequence[float],
        std: Sequence[float],
        erasing: float,
        generator: torch.Generator,
    ) -> None:
        self._mean = torch.tensor(mean).view(1, 3, 1, 1)
        self._std = torch.tensor(std).view(1, 3, 1, 1)
        self._erasing = erasing
        self._generator = generator

    def __call__(self, crops: torch.Tensor) -> torch.Tensor:
        """From `(N, H, W, 3)` uint8 to `(N, 3, H, W)` float32, normalised, channels last."""
        images = crops.permute(0, 3, 1, 2).float() / 255
        images = self._jitter(self._coarsen(self._move(images)))
        images = (images - self._mean) / self._std
        return self._erase(images).contiguous(memory_format=torch.channels_last)

    def _uniform(self, count: int, low: float, high: float) -> torch.Tensor:
        return low + (high - low) * torch.rand(count, generator=self._generator)

    def _happens(self, count: int, rate: float) -> torch.Tensor:
        return torch.rand(count, generator=self._generator) < rate

    def _move(self, images: torch.Tensor) -> torch.Tensor:
        """Flip half of them; zoom and shift all, repeating the border."""
        n = len(images)
        zoom = self._uniform(n, *_ZOOM)
        theta = torch.zeros(n, 2, 3)
        theta[:, 0, 0] = torch.where(self._happens(n, 0.5), -zoom, zoom)
        theta[:, 1, 1] = zoom
        theta[:, 0, 2] = self._uniform(n, -2 * _SHIFT, 2 * _SHIFT)  # the picture spans -1 to 1
        theta[:, 1, 2] = self._uniform(n, -2 * _SHIFT, 2 * _SHIFT)
        grid = functional.affine_grid(theta, list(images.shape), align_corners=False)
        return functional.grid_sample(images, grid, padding_mode="border", align_corners=False)

    def _coarsen(self, images: torch.Tensor) -> torch.Tensor:
        """Take some of them down to fewer pixels and up again."""
        rows = self._happens(len(images), _COARSE_RATE).nonzero().flatten()
        if not len(rows):
            return images
        height, width = images.shape[2:]
        scale = float(self._uniform(1, *_COARSE_SCALE))
        small = functional.interpolate(
            images[rows],
            size=(round(height * scale), round(width * scale)),
            mode="bilinear",
            antialias=True,
        )
        images[rows] = functional.interpolate(small, size=(height, width), mode="bilinear")
        return images

    def _jitter(self, images: torch.Tensor) -> torch.Tensor:
        """Change brightness, contrast and saturation; take the colour of some away."""
        n = len(images)
        brightness, contrast, saturation = (
            self._uniform(n, 1 - spread, 1 + spread).view(n, 1, 1, 1)
            for spread in (_BRIGHTNESS, _CONTRAST, _SATURATION)
        )
        saturation[self._happens(n, _GREY_RATE)] = 0
        luma = torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)  # ITU-R BT.601
        grey = (images * luma).sum(dim=1, keepdim=True)
        images = torch.lerp(grey.expand_as(images), images, saturation)
        level = images.mean(dim=(1, 2, 3), keepdim=True)
        images = torch.lerp(level.expand_as(images), images, contrast)
        return (images * brightness).clamp_(0, 1)

    def _erase(self, images: torch.Tensor) -> torch.Tensor:
        """Erase a rectangle of some: Zhong et al., "Random Erasing Data Augmentation", 2020."""
        n, _, height, width = images.shape
        area = self._uniform(n, *_ERASED_AREA)
        aspect = self._uniform(n, *_ERASED_ASPECT)
        h = (area * aspect * height * width).sqrt().clamp(max=height)
        w = (area / aspect * height * width).sqrt().clamp(max=width)
        top = self._uniform(n, 0, 1) * (height - h)
        left = self._uniform(n, 0, 1) * (width - w)
        y = torch.arange(height).view(1, height, 1)
        x = torch.arange(width).view(1, 1, width)
        top, left, h, w = (value.view(n, 1, 1) for value in (top, left, h, w))
        inside = (y >= top) & (y < top + h) & (x >= left) & (x < left + w)
        inside &= self._happens(n, self._erasing).view(n, 1, 1)
        return images.masked_fill(inside.unsqueeze(1), 0.0)  # the mean colour
