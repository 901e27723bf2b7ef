"""What a training run is decided by, up to the rounding of parallel sums."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """All that decides a run, beside its data.

    Attributes:
        architecture: torchreid's name.
        input_hw: height and width, in pixels, that crops are brought to.
        epochs: in each, as many crops are shown as the sets have together.
        identities, crops: how many people a batch has, and how many crops of each.
        peak_lr: AdamW's learning rate between warm-up and decay.
        warmup_epochs: over which it rises from zero, but no more than a fifth of the run.
        weight_decay: AdamW's.
        label_smoothing: of the softmax loss.
        triplet_weight: of the triplet loss; 0 is plain softmax.
        erasing: how often a part of a crop is erased, as a fraction.
        start_from: whose weights to begin with: an embedder as `--embedder` takes it, a file, or
            empty.
        teacher: the embedder to learn from besides the labels, likewise.
        seed: of everything random.
    """

    architecture: str
    input_hw: tuple[int, int] = (256, 128)
    epochs: int = 60
    identities: int = 16
    crops: int = 4
    peak_lr: float = 1e-3
    warmup_epochs: float = 2.0
    weight_decay: float = 5e-4
    label_smoothing: float = 0.1
    triplet_weight: float = 1.0
    erasing: float = 0.4
    start_from: str = ""
    teacher: str = ""
    seed: int = 1

    def lr_at(self, epoch: float) -> float:
        """Learning rate after so many epochs (a fraction within one): warm-up, then a cosine.

        Loshchilov and Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts", ICLR 2017,
        without restarts.
        """
        warmup = min(self.warmup_epochs, self.epochs / 5)
        if epoch < warmup:
            return self.peak_lr * epoch / warmup
        done = (epoch - warmup) / (self.epochs - warmup)
        return self.peak_lr * 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))
