"""Formatting values for people, and making foreign text safe to print."""

from __future__ import annotations

import json
import unicodedata
from datetime import datetime

# From March 1973 to the year 9999; other numbers are seconds from the start of footage.
_EPOCH_FROM_S, _EPOCH_TO_S = 1e8, 253402300000


def printable(text: str) -> str:
    """Replace characters that a terminal would obey instead of showing, and line ends."""
    if text.isprintable():
        return text
    return "".join(c if _is_shown(c) else "\N{REPLACEMENT CHARACTER}" for c in text)


def to_json(document: object, indent: int | None = None) -> str:
    """Write JSON that is safe to print: what `printable` would replace is escaped."""
    text = json.dumps(document, indent=indent, ensure_ascii=False)
    if text.isprintable():
        return text
    return "".join(c if c == "\n" or _is_shown(c) else json.dumps(c)[1:-1] for c in text)


def _is_shown(character: str) -> bool:
    return character.isprintable() or unicodedata.category(character) == "Zs"  # such as U+00A0


def count(number: int, noun: str) -> str:
    """Write `1 frame`, `2 frames`, `3 entries`."""
    if number != 1:
        noun = f"{noun.removesuffix('y')}ies" if noun.endswith("ry") else f"{noun}s"
    return f"{number} {noun}"


def iso_time(time_s: float) -> str | None:
    """Write epoch seconds in ISO 8601, local with its zone; None for seconds of footage."""
    if not _EPOCH_FROM_S <= time_s < _EPOCH_TO_S:
        return None
    return datetime.fromtimestamp(time_s).astimezone().isoformat(timespec="milliseconds")


def format_time(time_s: float, *, zone: bool = True) -> str:
    """Write seconds as `0:01:23.4`, or epoch seconds as local date and time, with the zone."""
    date = iso_time(time_s)
    if date is not None:
        date = date.replace("T", " ")
        return date if zone else date[: len("2009-05-06 14:30:00.0")]
    minutes, tenths = divmod(round(abs(time_s) * 10), 600)
    sign = "-" if time_s < 0 and minutes + tenths else ""
    return f"{sign}{minutes // 60}:{minutes % 60:02}:{tenths // 10:02}.{tenths % 10}"


def format_bytes(count: int) -> str:
    """Write a size in the decimal unit that suits it, such as `4.7 MB`."""
    size, unit = float(count), "bytes"
    for larger in ("kB", "MB", "GB", "TB"):
        if size < 999.95:
            break
        size, unit = size / 1000, larger
    return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"


def format_percent(share: float, digits: int = 0) -> str:
    """Write `0.895` as `90 %`, or, with one digit, as `89.5 %`."""
    return f"{100 * share:.{digits}f} %"


def format_probability(probability: float) -> str:
    """Write a probability in percent: `97 %`; nothing is certain, so never 0 or 100."""
    percent = round(100 * probability)
    if percent < 1:
        return "< 1 %"
    return "> 99 %" if percent > 99 else f"{percent} %"
