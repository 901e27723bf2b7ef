"""The names of sources and of stored detections, written and read only here."""

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
    """Names one detection in one frame, as `camera/source:frame:index`.

    A position, not an identity: another detection may get it when the frame is processed again.

    Attributes:
        camera, source: see `SourceKey`.
        frame: the frame's number in its source.
        index: counts the detections of a frame from 1, by descending score.
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
            ValueError: it is not a valid id.
        """
        match = _ID.fullmatch(text)
        if match is None:
            raise ValueError(f"{text!r} is not a valid id (for example gate/monday:120:1)")
        return cls(match[1], match[2], int(match[3]), int(match[4]))
