"""A folder of frames, one picture file each."""

from __future__ import annotations

import hashlib
import os
import re
import time
from itertools import islice, pairwise
from typing import TYPE_CHECKING

from reidsearch.core import defaults
from reidsearch.core.errors import EmptyFolderError, ImageError, SourceError
from reidsearch.core.files import require_regular
from reidsearch.core.types import BadFrame, FileStamp, Frame, SourceInfo
from reidsearch.footage import SourceOptions, every_frame, is_text
from reidsearch.footage.images import IMAGE_SUFFIXES, decode_image, read_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path


_MOST_NAMED = 3
_MAX_NUMBER = 2**53  # exact as a float, and well within SQLite's integers


class FolderSource:
    """Frames in one folder, numbered by the last digits in their names.

    Gaps in the numbers are gaps in time: frame 12 comes 2 / fps seconds after frame 10. If no name
    has digits, frames are numbered from 1 in the order of their names; if only some names have
    digits, the others are bad frames.
    """

    def __init__(self, path: Path, options: SourceOptions) -> None:
        self._folder, self._options = path, options
        self._open()

    def _open(self) -> None:
        path, options = self._folder, self._options
        names = _list_pictures(path)
        paths = [path / name for name in sorted(names)]
        if options.growing:
            paths = [path for path in paths if _is_settled(path)]
        if not paths:
            raise _explain_empty(path)
        numbered, self._without_number = _number_files(path, paths)
        if not numbered and options.growing:
            raise SourceError(
                f"the names in {path} have no numbers",
                hint="only by a number is a frame known again when others come before it",
            )
        if not numbered:
            numbered, self._without_number = list(enumerate(paths, start=1)), []
        first_number, first_path = numbered[0]
        self._seen = {path.name for path in paths}
        self._count, self._last = len(numbered), numbered[-1][0]
        self._unread: dict[int, tuple[int, int] | None] = {}
        self._chosen = list(islice(numbered, 0, None, options.every))[: options.max_frames]
        self._paths = dict(self._chosen)
        name = path.resolve().name
        self.info = SourceInfo(
            camera=options.camera or name,
            name=name,
            path=str(path.resolve()),
            fps=options.fps or defaults.ASSUMED_FPS,
            start_s=options.start_s,
            first_number=first_number,
            digest=_digest(first_path),
        )

    @property
    def span(self) -> tuple[int, int]:
        """See `FrameSource.span`."""
        return (self._chosen[0][0], self._chosen[-1][0]) if self._chosen else (1, 0)

    def __len__(self) -> int:
        return len(self._without_number) + len(self._chosen)

    def frames(self, wanted: Callable[[int], bool] = every_frame) -> Iterator[Frame | BadFrame]:
        """See `FrameSource.frames`."""
        for path in self._without_number:
            yield BadFrame(f"{path} has no number in its name, unlike other frames in the folder")
        for number, path in self._chosen:
            if not wanted(number):
                continue
            if not is_text(path):
                yield BadFrame(f"the name {str(path)!r} is not valid UTF-8")
                continue
            try:
                yield _read(path, number)
            except ImageError as error:
                self._unread[number] = _try_stat(path)
                yield BadFrame(str(error))

    def grow(self) -> bool:
        """Become the frames of files that have come, or could not be read and have changed since.

        Where not all of them are later than the frames that there were, become all of the folder.

        Returns:
            Whether there are any.

        Raises:
            SourceError: the folder is not there any more, or its frames have no numbers.
        """
        names, every = _list_pictures(self._folder), self._options.every
        come = [self._folder / name for name in sorted(names - self._seen)]
        come = [path for path in come if _is_settled(path)]
        again = {n for n, was in self._unread.items() if _try_stat(self._paths[n]) != was}
        if not come and not again:
            return False
        numbered, self._without_number = _number_files(self._folder, come)
        is_moved = every > 1 and not self._seen <= names  # each has another place
        if is_moved or (numbered and numbered[0][0] <= self._last):
            self._open()
            return True
        chosen = [pair for place, pair in enumerate(numbered, self._count) if place % every == 0]
        unread = {number: self._paths[number] for number in self._unread}
        self._chosen = sorted([(number, unread[number]) for number in again] + chosen)
        self._unread = {n: was for n, was in self._unread.items() if n not in again}
        self._paths = unread | dict(self._chosen)
        self._seen.update(path.name for path in come)
        self._count += len(numbered)
        self._last = numbered[-1][0] if numbered else self._last
        return True

    def state(self) -> dict[Path, tuple[int, int]]:
        """Size and time of each file, to notice new and changed ones."""
        state = {}
        for path in (*self._without_number, *self._paths.values()):
            if (status := _try_stat(path)) is not None:
                state[path] = status
        return state

    def stamp(self, number: int, known: FileStamp) -> FileStamp | BadFrame | None:
        """See `FrameSource.stamp`."""
        path = self._paths.get(number)
        if path is None:
            return None
        try:
            status = _stat(path)
            if status == (known.size, known.mtime_ns):
                return known
            data = read_file(path)
            stamp = FileStamp(*status, _hash(data))
            if stamp.digest != known.digest:
                decode_image(data, path)
        except OSError:
            return None
        except ImageError as error:
            return BadFrame(str(error))
        return stamp


