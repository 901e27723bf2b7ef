"""The ids of stored people: here alone they are written and read."""

from __future__ import annotations

import re
from dataclasses import dataclass

_ID = re.compile(r"([^/]+)/(.+):(0|[1-9][0-9]{0,17}):(0|[1-9][0-9]{0,8})", re.DOTALL)


@dataclass(frozen=True, slots=True)
class CropId:
    """Names one person in one frame, as `camera/source:frame:person`.

    A position, not an identity: a frame that is done again may give it to somebody else.

    Attributes:
        camera: without a slash.
        frame: the frame's number in its source.
        index: counts the people of a frame from 1, by falling score.
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
            ValueError: it is something else.
        """
        found = _ID.fullmatch(text)
        if found is None:
            raise ValueError(f"{text!r} is not the id of a stored person")
        return cls(found[1], found[2], int(found[3]), int(found[4]))
