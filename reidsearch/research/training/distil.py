"""A network taught by others alone, in rounds without an end: it is as good as it is when it stops.

The learning rate stays where it is; what is handed out is the running mean of the weights, which
does for them what letting the rate fall does (Polyak and Juditsky, "Acceleration of Stochastic
Approximation by Averaging", 1992), whenever one stops.
"""

from __future__ import annotations

import math
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from reidsearch.core.errors import TrainingError
from reidsearch.core.files import atomic_write
from reidsearch.core.progress import SILENT
from reidsearch.models.cards import IMAGENET_MEAN, IMAGENET_STD
from reidsearch.models.embedders.state_dict import UNREADABLE
from reidsearch.models.embedders.torchreid_parts import build_network, is_classifier
from reidsearch.research.training.losses import TeacherLoss
from reidsearch.research.training.precision import autocast

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from reidsearch.core.progress import Progress
    from reidsearch.research.training.views import ViewStore

CHECKPOINT = "checkpoint.pt"
_FITTED_VIEWS = 2048
_RIDGE = 1e-2


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesson:
    """What decides a run beside its views.

    Attributes:
        architecture: torchreid's name.
        input_hw: height and width, in pixels, of its input.
        batch: views in a batch.
        group: views of one group that come together, in half of each batch.
        batches: in a round, after which a checkpoint is kept.
        lr: AdamW's learning rate.
        warmup: batches over which it rises from zero.
        weight_decay: AdamW's.
        averaged: over about how many batches the weights' mean runs.
        seed: of everything random.
    """

    architecture: str
    input_hw: tuple[int, int]
    batch: int = 64
    group: int = 4
    batches: int = 100
    lr: float = 6e-4
    warmup: int = 100
    weight_decay: float = 5e-4
    averaged: int = 200
    seed: int = 1


@dataclass(frozen=True, slots=True)
class RoundLog:
    """What one round came to: loss and learning rate at its end, views known, and milliseconds."""

    round: int
    loss: float
    lr: float
    views: int
    ms_per_view: float


