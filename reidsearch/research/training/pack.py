"""Crops of many kinds in one file that is mapped into memory, labelled only by who comes together.

Unlike `crop_cache`, which needs Market-1501's names, this takes pictures from anywhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from reidsearch.core.errors import DatasetError
from reidsearch.core.files import atomic_write
from reidsearch.models.preprocess import resize

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from numpy.typing import NDArray

_PIXELS, _GROUPS = "pixels.npy", "groups.npy"


@dataclass(frozen=True, slots=True, eq=False)
class Pack:
    """N crops; row i of both is the same crop.

    Attributes:
        pixels: `(N, H, W, 3)` uint8 RGB.
        groups: `(N,)` int64: crops of one group show one person, or people of one picture. Either
            way they are harder to tell apart than crops of two groups.
    """

    pixels: NDArray[np.uint8]
    groups: NDArray[np.int64]

    def __post_init__(self) -> None:
        n = len(self.groups)
        if self.pixels.shape[:1] + self.pixels.shape[3:] != (n, 3):
            raise ValueError(f"rows differ: {self.pixels.shape}, {self.groups.shape}")

    def __len__(self) -> int:
        return len(self.groups)


def write_pack(
    folder: Path, crops: Iterable[tuple[NDArray[np.uint8], str]], size_hw: tuple[int, int]
) -> Pack:
    """Resize crops and keep them.

    Args:
        folder: where to; it is made.
        crops: pictures, `(h, w, 3)` uint8 RGB, each with its group's name.
        size_hw: what they are resized to.

    Raises:
        DatasetError: there are none.
        OSError: the folder cannot be written, or its disk is full.
    """
    folder.mkdir(parents=True, exist_ok=True)
    groups: dict[str, int] = {}
    rows: list[int] = []
    with atomic_write(folder / _PIXELS) as partial:
        raw = partial.with_suffix(".raw")
        try:
            with raw.open("wb") as file:
                for image, group in crops:
                    file.write(resize(image, size_hw).tobytes())
                    rows.append(groups.setdefault(group, len(groups)))
            _add_header(raw, partial, (len(rows), *size_hw, 3))
        finally:
            raw.unlink(missing_ok=True)
        if not rows:
            raise DatasetError("there are no crops to pack")
        np.save(folder / _GROUPS, np.array(rows, np.int64))
    return read_pack(folder)


def read_pack(folder: Path) -> Pack:
    """Map what `write_pack` wrote.

    Raises:
        DatasetError: it is not there.
    """
    try:
        return Pack(np.load(folder / _PIXELS, mmap_mode="r"), np.load(folder / _GROUPS))
    except OSError as error:
        raise DatasetError(f"there is no pack of crops in {folder}: {error.strerror}") from error


def _add_header(raw: Path, path: Path, shape: tuple[int, ...]) -> None:
    header = {"descr": "|u1", "fortran_order": False, "shape": shape}
    with raw.open("rb") as source, path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        while block := source.read(1 << 24):
            file.write(block)
