"""From data sets to a network with its card: the whole of `reidsearch train`."""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from filelock import FileLock, Timeout

from reidsearch.core.errors import DatasetError, ReidsearchError, TrainingError
from reidsearch.core.files import atomic_write, resolve
from reidsearch.models.catalog import find_embedder
from reidsearch.models.embedders import load_embedder
from reidsearch.models.embedders.state_dict import read_state_dict
from reidsearch.models.weights import weights_path
from reidsearch.research.datasets import GALLERY, QUERY, TRAIN, has_part, read_crops
from reidsearch.research.market1501 import embed_crops, evaluate_market1501, shared_identities
from reidsearch.research.training.batches import join_sets
from reidsearch.research.training.card import write_card
from reidsearch.research.training.crop_cache import cache_crops
from reidsearch.research.training.curves import draw_curves
from reidsearch.research.training.trainer import CHECKPOINT, Trainer

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import torch
    from numpy.typing import NDArray

    from reidsearch.core.progress import Progress
    from reidsearch.models.cards import EmbedderCard
    from reidsearch.research.training.recipe import Recipe
    from reidsearch.research.training.trainer import EpochLog


def train(
    datasets: Sequence[Path],
    recipe: Recipe,
    folder: Path,
    progress: Progress,
    *,
    evaluate_every: int = 5,
    resume: bool = False,
) -> Path:
    """Train a network.

    Args:
        datasets: folders in Market-1501's layout. All are trained on; those that have a query and a
            test folder are also evaluated.
        recipe: decides the network.
        folder: gets the checkpoint after each epoch, and `weights.pt`, `card.toml`, `log.json` and
            `curves.png` after each evaluation and at the end.
        progress: is told about it.
        evaluate_every: so many epochs lie between evaluations.
        resume: go on from the folder's checkpoint, if it has one.

    Returns:
        The card.

    Raises:
        DatasetError: a data set is of another layout, or nothing can be learnt from it.
        ModelError: the weights to begin with, or the teacher, cannot be loaded.
        TrainingError: the folder cannot be written, holds a run that was not to be resumed or is
            another one, or the loss is not finite.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / ".lock").acquire(timeout=0)
    except Timeout:
        raise TrainingError(f"another process trains in {folder}") from None
    except OSError as error:
        raise TrainingError(f"cannot write to {folder}: {error.strerror}") from error
    with lock:
        if not resume and (folder / CHECKPOINT).exists():
            raise TrainingError(
                f"{folder} holds a run already", hint="go on with --resume, or another --out"
            )
        return _Run(datasets, recipe, folder, progress, evaluate_every).finish()


class _Run:
    """A run under way. What is cheap to find wrong is found before anything long begins."""

    def __init__(
        self,
        datasets: Sequence[Path],
        recipe: Recipe,
        folder: Path,
        progress: Progress,
        evaluate_every: int,
    ) -> None:
        self._recipe, self._folder, self._progress = recipe, folder, progress
        self._evaluate_every = evaluate_every
        self._datasets = _by_name(datasets)
        self._tested = {
            name: path
            for name, path in self._datasets.items()
            if has_part(path, QUERY) and has_part(path, GALLERY)
        }
        self._data = join_sets({n: read_crops(p, TRAIN) for n, p in self._datasets.items()})
        self._warn_of_leaks()
        teacher = find_embedder(recipe.teacher) if recipe.teacher else None
        if teacher:
            weights_path(teacher)
        start = None
        if recipe.start_from and not (folder / CHECKPOINT).exists():
            start = _read_start(recipe.start_from)
        self._trainer = Trainer(
            recipe, self._data, teacher.dimension if teacher else 0, start, folder
        )
        self._quality = self._read_quality()
        self._progress.phase("decoding", len(self._data))
        with self._writing():
            self._crops = cache_crops(self._data, recipe.input_hw, folder, progress)
        self._targets = self._embed_with_teacher(teacher) if teacher else None

    def finish(self) -> Path:
        left = self._recipe.epochs - len(self._trainer.log)
        self._progress.phase("training", left * self._trainer.batches)
        for log in self._trainer.run(self._crops, self._targets, self._progress):
            self._end_epoch(log)
        if self._recipe.epochs not in self._quality:  # killed in the last evaluation
            self._evaluate()
        return self._write_results()

    def _end_epoch(self, log: EpochLog) -> None:
        line = (
            f"epoch {log.epoch}: loss {log.loss:.3f}, accuracy {log.accuracy:.1%}, "
            f"{log.crops_per_s:.0f} crops/s"
        )
        if log.epoch == self._recipe.epochs or log.epoch % self._evaluate_every == 0:
            self._evaluate()
            line += "".join(
                f"; {name} rank-1 {q['rank1']:.1%}, mAP {q['mAP']:.1%}"
                for name, q in self._quality[log.epoch].items()
            )
        self._progress.say(line)

    def _evaluate(self) -> None:
        """Measure what is saved, on the way that users will load it."""
        quality = self._quality[len(self._trainer.log)] = {}
        if not self._tested:
            return
        embedder = load_embedder(find_embedder(str(self._write_results())), "reference")
        for name, path in self._tested.items():
            try:
                q = evaluate_market1501(path, embedder).quality
            except ReidsearchError as error:  # what was learnt must not be lost for it
                self._progress.warn(f"{name} cannot be evaluated: {error}")
            else:
                quality[name] = {"rank1": round(float(q.cmc[0]), 4), "mAP": round(q.mean_ap, 4)}
        self._write_results()

    def _write_results(self) -> Path:
        log = self._trainer.log
        epochs: list[dict[str, Any]] = [
            {**asdict(entry), "quality": self._quality.get(entry.epoch, {})} for entry in log
        ]
        document = {"recipe": asdict(self._recipe), "datasets": self._sizes(), "epochs": epochs}
        with self._writing():
            with atomic_write(self._folder / "log.json") as partial:
                partial.write_text(json.dumps(document, indent=1), "utf-8")
            with atomic_write(self._folder / "curves.png") as partial:
                draw_curves(epochs, partial)
            return write_card(
                self._folder,
                self._recipe,
                self._trainer.state(),
                dimension=self._trainer.dimension,
                training={
                    "datasets": self._sizes(),
                    "epochs_done": len(log),
                    "hours": round(sum(entry.seconds for entry in log) / 3600, 2),
                    "quality": self._quality.get(len(log), {}),
                },
            )

    def _read_quality(self) -> dict[int, dict[str, dict[str, float]]]:
        """What earlier calls measured."""
        path = self._folder / "log.json"
        if not (self._trainer.log and path.exists()):
            return {}
        epochs = json.loads(path.read_text("utf-8"))["epochs"]
        return {entry["epoch"]: entry["quality"] for entry in epochs if entry["quality"]}

    def _sizes(self) -> dict[str, dict[str, int]]:
        sets, labels = self._data.sets, self._data.labels
        return {
            name: {
                "crops": int((sets == i).sum()),
                "identities": len(np.unique(labels[sets == i])),
            }
            for i, name in enumerate(self._datasets)
        }

    def _warn_of_leaks(self) -> None:
        for name, path in self._datasets.items():
            shared = shared_identities(path)
            if shared:
                some = ", ".join(map(str, shared[:10]))
                self._progress.warn(
                    f"{len(shared)} identities of {name} are both trained on and tested: {some}"
                )

    def _embed_with_teacher(self, teacher: EmbedderCard) -> NDArray[np.float32]:
        """The teacher's vectors of all crops, computed once and kept in a file."""
        key = f"{teacher.fingerprint[:16]}-{self._data.fingerprint[:16]}"
        path = self._folder / f"teacher-{key}.npy"
        if not path.exists():
            self._progress.phase("embedding with the teacher", len(self._data))
            targets = embed_crops(self._data.paths, load_embedder(teacher), self._progress)
            with self._writing(), atomic_write(path) as partial:
                np.save(partial, targets)
        known: NDArray[np.float32] = np.load(path)
        return known

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except (OSError, RuntimeError) as error:  # torch's writer reports a full disk as the latter
            raise TrainingError(
                f"cannot write to {self._folder}: {error}", hint="make room, and --resume"
            ) from error


def _read_start(spec: str) -> dict[str, torch.Tensor]:
    """Weights to begin with: an embedder's, or those in a file."""
    path = Path(spec)
    if path.suffix == ".toml" or not path.is_file():
        path = weights_path(find_embedder(spec))
    return read_state_dict(path)


def _by_name(datasets: Sequence[Path]) -> dict[str, Path]:
    named = {resolve(path).name: path for path in datasets}
    if len(named) < len(datasets):
        raise DatasetError(
            "two data sets have the same name", hint="the folder's name is the data set's"
        )
    return named
