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
    folders: Sequence[Path], options: SourceOptions, wait: Callable[[float], bool]
) -> Iterator[FolderSource]:
    """Open a folder each time that finished frames have come or changed, until told to stop.

    Folders are listed again and again: notifications do not reach all file systems.

    Args:
        folders: each of one camera; they may be empty yet.
        options: how to read them; `growing` is meant to be set.
        wait: waits for so many seconds, and says whether to stop.

    Raises:
        SourceError: a folder is not there (any more), or its frames have no numbers.
    """
    seen: dict[Path, dict[Path, tuple[int, int]]] = {}
    listing_s = 0.0
    while not wait(max(_POLL_S, _MOST_OF_TIME * listing_s) if seen else 0.0):
        listing_s = 0.0
        for folder in folders:
            began = time.monotonic()
            try:
                source = FolderSource(folder, options)
            except EmptyFolderError:
                seen.setdefault(folder, {})
                continue
            state = source.state()
            listing_s += time.monotonic() - began
            if state != seen.get(folder):
                seen[folder] = state
                yield source
