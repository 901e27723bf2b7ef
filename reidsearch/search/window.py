"""Which part of the footage is searched."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from reidsearch.core.errors import QueryError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reidsearch.core.provenance import SourceRecord


@dataclass(frozen=True, slots=True)
class Moment:
    """A moment after or before which matches must lie: a frame number or a time.

    Attributes:
        frame: a frame number, compared within every source.
        time_s: seconds, compared with `SourceInfo.time_of`.
        is_date: whether `time_s` counts from the epoch, not from a source's start.
    """

    frame: int | None = None
    time_s: float | None = None
    is_date: bool = False

    def __str__(self) -> str:
        if self.time_s is None:
            return f"frame {self.frame}"
        if self.is_date:
            return datetime.fromtimestamp(self.time_s).astimezone().isoformat()
        return f"{self.time_s:g} s"

    @classmethod
    def parse(cls, text: str) -> Moment:
        """Read a frame number (`120`), seconds (`4.8s`), clock (`1:02:03.5`) or ISO 8601 time.

        Raises:
            UsageError: the text is none of these.
        """
        if re.fullmatch(r"\d{1,18}", text):
            return cls(frame=int(text))
        if re.fullmatch(r"\d{1,12}(\.\d+)?s", text):
            return cls(time_s=float(text[:-1]))
        clock = re.fullmatch(r"(?:(\d{1,6}):(?=[0-5]\d:))?(\d{1,6}):([0-5]\d(?:\.\d+)?)", text)
        if clock:
            hours, minutes, seconds = (float(part or 0) for part in clock.groups())
            return cls(time_s=3600 * hours + 60 * minutes + seconds)
        try:
            return cls(time_s=parse_start(text), is_date=True)
        except UsageError as error:
            raise UsageError(
                f"{text!r} is not a valid frame or time",
                hint="write a frame (120), seconds (4.8s), a clock (1:02:03) or 2009-05-06T14:30",
            ) from error


@dataclass(frozen=True, slots=True)
class Window:
    """Which detections are searched, beside the later-frames rule; all that is given must hold.

    Attributes:
        cameras: of any of these, or of all when there is none.
        sources: of any of these records, or of all when there is none.
        after, before: between these moments, without them.
        min_score: found with at least this detector score.

    Raises:
        UsageError: nothing can lie between the two moments.
    """

    cameras: tuple[str, ...] = ()
    sources: tuple[SourceRecord, ...] = ()
    after: Moment | None = None
    before: Moment | None = None
    min_score: float | None = None

    def __post_init__(self) -> None:
        if self.after is None or self.before is None:
            return
        if self.after.is_date != self.before.is_date and None not in (
            self.after.time_s,
            self.before.time_s,
        ):
            raise UsageError("a date and a time of footage cannot be compared")
        for low, high in (
            (self.after.frame, self.before.frame),
            (self.after.time_s, self.before.time_s),
        ):
            if low is not None and high is not None and high <= low:
                raise UsageError(f"nothing is after {self.after} and before {self.before}")

    def choose(self, sources: Sequence[SourceRecord]) -> list[SourceRecord]:
        """The sources of these cameras and names.

        Raises:
            QueryError: the database has no such camera.
        """
        cameras = sorted({record.info.camera for record in sources})
        for camera in self.cameras:
            if camera not in cameras:
                raise QueryError(
                    f"the database has no camera {camera}",
                    hint=f"it has {', '.join(cameras) or 'none'}",
                )
        named = {record.info.key for record in self.sources}
        return [
            record
            for record in sources
            if (not self.cameras or record.info.camera in self.cameras)
            and (not named or record.info.key in named)
        ]

    def has_clock(self, *, is_dated: bool) -> bool:
        """Whether its times can be compared with those of sources with, or without, a start."""
        moments = [moment for moment in (self.after, self.before) if moment is not None]
        return all(moment.time_s is None or moment.is_date == is_dated for moment in moments)

    def __str__(self) -> str:
        parts = []
        if self.cameras:
            word = "camera" if len(self.cameras) == 1 else "cameras"
            parts.append(f" of {word} {', '.join(self.cameras)}")
        if self.sources:
            parts.append(f" of {', '.join(str(record.info) for record in self.sources)}")
        if self.after is not None:
            parts.append(f" after {self.after}")
        if self.before is not None:
            parts.append(f" before {self.before}")
        if self.min_score is not None:
            parts.append(f" with scores of at least {self.min_score:g}")
        return "".join(parts)


def parse_start(text: str) -> float:
    """Read an ISO 8601 time as epoch seconds; without a zone it is this machine's local time.

    Raises:
        UsageError: the text is not such a time.
    """
    try:
        time_s = datetime.fromisoformat(text).timestamp()
        datetime.fromtimestamp(time_s).astimezone()  # the last hours of the year 9999 are too late
    except (ValueError, OverflowError):
        raise UsageError(
            f"{text!r} is not a valid time", hint="write ISO 8601, such as 2009-05-06T14:30:00"
        ) from None
    return time_s
