"""Tracklets beside the exact index, one file a source: derived, and made again where missing.

A file is written whole under another name first, so that readers see the one before or this one.
"""

from __future__ import annotations

import hashlib
import zipfile
import zlib
from typing import TYPE_CHECKING

import numpy as np

from reidsearch.core.files import atomic_write
from reidsearch.database.index_files import FOLDER

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from reidsearch.core.ids import SourceKey

PART = np.dtype([("part", "<i8"), ("checksum", "<i8"), ("rows", "<i8")])
"""A part of a source, of which frames it was made, and how many rows of the table are its."""
_DAMAGED = (
    *(OSError, ValueError, KeyError, TypeError, EOFError, MemoryError),
    *(zipfile.BadZipFile, zlib.error),
)


def read_tracklets(
    folder: Path, key: SourceKey, kind: np.dtype[np.void]
) -> tuple[NDArray[np.void], NDArray[np.void]]:
    """Read what `write_tracklets` wrote; empty tables where there is no such file.

    Returns:
        `(P,)` of `PART`, and the rows of all of them, of `kind`.
    """
    nothing = np.empty(0, PART), np.empty(0, kind)
    try:
        with _path(folder, key).open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            parts, rows = arrays["parts"], arrays["rows"]
    except _DAMAGED:
        return nothing
    is_ours = (parts.dtype, rows.dtype, parts.ndim, rows.ndim) == (PART, kind, 1, 1)
    if not is_ours or (parts["rows"] < 0).any() or parts["rows"].sum() != len(rows):
        return nothing
    return parts, rows


def write_tracklets(
    folder: Path, key: SourceKey, parts: NDArray[np.void], rows: NDArray[np.void]
) -> None:
    """Keep tracklets of a source, where the database has an index and may be written."""
    path = _path(folder, key)
    if not path.parent.is_dir():
        return
    try:
        with atomic_write(path) as partial, partial.open("wb") as file:
            np.savez(file, parts=parts, rows=rows)
    except OSError:
        return


def _path(folder: Path, key: SourceKey) -> Path:
    name = hashlib.sha256(str(key).encode()).hexdigest()[:16]
    return folder / FOLDER / f"tracklets-{name}.npz"
