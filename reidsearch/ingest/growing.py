"""Folders that frames are still being added to."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from reidsearch.core.errors import EmptyFolderError
from reidsearch.footage.folder import FolderSource

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from reidsearch.footage import SourceOptions

_POLL_S = 1.0
_MOST_OF_TIME = 4  # a folder that takes long to list is listed less often


def follow(
    folders: Sequence[Path],
    options: SourceOptions,
    wait: Callable[[float], bool],
    *,
    refresh: bool = False,
) -> Iterator[FolderSource]:
    """Open folders whole, then what finished frames come into them, until told to stop.

    Folders are listed again and again: notifications do not reach all file systems.

    Args:
        folders: each of one camera; they may be empty yet.
        options: how to read them; `growing` is meant to be set.
        wait: waits for so many seconds, and says whether to stop.
        refresh: look at all files each time, and open a folder whole where any has changed.

    Raises:
        SourceError: a folder is not there (any more), or its frames have no numbers.
    """
    opened: dict[Path, FolderSource] = {}
    states: dict[Path, dict[Path, tuple[int, int]]] = {}
    listing_s, is_first = 0.0, True
    while not wait(0.0 if is_first else max(_POLL_S, _MOST_OF_TIME * listing_s)):
        listing_s, is_first = 0.0, False
        for folder in folders:
            began = time.monotonic()
            if folder in opened and not refresh:
                source = opened[folder] if opened[folder].grow() else None
            else:
                source = _open(folder, options)
            if source is not None and refresh:
                state = source.state()
                source = None if state == states.get(folder) else source
                states[folder] = state
            listing_s += time.monotonic() - began
            if source is not None:
                opened[folder] = source
                yield source


def _open(folder: Path, options: SourceOptions) -> FolderSource | None:
    """All of a folder; None where no frame is finished yet."""
    try:
        return FolderSource(folder, options)
    except EmptyFolderError:
        return None
