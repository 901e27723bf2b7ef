"""Which part of the footage is searched."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Literal

from reidsearch.core.errors import QueryError, UsageError
from reidsearch.core.text import format_time

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reidsearch.core.provenance import SourceRecord


_DAY_S = 24 * 3600
Kind = Literal["frame", "seconds", "clock", "date", "relative"]


@dataclass(frozen=True, slots=True)
class Moment:
    """A moment after or before which matches must lie: a frame number or a time.

    Attributes:
        kind: what `value` is. A `frame` is a number, compared within every source. `seconds` and a
            `clock` count from the start of sources whose date is not known, a `date` from the
            epoch, `relative` seconds from the query.
        value: that number, or those seconds.
        day_s: what a `clock` means where dates are known: seconds from midnight, or None for one
            that is no time of day, such as `90:00`.
    """

    kind: Kind
    value: float
    day_s: float | None = None

    def __str__(self) -> str:
        return f"frame {self.value}" if self.kind == "frame" else format_time(self.value)

    @property
    def clocks(self) -> set[bool]:
        """Whether it can be compared with times of sources with a date, without one, or both."""
        return {"date": {True}, "seconds": {False}}.get(self.kind, {True, False})

    @classmethod
    def parse(cls, text: str) -> Moment:
        """Read a frame number, a time, or how long after the query it is.

        Args:
            text: `120`, a frame; `4.8s`; a clock, `1:02:03.5` or `2:03`, which is minutes and
                seconds, but hours and minutes as a time of day; ISO 8601; or from the query on,
                `+30s` or `+2:03`.

        Raises:
            UsageError: the text is none of these.
        """
        if re.fullmatch(r"\d{1,18}", text):
            return cls("frame", int(text))
        plain = text.removeprefix("+")
        is_relative = plain != text
        if re.fullmatch(r"\d{1,12}(\.\d+)?s", plain):
            return cls("relative" if is_relative else "seconds", float(plain[:-1]))
        clock = re.fullmatch(r"(?:(\d{1,6}):(?=[0-5]\d:))?(\d{1,6}):([0-5]\d(?:\.\d+)?)", plain)
        if clock:
            hours, minutes, seconds = (float(part or 0) for part in clock.groups())
            value = 3600 * hours + 60 * minutes + seconds
            if is_relative:
                return cls("relative", value)
            day_s = value if clock[1] else 60 * value
            return cls("clock", value, day_s if day_s < _DAY_S else None)
        try:
            return cls("date", parse_start(text))
        except UsageError as error:
            raise UsageError(
                f"{text!r} is not a valid frame or time",
                hint="write a frame (120), seconds (4.8s), a clock (1:02:03), 2009-05-06T14:30, or "
                "a time from the query on (+30s, +1:30)",
            ) from error


@dataclass(frozen=True, slots=True)
class Window:
    """Which detections are searched, beside the later-frames rule; all that is given must hold.

    Attributes:
        cameras: of any of these, or of all when there is none.
        sources: of any of these records, or of all when there is none.
        after, before: between these moments, without them.
        min_score: found with at least this detector score.
        all_times: suspends the rule: earlier frames of a stored person are searched too.
    """

    cameras: tuple[str, ...] = ()
    sources: tuple[SourceRecord, ...] = ()
    after: Moment | None = None
    before: Moment | None = None
    min_score: float | None = None
    all_times: bool = False

    @property
    def moments(self) -> list[Moment]:
        """Those given."""
        return [moment for moment in (self.after, self.before) if moment is not None]

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
