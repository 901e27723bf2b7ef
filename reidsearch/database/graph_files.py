"""The files of Chroma's graph, which have more in them than the graph.

hnswlib writes places that it has made for rows to come, and all of what it would keep of vectors
that are not of length 1, as they were in memory: with what the process had there before, such as
vectors of people who were left out.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from reidsearch.core.errors import StoreError

if TYPE_CHECKING:
    from pathlib import Path

_VERSION = 1
# Version, an offset, places, places in use, bytes of a place; as hnswlib's `saveIndex` begins.
_HEADER = struct.Struct("<i4Q")
_LENGTH_BYTES = 4


def wipe_unused(folder: Path) -> None:
    """Zero what is of no row in a database, which nobody has open.

    Raises:
        StoreError: the files are not as they are known.
    """
    for header in folder.glob("*/header.bin"):
        version, _, places, used, place_bytes = _HEADER.unpack_from(header.read_bytes())
        if version != _VERSION:
            raise _unknown(header)
        _zero(header.with_name("data_level0.bin"), used * place_bytes, places * place_bytes)
        _zero(header.with_name("length.bin"), 0, places * _LENGTH_BYTES)


def _zero(path: Path, begin: int, most: int) -> None:
    size = path.stat().st_size
    if not begin <= size <= most:
        raise _unknown(path)
    with path.open("r+b") as file:
        file.truncate(begin)
        file.truncate(size)


def _unknown(path: Path) -> StoreError:
    return StoreError(
        f"Chroma's {path.name} has an unknown format, and could hold erased vectors",
        hint="nothing was changed; try another version of chromadb",
    )
