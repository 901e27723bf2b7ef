"""A folder of frames, one picture file each."""

from __future__ import annotations

import hashlib
import re
from itertools import islice, pairwise
from typing import TYPE_CHECKING

from reidsearch import defaults
from reidsearch.errors import ImageError, SourceError
from reidsearch.images import IMAGE_SUFFIXES, read_image
from reidsearch.sources import SourceOptions, every_frame
from reidsearch.types import BadFrame, Frame, SourceInfo

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


class FolderSource:
    """Frames in one folder, in the order of the last digits in their names.

    Gaps in the numbers stay gaps: frame 12 comes 2 / fps seconds after frame 10. When a name has no
    digits, all frames are numbered by their place in the sorted names instead, from 1.
    """

    def __init__(self, path: Path, options: SourceOptions) -> None:
        numbered = _number_files(path)
        first_number, first_path = numbered[0]
        self._chosen = list(islice(numbered, 0, None, options.every))[: options.max_frames]
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

    def __len__(self) -> int:
        return len(self._chosen)

    def frames(self, wanted: Callable[[int], bool] = every_frame) -> Iterator[Frame | BadFrame]:
        """See `FrameSource.frames`."""
        for number, path in self._chosen:
            if not wanted(number):
                continue
            try:
                yield Frame(read_image(path), number, str(path.resolve()))
            except ImageError as error:
                yield BadFrame(number, str(error))


def _number_files(folder: Path) -> list[tuple[int, Path]]:
    """Pair the folder's pictures with their frame numbers, in rising order."""
    try:
        entries = sorted(folder.iterdir())
    except OSError as error:
        raise SourceError(f"cannot read folder {folder}: {error.strerror}") from error
    paths = [
        path
        for path in entries
        if path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".")
    ]
    if not paths:
        found = "is empty" if not entries else "holds no picture"
        raise SourceError(
            f"folder {folder} {found}",
            hint=f"frames end in {', '.join(sorted(IMAGE_SUFFIXES))}",
        )
    digits = [re.findall(r"\d+", path.stem) for path in paths]
    if not all(digits):
        return list(enumerate(paths, start=1))
    numbered = sorted((int(found[-1]), path) for found, path in zip(digits, paths, strict=True))
    for (number, path), (next_number, next_path) in pairwise(numbered):
        if number == next_number:
            raise SourceError(
                f"{path.name} and {next_path.name} in {folder} are both frame {number}",
                hint="the last digits of a name are its frame number; keep one of the two, "
                "or give each camera a folder of its own",
            )
    return numbered


def _digest(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise SourceError(f"cannot read {path}: {error.strerror}") from error
