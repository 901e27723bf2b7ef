"""The names of sources and of stored people: here alone they are written and read."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NamedTuple

_ID = re.compile(r"([^/]+)/(.+):(0|[1-9][0-9]{0,17}):(0|[1-9][0-9]{0,8})", re.DOTALL)


class SourceKey(NamedTuple):
    """Names a source, as `camera/source`; no two sources of a database share it.

    Attributes:
        camera: without a slash.
        source: the name of a folder, or of a video without its ending.
    """

    camera: str
    source: str

    def __str__(self) -> str:
        return f"{self.camera}/{self.source}"


@dataclass(frozen=True, slots=True)
class CropId:
    """Names one person in one frame, as `camera/source:frame:person`.

    A position, not an identity: a frame that is done again may give it to somebody else.

    Attributes:
        camera, source: see `SourceKey`.
        frame: the frame's number in its source.
        index: counts the people of a frame from 1, by falling score.
    """

    camera: str
    source: str
    frame: int
    index: int

    def __str__(self) -> str:
        return f"{self.key}:{self.frame}:{self.index}"

    @property
    def key(self) -> SourceKey:
        """Of the source."""
        return SourceKey(self.camera, self.source)

    @classmethod
    def parse(cls, text: str) -> CropId:
        """Read what `str` writes.

        Raises:
            ValueError: it is something else.
        """
        found = _ID.fullmatch(text)
        if found is None:
            raise ValueError(f"{text!r} is not the id of a stored person")
        return cls(found[1], found[2], int(found[3]), int(found[4]))
