"""Random changes to a batch of crops, so that a network learns what does not matter.

A batch is changed at once: torchvision's transforms, which torchreid's build on, change one picture
at a time or all of them in the same way.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch.nn import functional

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True, kw_only=True)
class Strength:
    """How much crops are changed; of pairs, each crop gets a value between the two.

    Attributes:
        zoom: a detector's boxes are sometimes too tight and sometimes too wide.
        shift: at most, of the crop's width and height.
        brightness, contrast, saturation: at most, as a fraction.
        grey_rate: how often all colour is taken away, as a fraction.
        coarse_rate, coarse_scale: how often pixels are made larger, and how many are left of its
            width and height: people far away have few.
        erased_area, erased_aspect: of the rectangle that is erased; height to width.
    """

    zoom: tuple[float, float] = (0.88, 1.06)
    shift: float = 0.06
    brightness: float = 0.25
    contrast: float = 0.25
    saturation: float = 0.4
    grey_rate: float = 0.05
    coarse_rate: float = 0.3
    coarse_scale: tuple[float, float] = (0.3, 0.9)
    erased_area: tuple[float, float] = (0.02, 0.35)
    erased_aspect: tuple[float, float] = (0.3, 3.3)


USUAL = Strength()
# For a teacher that is asked about the changed crop: it must still know the person.
MILD = Strength(
    zoom=(0.9, 1.08),
    shift=0.04,
    brightness=0.2,
    contrast=0.2,
    saturation=0.3,
    grey_rate=0.02,
    coarse_rate=0.25,
    coarse_scale=(0.4, 0.9),
    erased_area=(0.02, 0.2),
)


class Augmenter:
    """Turns cached crops into network input.

    Args:
        mean, std: per RGB channel, of values in `[0, 1]`.
        erasing: how often a part of a crop is erased, as a fraction.
        generator: where all randomness comes from.
        strength: how much crops are changed.
    """

    def __init__(
        self,
        mean: Sequence[float],
        std: Sequence[float],
        erasing: float,
        generator: torch.Generator,
        strength: Strength = USUAL,
    ) -> None:
        self._mean = torch.tensor(mean).view(1, 3, 1, 1)
        self._std = torch.tensor(std).view(1, 3, 1, 1)
        self._erasing = erasing
        self._generator = generator
        self._strength = strength

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
        n, shift = len(images), self._strength.shift
        zoom = self._uniform(n, *self._strength.zoom)
        theta = torch.zeros(n, 2, 3)
        theta[:, 0, 0] = torch.where(self._happens(n, 0.5), -zoom, zoom)
        theta[:, 1, 1] = zoom
        theta[:, 0, 2] = self._uniform(n, -2 * shift, 2 * shift)  # the picture spans -1 to 1
        theta[:, 1, 2] = self._uniform(n, -2 * shift, 2 * shift)
        grid = functional.affine_grid(theta, list(images.shape), align_corners=False)
        return functional.grid_sample(images, grid, padding_mode="border", align_corners=False)

    def _coarsen(self, images: torch.Tensor) -> torch.Tensor:
        """Take some of them down to fewer pixels and up again."""
        rows = self._happens(len(images), self._strength.coarse_rate).nonzero().flatten()
        if not len(rows):
            return images
        height, width = images.shape[2:]
        scale = float(self._uniform(1, *self._strength.coarse_scale))
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
        n, much = len(images), self._strength
        brightness, contrast, saturation = (
            self._uniform(n, 1 - spread, 1 + spread).view(n, 1, 1, 1)
            for spread in (much.brightness, much.contrast, much.saturation)
        )
        saturation[self._happens(n, much.grey_rate)] = 0
        luma = torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)  # ITU-R BT.601
        grey = (images * luma).sum(dim=1, keepdim=True)
        images = torch.lerp(grey.expand_as(images), images, saturation)
        level = images.mean(dim=(1, 2, 3), keepdim=True)
        images = torch.lerp(level.expand_as(images), images, contrast)
        return (images * brightness).clamp_(0, 1)

    def _erase(self, images: torch.Tensor) -> torch.Tensor:
        """Erase a rectangle of some: Zhong et al., "Random Erasing Data Augmentation", 2020."""
        n, _, height, width = images.shape
        area = self._uniform(n, *self._strength.erased_area)
        aspect = self._uniform(n, *self._strength.erased_aspect)
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
