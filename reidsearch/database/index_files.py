"""The files of the exact index: only ever appended to, and checked block by block when read.

Four files: `vectors` (float16, as the database rounds them before it stores them anywhere), `rows`
(what is known of each person, in the order of vectors), `frames` (whose rows those are: source,
number, time) and `paths` (texts that frames point to). How much of each counts, and the checksums
of its blocks, is in the ledger, which is written in one transaction with the frames that it
confirms: so index and ledger are in step, a reader sees one state whatever a writer does meanwhile,
and a crash leaves the state before it. What lies behind the part that counts is overwritten.
"""

from __future__ import annotations

import os
import re
import secrets
import struct
import zlib
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

FOLDER = "index"
BLOCK_BYTES = 1 << 20
_LANES = 512

FRAME = np.dtype(
    [
        ("source", "<i4"),  # its number in the ledger
        ("detections", "<i4"),
        ("number", "<i8"),
        ("time_s", "<f8"),
        ("row", "<i8"),  # the first of its rows
        ("path", "<i8"),  # where it is in the file of paths
        ("crc32", "<i8"),  # see `checksum_rows`
    ]
)
ROW = np.dtype([("box_xyxy", "<f8", 4), ("score", "<f8"), ("crop_hash", "S16"), ("person", "<i4")])
_NAME = re.compile("[a-z]+-[0-9a-f]{8}")
_PATH_LENGTH = struct.Struct("<I")


class DamagedIndexError(Exception):
    """The index is not what was written; it has to be made again."""


class MissingIndexError(DamagedIndexError):
    """There is no index, as nothing was written yet, or none could be."""