def _read(path: Path, number: int) -> Frame:
    try:
        status = _stat(path)  # before reading, so that a change during the read is noticed later
    except OSError as error:
        raise ImageError(f"cannot read {path}: {error.strerror}") from error
    data = read_file(path)
    stamp = FileStamp(*status, _hash(data))
    return Frame(decode_image(data, path), number, str(path.resolve()), stamp)


def _stat(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_size, status.st_mtime_ns


def _try_stat(path: Path) -> tuple[int, int] | None:
    """Size and time of a file, or None where it is gone."""
    try:
        return _stat(path)
    except OSError:
        return None


def _hash(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def _number_files(folder: Path, paths: Sequence[Path]) -> tuple[list[tuple[int, Path]], list[Path]]:
    """Pair pictures with the numbers in their names, ascending, beside those without a number."""
    digits = [re.findall(r"\d+", path.stem) for path in paths]
    named = zip(digits, paths, strict=True)
    numbered = sorted((int(numbers[-1]), path) for numbers, path in named if numbers)
    for (number, path), (next_number, next_path) in pairwise(numbered):
        if number == next_number:
            raise SourceError(
                f"{path.name} and {next_path.name} in {folder} are both frame {number}",
                hint="the last digits of a name are its frame number; remove one of the two, "
                "or use one folder for each camera",
            )
    for number, path in numbered[-1:]:
        if number > _MAX_NUMBER:
            raise SourceError(f"the number in {path.name} is too large: at most {_MAX_NUMBER}")
    return numbered, [path for numbers, path in zip(digits, paths, strict=True) if not numbers]


def _list_pictures(folder: Path) -> set[str]:
    """Names; of a million files there are better no paths each time."""
    try:
        with os.scandir(folder) as entries:
            names = {entry.name for entry in entries}
    except OSError as error:
        raise SourceError(f"cannot read folder {folder}: {error.strerror}") from error
    endings = tuple(IMAGE_SUFFIXES)
    return {name for name in names if name.lower().endswith(endings) and name[0] != "."}


def _is_settled(path: Path) -> bool:
    """Whether a file has not changed for a while; True if that cannot be found out."""
    try:
        return abs(time.time() - path.stat().st_mtime) >= defaults.SETTLED_S
    except OSError:
        return True


def _explain_empty(folder: Path) -> EmptyFolderError:
    """Say that a folder has no frame, and what it has instead."""
    found = "contains no picture" if any(folder.iterdir()) else "is empty"
    hint = f"frames end in {', '.join(sorted(IMAGE_SUFFIXES))}"
    if inner := sorted(path.name for path in folder.iterdir() if path.is_dir()):
        more = ", ..." if len(inner) > _MOST_NAMED else ""
        hint = f"give the folders in it: {', '.join(inner[:_MOST_NAMED])}{more}"
    return EmptyFolderError(f"folder {folder} {found}", hint=hint)


def _digest(path: Path) -> str:
    """Hash the first frame; empty if it cannot be read, in which case it will be a bad frame."""
    try:
        require_regular(path)
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""
