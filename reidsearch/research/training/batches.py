"""Which crops are shown together: people from every data set in equal parts, crops of each."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from reidsearch.core.errors import DatasetError
from reidsearch.research.datasets import DISTRACTOR

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from reidsearch.research.datasets import CropSet


@dataclass(frozen=True, slots=True, eq=False)
class TrainingSet:
    """The crops of all data sets, their identities kept apart.

    Attributes:
        paths: N files.
        labels: `(N,)` int64, identities counted from 0 over all sets.
        sets: `(N,)` int64, the data set of each crop.
        fingerprint: names the crops, their sizes in bytes and whom they show.
    """

    paths: tuple[Path, ...]
    labels: NDArray[np.int64]
    sets: NDArray[np.int64]
    fingerprint: str

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def identities(self) -> int:
        """How many people there are."""
        return int(self.labels.max()) + 1

    def batches(self, identities: int, crops: int) -> int:
        """How many batches show `len(self)` crops; see `draw_batches`."""
        return max(len(self) // (min(identities, self.identities) * crops), 1)


def join_sets(parts: Mapping[str, CropSet]) -> TrainingSet:
    """Put data sets together; the same number in two of them is two people.

    Raises:
        DatasetError: from one of them nothing can be learnt, or a crop has vanished.
    """
    paths: list[Path] = []
    labels, sets = [], []
    identities = 0
    for index, (name, part) in enumerate(parts.items()):
        people = part[part.pids != DISTRACTOR]
        unique, own, counts = np.unique(people.pids, return_inverse=True, return_counts=True)
        if not len(people):
            raise DatasetError(f"{name} names nobody: all its crops are distractors (0000) or junk")
        if len(np.unique(people.camids)) < 2:
            raise DatasetError(f"all crops of {name} are from one camera; training needs two")
        if counts.max() < 2:
            raise DatasetError(f"{name} has one crop of each person; training needs two")
        paths += people.paths
        labels.append(own + identities)
        sets.append(np.full(len(own), index))
        identities += len(unique)
    if identities < 2:
        raise DatasetError("there is one person to learn; telling people apart takes two")
    joined = np.concatenate(labels)
    return TrainingSet(tuple(paths), joined, np.concatenate(sets), _fingerprint(paths, joined))


def draw_batches(
    data: TrainingSet, identities: int, crops: int, rng: np.random.Generator
) -> Iterator[NDArray[np.intp]]:
    """One epoch of batches, each of `identities` people with `crops` crops of each.

    Every batch takes equally many people from each set (where that does not divide, the sets take
    turns), and everyone of a set comes once before anyone comes again. The crops of a person
    differ as far as there are enough.

    Yields:
        Rows of `data`, `(identities * crops,)` or fewer when there are fewer people, as often as it
        takes to show `len(data)` crops.
    """
    rows_of = _group(data.labels)
    queues = [_People(np.unique(data.labels[data.sets == s]), rng) for s in np.unique(data.sets)]
    turn = 0
    for _ in range(data.batches(identities, crops)):
        chosen: set[int] = set()
        while len(chosen) < min(identities, data.identities):
            chosen |= queues[turn % len(queues)].next(chosen)
            turn += 1
        yield np.concatenate([_some(rows_of[person], crops, rng) for person in sorted(chosen)])


def _fingerprint(paths: Sequence[Path], labels: NDArray[np.int64]) -> str:
    digest = hashlib.sha256(labels.tobytes())
    for path in paths:
        try:
            digest.update(f"{path.name} {path.stat().st_size}\n".encode())
        except OSError as error:
            raise DatasetError(f"cannot read {path}: {error.strerror}") from error
    return digest.hexdigest()


def _group(labels: NDArray[np.int64]) -> Sequence[NDArray[np.intp]]:
    order = np.argsort(labels, kind="stable")
    return np.split(order, np.cumsum(np.bincount(labels))[:-1])


def _some(rows: NDArray[np.intp], count: int, rng: np.random.Generator) -> NDArray[np.intp]:
    repeats = -(-count // len(rows))
    return np.concatenate([rng.permutation(rows) for _ in range(repeats)])[:count]


class _People:
    """The people of one set in random order, over and over."""

    def __init__(self, people: NDArray[np.int64], rng: np.random.Generator) -> None:
        self._people = people
        self._rng = rng
        self._waiting: list[int] = []

    def next(self, chosen: set[int]) -> set[int]:
        """The next who is not chosen yet, or nobody when all of the set are."""
        if chosen.issuperset(self._people.tolist()):
            return set()
        while not (left := [person for person in self._waiting if person not in chosen]):
            self._waiting += self._rng.permutation(self._people).tolist()
        self._waiting.remove(left[0])
        return {left[0]}
