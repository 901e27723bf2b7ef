"""Labelled crops in the layout of Market-1501.

A data set is a folder with `bounding_box_train`, `query` and `bounding_box_test`, or some of them.
Their files are named `PPPP_cXsY_FFFFFF_NN.jpg`: identity P as seen by camera X. In the test folder
identity 0000 marks distractors, people or parts of them who are nobody's match, and -1 marks junk,
which counts neither as right nor as wrong (Zheng et al., "Scalable Person Re-identification: A
Benchmark", ICCV 2015).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from reidsearch.core.errors import DatasetError
from reidsearch.footage.images import IMAGE_SUFFIXES

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

TRAIN, QUERY, GALLERY = "bounding_box_train", "query", "bounding_box_test"
DISTRACTOR, JUNK = 0, -1

_LABEL = re.compile(r"(-1|\d+)_c(\d+)")


@dataclass(frozen=True, slots=True, eq=False)
class CropSet:
    """Labelled crops; entry i of all three is the same crop.

    Attributes:
        paths: N files, in the order of their names.
        pids: `(N,)` int64, identities; see `DISTRACTOR`.
        camids: `(N,)` int64, cameras.
    """

    paths: tuple[Path, ...]
    pids: NDArray[np.int64]
    camids: NDArray[np.int64]

    def __post_init__(self) -> None:
        n = len(self.paths)
        if (self.pids.shape, self.camids.shape) != ((n,), (n,)):
            raise ValueError(f"rows differ: {n}, {self.pids.shape}, {self.camids.shape}")

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, rows: NDArray[np.bool_] | NDArray[np.intp]) -> CropSet:
        """The given rows, by mask or by index."""
        chosen = np.arange(len(self))[rows]
        return CropSet(tuple(self.paths[i] for i in chosen), self.pids[rows], self.camids[rows])


def read_crops(dataset: Path, part: str) -> CropSet:
    """List one part of a data set, junk left out; no picture is opened.

    Args:
        dataset: the folder that holds the parts.
        part: `TRAIN`, `QUERY` or `GALLERY`.

    Raises:
        DatasetError: there is no such folder, or it is of another layout.
    """
    folder = dataset / part
    try:
        names = sorted(entry.name for entry in folder.iterdir() if entry.name[0] != ".")
    except OSError as error:
        raise DatasetError(
            f"{dataset} is not a data set in Market-1501's layout: cannot read {part}/: "
            f"{error.strerror}",
            hint=_describe_layout(dataset),
        ) from error
    names = [name for name in names if any(map(name.lower().endswith, IMAGE_SUFFIXES))]
    if not names:
        raise DatasetError(f"there are no crops in {folder}")
    labels = [_LABEL.match(name) for name in names]
    for name, label in zip(names, labels, strict=True):
        if label is None:
            raise DatasetError(
                f"{folder / name} does not say who it shows",
                hint="crops are named IDENTITY_cCAMERA..., such as 0002_c1s1_000451_03.jpg",
            )
    pids = np.array([int(label[1]) for label in labels if label], np.int64)
    camids = np.array([int(label[2]) for label in labels if label], np.int64)
    return CropSet(tuple(folder / name for name in names), pids, camids)[pids != JUNK]


def has_part(dataset: Path, part: str) -> bool:
    """Whether a data set has that folder."""
    return (dataset / part).is_dir()


def _describe_layout(dataset: Path) -> str:
    expected = f"expected {TRAIN}/, {QUERY}/ or {GALLERY}/"
    if not dataset.is_dir():
        return f"{expected} in it, but there is no such folder"
    found = sorted(entry.name for entry in dataset.iterdir())[:5]
    return f"{expected} in it, found {', '.join(found) or 'nothing'}"