class Distiller:
    """One run; in a folder with a checkpoint it goes on from there.

    Args:
        lesson: decides the run; on going on, all but the architecture and input may differ.
        start: weights to begin with.
        teacher_dimension: T of the teachers' vectors.
        folder: where the checkpoint is kept.
        compiled: whether torch compiles the network first.

    Raises:
        TrainingError: the checkpoint is damaged or of another network.
    """

    def __init__(
        self,
        lesson: Lesson,
        start: Mapping[str, torch.Tensor],
        teacher_dimension: int,
        folder: Path,
        *,
        compiled: bool = False,
    ) -> None:
        torch.manual_seed(lesson.seed)
        self._lesson, self._path = lesson, folder / CHECKPOINT
        network = build_network(lesson.architecture, loss="triplet")
        network.load_state_dict(dict(start), strict=False)
        self.network = network.to(memory_format=torch.channels_last)
        self._compiled = torch.compile(self.network) if compiled else self.network
        with torch.inference_mode():
            self.dimension = int(self.network.eval()(torch.zeros(1, 3, *lesson.input_hw)).shape[1])
        self._loss = TeacherLoss(self.dimension, teacher_dimension)
        learnt = [p for n, p in self.network.named_parameters() if not is_classifier(n)]
        self._optimizer = torch.optim.AdamW(
            [*learnt, *self._loss.parameters()], weight_decay=lesson.weight_decay
        )
        self._mean = {n: t.detach().clone() for n, t in self._state().items()}
        self.log: list[RoundLog] = []
        if self._path.exists():
            self._resume()

    def state(self) -> dict[str, torch.Tensor]:
        """The running mean of the weights, without the classifier."""
        return {name: tensor.clone() for name, tensor in self._mean.items()}

    def run_round(self, views: ViewStore, progress: Progress = SILENT) -> RoundLog:
        """Learn from some batches of what is known, a step each, and keep a checkpoint.

        Raises:
            TrainingError: the loss is not finite.
        """
        if not self.log:
            self._fit_head(views)
        lesson, done = self._lesson, len(self.log)
        rng = np.random.default_rng((lesson.seed, done))
        started, losses = time.perf_counter(), []
        self.network.train()
        for number, rows in enumerate(draw_rows(views, lesson, rng)):
            lr = lesson.lr * min(1.0, (done * lesson.batches + number + 1) / lesson.warmup)
            losses.append(self._step(*views.pick(rows), lr))
            if not math.isfinite(losses[-1]):
                raise TrainingError(
                    f"the loss became {losses[-1]} in round {done + 1}",
                    hint="go on with a lower --lr; the checkpoint of the round before is kept",
                )
            progress.advance(note=f"loss {losses[-1]:.3f}")
        ms = 1000 * (time.perf_counter() - started) / (lesson.batches * lesson.batch)
        self.log.append(RoundLog(done + 1, float(np.mean(losses)), lr, len(views), round(ms, 1)))
        self._save()
        return self.log[-1]

    def _step(self, pixels: NDArray[np.uint8], targets: NDArray[np.float32], lr: float) -> float:
        for group in self._optimizer.param_groups:
            group["lr"] = lr
        images = _to_input(pixels)
        with autocast(images.device):
            _, features = self._compiled(images)
        loss = self._loss(features, torch.from_numpy(targets))
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self._optimizer.step()
        self._average()
        return float(loss.item())

    @torch.no_grad()
    def _average(self) -> None:
        share = 1 / self._lesson.averaged
        for name, tensor in self._state().items():
            if tensor.is_floating_point():
                self._mean[name].lerp_(tensor, share)
            else:
                self._mean[name].copy_(tensor)

    @torch.no_grad()
    def _fit_head(self, views: ViewStore) -> None:
        """Begin with the linear layer that fits best: ridge regression on the first views."""
        self.network.eval()
        rows = np.arange(min(len(views), _FITTED_VIEWS))
        parts = [views.pick(part) for part in np.array_split(rows, -(-len(rows) // 64))]
        x = torch.cat([self.network(_to_input(pixels)) for pixels, _ in parts]).double()
        y = torch.from_numpy(np.concatenate([targets for _, targets in parts])).double()
        scale = x.norm(dim=1).mean()
        x = x / scale
        ridge = _RIDGE * torch.eye(x.shape[1], dtype=x.dtype)
        self._loss.begin_with(
            torch.linalg.solve(x.T @ x + ridge, x.T @ y).T.float() / scale.float()
        )

    def _state(self) -> dict[str, torch.Tensor]:
        return {n: t for n, t in self.network.state_dict().items() if not is_classifier(n)}

    def _save(self) -> None:
        state = {
            "lesson": asdict(self._lesson),
            "network": self._state(),
            "mean": self._mean,
            "loss": self._loss.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "log": [asdict(entry) for entry in self.log],
        }
        with atomic_write(self._path) as partial:
            torch.save(state, partial)

    def _resume(self) -> None:
        try:
            saved: dict[str, Any] = torch.load(self._path, weights_only=True)
            self.network.load_state_dict(saved["network"], strict=False)
            self._loss.load_state_dict(saved["loss"])
            self._optimizer.load_state_dict(saved["optimizer"])
            self._mean = {n: saved["mean"][n] for n in self._mean}
            self.log = [RoundLog(**entry) for entry in saved["log"]]
        except UNREADABLE as error:
            raise TrainingError(
                f"{self._path} is damaged, or of another network", hint="give another --out"
            ) from error


def draw_rows(
    views: ViewStore, lesson: Lesson, rng: np.random.Generator
) -> Iterator[NDArray[np.intp]]:
    """Batches of one round: half of each drawn freely, half in groups that are hard to tell apart.

    Yields:
        `(lesson.batch,)` rows of `views`, none of them twice.
    """
    groups = views.groups
    order = np.argsort(groups, kind="stable")
    first, last = (np.searchsorted(groups[order], groups, side=s) for s in ("left", "right"))
    size = min(lesson.batch, len(views))
    for _ in range(lesson.batches):
        free = rng.permutation(len(views))
        chosen: dict[int, None] = {}
        for row in free:
            if len(chosen) >= size // 2:
                break
            together = order[first[row] : last[row]]
            count = min(lesson.group, len(together))
            chosen |= dict.fromkeys(rng.choice(together, count, replace=False).tolist())
        chosen |= dict.fromkeys(free[-size - len(chosen) :].tolist())
        yield np.array(list(chosen)[:size], np.intp)


def _to_input(pixels: NDArray[np.uint8]) -> torch.Tensor:
    """From `(N, H, W, 3)` uint8 RGB to `(N, 3, H, W)`, normalised, channels last."""
    images = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (IMAGENET_MEAN, IMAGENET_STD))
    return ((images - mean) / std).contiguous(memory_format=torch.channels_last)
