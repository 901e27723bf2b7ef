"""Tracklets beside the exact index, one file a source: derived, and made again where missing.

A file is written whole under another name first, so that readers see the one before or this one.
"""

from __future__ import annotations

import hashlib
from contextlib import suppress
from typing import TYPE_CHECKING

import numpy as np

from reidsearch.core.errors import StoreError
from reidsearch.core.files import atomic_write
from reidsearch.database.audit_log import locked
from reidsearch.database.index_files import FOLDER
from reidsearch.database.ledger_schema import read_state

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from numpy.typing import NDArray

    from reidsearch.core.ids import SourceKey
    from reidsearch.core.store import SnapshotId

PART = np.dtype([("part", "<i8"), ("checksum", "<i8"), ("rows", "<i8")])
"""A part of a source, of which frames it was made, and how many rows of the table are its."""


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
    except Exception:  # of changed bytes, numpy and zipfile make all kinds
        return nothing
    is_ours = (parts.dtype, rows.dtype, parts.ndim, rows.ndim) == (PART, kind, 1, 1)
    if not is_ours or (parts["rows"] < 0).any() or parts["rows"].sum() != len(rows):
        return nothing
    return parts, rows


def write_tracklets(
    folder: Path,
    seen: SnapshotId,
    key: SourceKey,
    keys: Collection[SourceKey],
    parts: NDArray[np.void],
    rows: NDArray[np.void],
) -> None:
    """Keep tracklets of a source, where the database has an index and may be written.

    Args:
        folder: of the database.
        seen: its state when they were made. Where it was rewritten since, somebody may have been
            erased: then they are not kept.
        key: of the source.
        keys: of all sources; files of others are deleted.
        parts: `(P,)` of `PART`.
        rows: of all parts.
    """
    path = _path(folder, key)
    if not path.parent.is_dir():
        return
    with suppress(OSError, StoreError), locked(folder):
        if read_state(folder).collection != seen.collection:
            return
        with atomic_write(path) as partial, partial.open("wb") as file:
            np.savez(file, parts=parts, rows=rows)
        known = {_path(folder, one) for one in keys}
        for other in path.parent.glob("tracklets-*.npz"):
            if other not in known:
                other.unlink()


def _path(folder: Path, key: SourceKey) -> Path:
    name = hashlib.sha256(str(key).encode()).hexdigest()[:16]
    return folder / FOLDER / f"tracklets-{name}.npz"
