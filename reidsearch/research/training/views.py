"""Changed views of crops and what teachers make of them, asked once and kept on disk.

Student and teacher are shown the same view: Beyer et al., "Knowledge distillation: A good teacher
is patient and consistent", CVPR 2022. A teacher takes as long for a view as the student for a step,
so views are kept, in shards, each decided by the seed and its number.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from reidsearch.core.files import working_folder
from reidsearch.models.cards import IMAGENET_MEAN
from reidsearch.models.preprocess import resize
from reidsearch.research.training.augment import MILD, Augmenter

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from reidsearch.models.embedders import Embedder
    from reidsearch.research.training.pack import Pack

SHARD_VIEWS = 2048
_BATCH_VIEWS = 64
_ERASING = 0.2


class ViewStore:
    """The views known so far, row by row.

    Args:
        folder: where shards are kept.
        pack: the crops, at the teachers' size.
        size_hw: the student's input.
        seed: of everything random.

    Attributes:
        rows: `(N,)` int64, the crop that each view is of.
    """

    def __init__(self, folder: Path, pack: Pack, size_hw: tuple[int, int], seed: int) -> None:
        self._folder, self._pack, self._size_hw, self._seed = folder, pack, size_hw, seed
        self._pixels: list[NDArray[np.uint8]] = []
        self._targets: list[NDArray[np.float16]] = []
        self.rows = np.empty(0, np.int64)
        while self._path(self.shards).exists():
            self._open_next()

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def groups(self) -> NDArray[np.int64]:
        """`(N,)`, the group of each view's crop; see `Pack`."""
        return self._pack.groups[self.rows]

    @property
    def shards(self) -> int:
        """How many there are."""
        return len(self._pixels)

    @property
    def shards_per_view(self) -> int:
        """How many it takes to see every crop once more."""
        return -(-len(self._pack) // SHARD_VIEWS)

    def extend(self, teachers: Sequence[Embedder]) -> None:
        """Ask teachers about the next shard.

        Raises:
            OSError: the folder cannot be written, or its disk is full.
        """
        rows = self._rows_of(self.shards)
        views = make_views(self._pack.pixels, rows, (self._seed, self.shards))
        targets = np.concatenate([t.embed(list(views)).vectors for t in teachers], axis=1)
        targets /= np.sqrt(len(teachers))  # of length 1 together
        path = self._path(self.shards)
        path.parent.mkdir(parents=True, exist_ok=True)
        with working_folder(path.with_name(f".partial-{path.name}")) as partial:
            np.save(partial / "rows.npy", rows)
            np.save(partial / "targets.npy", targets.astype(np.float16))
            np.save(partial / "pixels.npy", np.stack([resize(v, self._size_hw) for v in views]))
            partial.rename(path)
        self._open_next()

    def pick(self, rows: NDArray[np.intp]) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        """Views by their row here: `(n, H, W, 3)` uint8 RGB, and `(n, T)` of length 1."""
        places = [(row // SHARD_VIEWS, row % SHARD_VIEWS) for row in self._places(rows)]
        pixels = np.stack([self._pixels[shard][at] for shard, at in places])
        targets = np.stack([self._targets[shard][at] for shard, at in places]).astype(np.float32)
        return pixels, targets

    def _places(self, rows: NDArray[np.intp]) -> NDArray[np.intp]:
        """Rows as if all shards were full: the last of each round over all crops may not be."""
        rounds, rest = np.divmod(rows, len(self._pack))
        return rounds * self.shards_per_view * SHARD_VIEWS + rest

    def _rows_of(self, shard: int) -> NDArray[np.int64]:
        """Groups in random order, another in each round, and each group's crops together."""
        round_, part = divmod(shard, self.shards_per_view)
        rng = np.random.default_rng((self._seed, round_))
        place = rng.permutation(int(self._pack.groups.max()) + 1)
        order = np.argsort(place[self._pack.groups], kind="stable")
        return order[part * SHARD_VIEWS : (part + 1) * SHARD_VIEWS].astype(np.int64)

    def _path(self, shard: int) -> Path:
        return self._folder / f"shard-{shard:05}"

    def _open_next(self) -> None:
        path = self._path(self.shards)
        self.rows = np.concatenate([self.rows, np.load(path / "rows.npy")])
        self._targets.append(np.load(path / "targets.npy"))
        self._pixels.append(np.load(path / "pixels.npy", mmap_mode="r"))


def make_views(
    pixels: NDArray[np.uint8], rows: NDArray[np.int64], seed: tuple[int, ...]
) -> NDArray[np.uint8]:
    """Change each crop at random.

    Args:
        pixels: `(N, H, W, 3)` uint8 RGB.
        rows: which of them.
        seed: decides all changes.

    Returns:
        `(len(rows), H, W, 3)` uint8 RGB.
    """
    generator = torch.Generator().manual_seed(int(np.random.default_rng(seed).integers(2**62)))
    no_change = (1.0, 1.0, 1.0)
    augment = Augmenter(IMAGENET_MEAN, no_change, _ERASING, generator, MILD)  # erases to the mean
    mean = torch.tensor(IMAGENET_MEAN).view(1, 3, 1, 1)
    views = np.empty((len(rows), *pixels.shape[1:]), np.uint8)
    for start in range(0, len(rows), _BATCH_VIEWS):
        part = slice(start, start + _BATCH_VIEWS)
        changed = augment(torch.from_numpy(pixels[rows[part]])) + mean
        views[part] = (changed * 255).round().clamp(0, 255).byte().permute(0, 2, 3, 1).numpy()
    return views
