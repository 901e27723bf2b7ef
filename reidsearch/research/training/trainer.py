"""The training loop: epochs, checkpoints, and going on after a kill."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from reidsearch.core.errors import ModelError, TrainingError
from reidsearch.core.files import atomic_write
from reidsearch.core.progress import SILENT
from reidsearch.models.backends import has_gpu
from reidsearch.models.cards import IMAGENET_MEAN, IMAGENET_STD
from reidsearch.models.embedders.state_dict import UNREADABLE
from reidsearch.models.embedders.torchreid_parts import build_network, is_classifier
from reidsearch.research.training.augment import Augmenter
from reidsearch.research.training.batches import draw_batches
from reidsearch.research.training.losses import IdentityLoss, TeacherLoss
from reidsearch.research.training.precision import autocast

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from reidsearch.core.progress import Progress
    from reidsearch.research.training.batches import TrainingSet
    from reidsearch.research.training.recipe import Recipe

CHECKPOINT = "checkpoint.pt"
_OPTIONS = {
    "architecture": "--arch",
    "input_hw": "--size",
    "epochs": "--epochs",
    "identities": "--batch",
    "crops": "--batch",
    "peak_lr": "--lr",
    "triplet_weight": "--loss",
    "erasing": "--erasing",
    "start_from": "--from",
    "teacher": "--teacher",
    "seed": "--seed",
}


@dataclass(frozen=True, slots=True)
class EpochLog:
    """What one epoch came to.

    Attributes:
        epoch: from 1.
        loss: mean over its batches.
        accuracy: of the classifier on the crops it was shown, as a fraction.
        lr: learning rate at its end.
        crops_per_s: shown, in the mean.
        seconds: it took.
    """

    epoch: int
    loss: float
    accuracy: float
    lr: float
    crops_per_s: float
    seconds: float


class Trainer:
    """One run; a run of the same recipe and data in the same folder goes on where it ended.

    Everything random in an epoch comes from the recipe's seed and the epoch's number, so a run
    that was killed draws the same batches, in the same order, as one that was not.

    Args:
        recipe: decides the run.
        data: who shall be learnt.
        teacher_dimension: T of the teacher's vectors, or 0 without a teacher.
        start: weights to begin with, by name, or None; a run that goes on does not need them.
        folder: where the checkpoint is kept.

    Attributes:
        network: the network, on whatever device it is trained on.
        dimension: D of its vectors.
        log: one entry for each epoch done.

    Raises:
        TrainingError: the folder's checkpoint is damaged, or of another recipe or other data.
        ModelError: there is no such architecture, it does not take that input, or the weights to
            begin with are of another one.
    """

    def __init__(
        self,
        recipe: Recipe,
        data: TrainingSet,
        teacher_dimension: int,
        start: Mapping[str, torch.Tensor] | None,
        folder: Path,
    ) -> None:
        torch.manual_seed(recipe.seed)
        self._recipe, self._data = recipe, data
        self._path = folder / CHECKPOINT
        self._device = torch.device("cuda" if has_gpu() else "cpu")
        loss = "triplet" if recipe.triplet_weight or teacher_dimension else "softmax"
        network = build_network(recipe.architecture, identities=data.identities, loss=loss)
        if start is not None:
            _begin_with(network, start)
        self.network = network.to(self._device, memory_format=torch.channels_last)
        self._gives_features = loss == "triplet"
        self._identity_loss = IdentityLoss(recipe).to(self._device)
        self.dimension = _measure_dimension(self.network, recipe, self._device)
        self._teacher_loss: nn.Module = nn.Identity()
        if teacher_dimension:
            self._teacher_loss = TeacherLoss(self.dimension, teacher_dimension).to(self._device)
        learnt = [*self.network.parameters(), *self._teacher_loss.parameters()]
        self._optimizer = torch.optim.AdamW(learnt, weight_decay=recipe.weight_decay)
        self.log: list[EpochLog] = []
        if self._path.exists():
            self._resume()

    def run(
        self,
        crops: NDArray[np.uint8],
        targets: NDArray[np.float32] | None,
        progress: Progress = SILENT,
    ) -> Iterator[EpochLog]:
        """Train the epochs that are left.

        Args:
            crops: `(N, H, W, 3)` uint8 RGB, row by row those of the data.
            targets: `(N, T)` float32 of length 1, a teacher's vectors of these crops, or None.
            progress: gets a step for each batch.

        Yields:
            Each epoch, when its checkpoint is on disk.

        Raises:
            TrainingError: the loss is not finite, or the checkpoint cannot be written.
        """
        while len(self.log) < self._recipe.epochs:
            self.log.append(self._run_epoch(len(self.log) + 1, crops, targets, progress))
            self._save()
            yield self.log[-1]

    @property
    def batches(self) -> int:
        """How many an epoch has."""
        return self._data.batches(self._recipe.identities, self._recipe.crops)

    def state(self) -> dict[str, torch.Tensor]:
        """The network's weights, without the classifier, which knows the training people only."""
        state = self.network.state_dict()
        return {n: t.cpu() for n, t in state.items() if not is_classifier(n)}

    def _run_epoch(
        self,
        epoch: int,
        crops: NDArray[np.uint8],
        targets: NDArray[np.float32] | None,
        progress: Progress,
    ) -> EpochLog:
        recipe = self._recipe
        rng = np.random.default_rng((recipe.seed, epoch))
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        torch.manual_seed(int(rng.integers(2**62)))  # of the networks that have dropout
        augment = Augmenter(IMAGENET_MEAN, IMAGENET_STD, recipe.erasing, generator)
        started = time.perf_counter()
        losses, hits, shown = [], 0.0, 0
        self.network.train()
        batches = draw_batches(self._data, recipe.identities, recipe.crops, rng)
        for number, rows in enumerate(batches):
            lr = recipe.lr_at(epoch - 1 + (number + 0.5) / self.batches)
            for group in self._optimizer.param_groups:
                group["lr"] = lr
            images = augment(torch.from_numpy(crops[rows]))
            loss, accuracy = self._step(images, rows, None if targets is None else targets[rows])
            if not np.isfinite(loss):
                raise TrainingError(
                    f"the loss became {loss} in batch {number + 1} of epoch {epoch}",
                    hint="begin anew, with a lower --lr and another --out; what is there is kept",
                )
            losses.append(loss)
            hits += accuracy * len(rows)
            shown += len(rows)
            progress.advance(note=f"loss {loss:.3f}, accuracy {accuracy:.0%}")
        seconds = time.perf_counter() - started
        return EpochLog(epoch, float(np.mean(losses)), hits / shown, lr, shown / seconds, seconds)

    def _step(
        self, images: torch.Tensor, rows: NDArray[np.intp], targets: NDArray[np.float32] | None
    ) -> tuple[float, float]:
        """Learn from one batch; returns its loss and accuracy."""
        images = images.to(self._device)
        labels = torch.from_numpy(self._data.labels[rows]).to(self._device)
        with autocast(self._device):
            output = self.network(images)
        logits, features = output if self._gives_features else (output, None)
        loss = self._identity_loss(logits, features, labels)
        if targets is not None:
            loss = loss + self._teacher_loss(features, torch.from_numpy(targets).to(self._device))
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self._optimizer.step()
        first = logits[0] if isinstance(logits, tuple | list) else logits
        return loss.item(), (first.argmax(dim=1) == labels).float().mean().item()

    def _save(self) -> None:
        """Write the checkpoint; the last one stays until the new one is whole."""
        state = {
            "recipe": asdict(self._recipe),
            "data": self._data.fingerprint,
            "network": self.network.state_dict(),
            "teacher": self._teacher_loss.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "log": [asdict(entry) for entry in self.log],
        }
        try:
            with atomic_write(self._path) as partial:
                torch.save(state, partial)
        except (OSError, RuntimeError) as error:  # torch's writer reports a full disk as the latter
            raise TrainingError(
                f"cannot write the checkpoint {self._path}: {error}",
                hint="make room and --resume; the checkpoint of the epoch before is kept",
            ) from error

    def _resume(self) -> None:
        try:
            saved: dict[str, Any] = torch.load(self._path, self._device, weights_only=True)
            data, theirs = saved["data"], saved["recipe"]
        except UNREADABLE as error:
            raise TrainingError(
                f"{self._path} is damaged, or not a checkpoint",
                hint="remove it, or give another --out",
            ) from error
        if data != self._data.fingerprint:
            raise TrainingError(
                f"{self._path} was begun with other data sets, or their crops have changed",
                hint="give the same data sets again, or another --out",
            )
        for name, value in asdict(self._recipe).items():
            if value != theirs.get(name):
                raise TrainingError(
                    f"{self._path} was begun with another {_OPTIONS.get(name, name)}: "
                    f"{name} {theirs.get(name)}, not {value}",
                    hint="give the same options again, or another --out",
                )
        self.network.load_state_dict(saved["network"])
        self._teacher_loss.load_state_dict(saved["teacher"])
        self._optimizer.load_state_dict(saved["optimizer"])
        self.log = [EpochLog(**entry) for entry in saved["log"]]


def _begin_with(network: nn.Module, start: Mapping[str, torch.Tensor]) -> None:
    own = network.state_dict()
    fitting = {n: t for n, t in start.items() if n in own and own[n].shape == t.shape}
    needed = (n for n in own if not (is_classifier(n) or n.endswith("num_batches_tracked")))
    missing = [n for n in needed if n not in fitting]
    if missing:
        raise ModelError(
            f"the weights to begin with are of another architecture: {len(missing)} parts "
            f"do not fit, such as {missing[0]}"
        )
    network.load_state_dict(fitting, strict=False)


def _measure_dimension(network: nn.Module, recipe: Recipe, device: torch.device) -> int:
    """D of the vectors that a network gives in evaluation mode."""
    crop = torch.zeros((1, 3, *recipe.input_hw), device=device)
    network.eval()
    try:
        with torch.inference_mode():
            return int(network(crop.contiguous(memory_format=torch.channels_last)).shape[1])
    except (RuntimeError, AssertionError) as error:
        height, width = recipe.input_hw
        raise ModelError(
            f"{recipe.architecture} does not take crops of {height}x{width}: {error}",
            hint="give it another --size, such as 256x128",
        ) from error
