"""The ids of stored detections, written and read only here."""

from __future__ import annotations

import re
from dataclasses import dataclass

_ID = re.compile(r"([^/]+)/(.+):(0|[1-9][0-9]{0,17}):(0|[1-9][0-9]{0,8})", re.DOTALL)


@dataclass(frozen=True, slots=True)
class CropId:
    """Names one detection in one frame, as `camera/source:frame:index`.

    A position, not an identity: another detection may get it when the frame is processed again.

    Attributes:
        camera: without a slash.
        frame: the frame's number in its source.
        index: counts the detections of a frame from 1, by descending score.
    """

    camera: str
    source: str
    frame: int
    index: int

    def __str__(self) -> str:
        return f"{self.camera}/{self.source}:{self.frame}:{self.index}"

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