@dataclass(frozen=True, slots=True)
class Part:
    """The beginning of a file that counts.

    Attributes:
        name: in the index's folder.
        size: how many bytes of it count.
        checksums: of its blocks, the last of which may be short; None where they are not known.
        last: the short last block, where this process has written it.
    """

    name: str
    size: int = 0
    checksums: tuple[int, ...] | None = ()
    last: bytes = field(default=b"", compare=False, repr=False)

    def fits(self) -> bool:
        """Whether there is a checksum for each block."""
        blocks = -(-self.size // BLOCK_BYTES)
        return self.size >= 0 and (self.checksums is None or len(self.checksums) == blocks)


@dataclass(frozen=True, slots=True)
class Manifest:
    """What an index holds.

    Attributes:
        vectors, rows, frames, paths: the files.
        dropped: places in `frames` of those that count no more.
    """

    vectors: Part
    rows: Part
    frames: Part
    paths: Part
    dropped: tuple[int, ...] = ()

    @property
    def parts(self) -> tuple[Part, ...]:
        """All files."""
        return self.vectors, self.rows, self.frames, self.paths

    @classmethod
    def of_parts(cls, parts: Sequence[Part], dropped: Sequence[int] = ()) -> Manifest:
        """Sort parts by their names; ValueError where it is not one of each kind."""
        by_kind = {part.name.partition("-")[0]: part for part in parts}
        if not (
            len(parts) == len(PARTS)
            and by_kind.keys() == set(PARTS)
            and all(_NAME.fullmatch(part.name) and part.fits() for part in parts)
        ):
            raise ValueError(f"not the files of an index: {sorted(part.name for part in parts)}")
        return cls(**by_kind, dropped=tuple(dropped))


PARTS = tuple(entry.name for entry in fields(Manifest) if entry.name != "dropped")


def new_manifest() -> Manifest:
    """An empty index in files of its own, so that readers of another keep theirs."""
    token = secrets.token_hex(4)
    return Manifest.of_parts([Part(f"{kind}-{token}") for kind in PARTS])


def extend(folder: Path, part: Part, data: bytes) -> Part:
    """Write behind the part of a file that counts.

    Raises:
        DamagedIndexError: the block that is written on is not what it was.
        OSError: the disk is full, or may not be written.
    """
    if not data:
        return part
    path, last, checksums = folder / part.name, part.last, part.checksums or ()
    whole, begun = divmod(part.size, BLOCK_BYTES)
    with path.open("r+b" if path.exists() else "w+b") as file:
        if begun and not last:
            file.seek(whole * BLOCK_BYTES)
            last = file.read(begun)
            if _checksums(last) != checksums[whole:]:
                raise DamagedIndexError(f"{part.name} is damaged")
        file.truncate(part.size)
        file.seek(part.size)
        file.write(data)
        file.flush()
        os.fsync(file.fileno())  # it has to be there before the ledger says so
    new, size = last + data, part.size + len(data)
    return Part(
        part.name, size, checksums[:whole] + _checksums(new), new[len(new) - size % BLOCK_BYTES :]
    )


def pack_path(path: str) -> bytes:
    """A text as the file of paths has it, behind its length."""
    data = path.encode("utf-8", "surrogatepass")
    return _PATH_LENGTH.pack(len(data)) + data


def checksum_block(block: NDArray[np.uint8]) -> int:
    """A checksum that costs little beside reading: a CRC-32 over sums of 64-bit words.

    A word that changes changes the sum of its lane, and so the checksum.
    """
    whole = len(block) // (8 * _LANES) * 8 * _LANES
    words = block[:whole].view("<u8").reshape(-1, _LANES)
    return zlib.crc32(block[whole:].tobytes(), zlib.crc32(np.add.reduce(words, axis=0).tobytes()))


def _checksums(data: bytes) -> tuple[int, ...]:
    """Of each block, the last of which may be short."""
    whole, starts = np.frombuffer(data, np.uint8), range(0, len(data), BLOCK_BYTES)
    return tuple(checksum_block(whole[start : start + BLOCK_BYTES]) for start in starts)


class CheckedFile:
    """The part of a file that counts, as an array; blocks are checked when they are first read.

    Args:
        folder: of the index.
        part: which file.
        dtype: of its elements.
        width: how many elements make a row; None for one, without an axis of its own.

    Attributes:
        array: `(N,)` or `(N, width)`, read from disk when looked at, and not checked.

    Raises:
        DamagedIndexError: the file is missing or too short.
    """

    def __init__(
        self, folder: Path, part: Part, dtype: np.dtype[Any], width: int | None = None
    ) -> None:
        self._part = part
        self._row_bytes = dtype.itemsize * (width or 1)
        self._bytes = _map(folder / part.name, part.size)
        rows = part.size // self._row_bytes
        shape = (rows,) if width is None else (rows, width)
        self.array: NDArray[Any] = self._bytes[: rows * self._row_bytes].view(dtype).reshape(shape)
        checksums = part.checksums
        self._checksums = None if checksums is None else np.array(checksums, np.int64)
        self._is_checked = np.zeros(len(checksums or ()), np.bool_)

    def __len__(self) -> int:
        return len(self.array)

    def __getitem__(self, rows: slice | NDArray[np.intp]) -> NDArray[Any]:
        """Rows, after their blocks were checked.

        Raises:
            DamagedIndexError: they are not what was written.
        """
        self.check(rows)
        return self.array[rows]

    def check(self, rows: slice | NDArray[np.intp] = slice(None)) -> None:
        """Check the blocks of rows; raises as `__getitem__` does."""
        if self._checksums is None or self._is_checked.all():
            return
        is_wanted = np.zeros(len(self._checksums), np.bool_)
        if isinstance(rows, slice):
            start, stop, _ = rows.indices(len(self.array))
            first, end = start * self._row_bytes, stop * self._row_bytes
            is_wanted[first // BLOCK_BYTES : -(-end // BLOCK_BYTES)] = True
        else:
            first_bytes = rows * self._row_bytes
            is_wanted[first_bytes // BLOCK_BYTES] = True
            is_wanted[(first_bytes + self._row_bytes - 1) // BLOCK_BYTES] = True
        for block in np.flatnonzero(is_wanted & ~self._is_checked).tolist():
            data = self._bytes[block * BLOCK_BYTES : (block + 1) * BLOCK_BYTES]
            if checksum_block(data) != self._checksums[block]:
                raise DamagedIndexError(f"{self._part.name} is damaged")
            self._is_checked[block] = True


class Paths(CheckedFile):
    """The file of paths."""

    def __init__(self, folder: Path, part: Part) -> None:
        super().__init__(folder, part, np.dtype("u1"))

    def text(self, at: int) -> str:
        """The path there; raises as `__getitem__` does."""
        begin = at + _PATH_LENGTH.size
        length = self[at:begin].tobytes()
        try:
            data = self[begin : begin + _PATH_LENGTH.unpack(length)[0]].tobytes()
            return data.decode("utf-8", "surrogatepass")
        except (struct.error, UnicodeDecodeError):  # only where blocks have no checksums
            return ""


class IndexFiles:
    """All files of an index, mapped.

    Raises:
        DamagedIndexError: one is missing or too short, or they do not fit together.
    """

    def __init__(self, folder: Path, manifest: Manifest, dimension: int) -> None:
        self.manifest = manifest
        self.vectors = CheckedFile(folder, manifest.vectors, np.dtype("<f2"), dimension)
        self.rows = CheckedFile(folder, manifest.rows, ROW)
        self.frames = CheckedFile(folder, manifest.frames, FRAME)
        self.paths = Paths(folder, manifest.paths)
        if manifest.vectors.checksums is not None and len(self.vectors) != len(self.rows):
            raise DamagedIndexError("its files do not match")

    def check(self) -> None:
        """Read everything; raises DamagedIndexError where it is not what was written."""
        for file in (self.vectors, self.rows, self.frames, self.paths):
            file.check()


def find_stale(files: IndexFiles) -> tuple[int, ...]:
    """Places of frames that were written once more later, or whose rows are not all there."""
    frames = files.frames[:]
    newest = np.lexsort((np.arange(len(frames)), frames["number"], frames["source"]))
    same = frames[["source", "number"]][newest]
    is_stale = np.zeros(len(frames), np.bool_)
    is_stale[newest[:-1]] = same[:-1] == same[1:]
    ends = frames["row"] + frames["detections"]
    rows = min(len(files.vectors), len(files.rows))
    is_stale |= (frames["row"] < 0) | (frames["detections"] < 0) | (ends > rows)
    return tuple(np.flatnonzero(is_stale).tolist())


def _map(path: Path, size: int) -> NDArray[np.uint8]:
    if not size:
        return np.empty(0, np.uint8)
    try:
        if path.stat().st_size < size:
            raise DamagedIndexError(f"{path.name} is cut short")
        return np.asarray(np.memmap(path, np.uint8, "r", shape=(size,)))
    except FileNotFoundError:
        raise DamagedIndexError(f"{path.name} is missing") from None
    except OSError as error:
        raise DamagedIndexError(f"{path.name} cannot be read: {error.strerror}") from error
