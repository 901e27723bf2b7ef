"""From data sets to a network with its card: the whole of `reidsearch train`."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from reidsearch.catalog import find_embedder, weights_path
from reidsearch.datasets import GALLERY, QUERY, TRAIN, has_part, read_crops
from reidsearch.embedders import load_embedder
from reidsearch.embedders.state_dict import read_state_dict
from reidsearch.errors import DatasetError, TrainingError
from reidsearch.evaluation.market1501 import embed_crops, evaluate_market1501, shared_identities
from reidsearch.training.batches import join_sets
from reidsearch.training.card import write_card
from reidsearch.training.crop_cache import cache_crops
from reidsearch.training.curves import draw_curves
from reidsearch.training.trainer import Trainer

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from reidsearch.training.recipe import Recipe
    from reidsearch.training.trainer import EpochLog


class Progress(Protocol):
    """Who is told how far a run is."""

    def begin(self, phase: str, steps: int) -> None:
        """A phase of so many steps begins."""
        ...

    def step(self, note: str = "") -> None:
        """One of them is done."""
        ...

    def say(self, message: str) -> None:
        """Something has come to an end that is worth a line."""
        ...

    def warn(self, message: str) -> None:
        """Something looks wrong but does not stop the run."""
        ...


def train(
    datasets: Sequence[Path],
    recipe: Recipe,
    folder: Path,
    progress: Progress,
    *,
    evaluate_every: int = 5,
) -> Path:
    """Train a network, or go on with the run that `folder` holds.

    Args:
        datasets: folders in Market-1501's layout. All are trained on; those that have a query and a
            test folder are also evaluated.
        recipe: decides the network.
        folder: gets the checkpoint after each epoch, and `weights.pt`, `card.toml`, `log.json` and
            `curves.png` after each evaluation and at the end.
        progress: is told about it.
        evaluate_every: so many epochs lie between evaluations.

    Returns:
        The card.

    Raises:
        DatasetError: a data set is of another layout, or nothing can be learnt from it.
        ModelError: the weights to begin with, or the teacher, cannot be loaded.
        TrainingError: the folder cannot be written, is of another run, or the loss is no number.
    """
    return _Run(datasets, recipe, folder, progress, evaluate_every).finish()


class _Run:
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
        self._tested = [
            path
            for path in self._datasets.values()
            if has_part(path, QUERY) and has_part(path, GALLERY)
        ]
        self._data = join_sets({n: read_crops(p, TRAIN) for n, p in self._datasets.items()})
        self._warn_of_leaks()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            progress.begin("decoding", len(self._data))
            crops = cache_crops(self._data, recipe.input_hw, folder, progress.step)
        except OSError as error:
            raise TrainingError(f"cannot write to {folder}: {error.strerror}") from error
        start = None
        if recipe.start_from:
            start = read_state_dict(weights_path(find_embedder(recipe.start_from)))
        self._trainer = Trainer(recipe, self._data, crops, self._ask_teacher(), start, folder)
        self._quality = self._read_quality()

    def finish(self) -> Path:
        left = self._recipe.epochs - len(self._trainer.log)
        self._progress.begin("training", left * self._trainer.batches)
        self._trainer.run(self._report_batch, self._end_epoch)
        return self._write_results()

    def _report_batch(self, loss: float, accuracy: float) -> None:
        self._progress.step(f"loss {loss:.3f}, accuracy {accuracy:.0%}")

    def _end_epoch(self, log: EpochLog) -> None:
        line = (
            f"epoch {log.epoch}: loss {log.loss:.3f}, accuracy {log.accuracy:.1%}, "
            f"{log.crops_per_s:.0f} crops/s"
        )
        is_last = log.epoch == self._recipe.epochs
        if self._tested and (is_last or log.epoch % self._evaluate_every == 0):
            self._quality[str(log.epoch)] = self._evaluate()
            line += "".join(
                f"; {name} rank-1 {q['rank1']:.1%}, mAP {q['mAP']:.1%}"
                for name, q in self._quality[str(log.epoch)].items()
            )
        self._progress.say(line)

    def _evaluate(self) -> dict[str, dict[str, float]]:
        """Measure what is saved, on the way that users will load it."""
        embedder = load_embedder(find_embedder(str(self._write_results())))
        results = {path.name: evaluate_market1501(path, embedder).quality for path in self._tested}
        return {
            name: {"rank1": round(float(q.cmc[0]), 4), "mAP": round(q.mean_ap, 4)}
            for name, q in results.items()
        }

    def _write_results(self) -> Path:
        log = self._trainer.log
        epochs: list[dict[str, Any]] = [
            {**asdict(entry), "quality": self._quality.get(str(entry.epoch), {})} for entry in log
        ]
        document = {"recipe": asdict(self._recipe), "datasets": self._sizes(), "epochs": epochs}
        try:
            (self._folder / "log.json").write_text(json.dumps(document, indent=1), "utf-8")
            draw_curves(epochs, self._folder / "curves.png")
            return write_card(
                self._folder,
                self._recipe,
                self._trainer.state(),
                dimension=self._trainer.dimension,
                training={
                    "datasets": self._sizes(),
                    "epochs_done": len(log),
                    "hours": round(sum(entry.seconds for entry in log) / 3600, 2),
                    "quality": self._quality.get(str(len(log)), {}),
                },
            )
        except OSError as error:
            raise TrainingError(f"cannot write to {self._folder}: {error.strerror}") from error

    def _read_quality(self) -> dict[str, dict[str, dict[str, float]]]:
        """What earlier calls measured."""
        path = self._folder / "log.json"
        if not (self._trainer.log and path.exists()):
            return {}
        epochs = json.loads(path.read_text("utf-8"))["epochs"]
        return {str(entry["epoch"]): entry["quality"] for entry in epochs if entry["quality"]}

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

    def _ask_teacher(self) -> NDArray[np.float32] | None:
        """What the teacher makes of every crop, asked once."""
        if not self._recipe.teacher:
            return None
        card = find_embedder(self._recipe.teacher)
        key = f"{card.fingerprint[:16]}-{self._data.fingerprint()[:16]}"
        path = self._folder / f"teacher-{key}.npy"
        if path.exists():
            known: NDArray[np.float32] = np.load(path)
            return known
        self._progress.begin("asking the teacher", len(self._data))
        taught = embed_crops(self._data.paths, load_embedder(card), self._progress.step)
        np.save(path, taught)
        return taught


def _by_name(datasets: Sequence[Path]) -> dict[str, Path]:
    named = {path.resolve().name: path for path in datasets}
    if len(named) < len(datasets):
        raise DatasetError(
            "two data sets have the same name", hint="the folder's name is the data set's"
        )
    return named
