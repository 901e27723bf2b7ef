"""When matches were seen, and how far they are, as positions in percent of a chart."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from reidsearch.core.text import format_time

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reidsearch.core.provenance import SourceRecord
    from reidsearch.search.find import SearchResult

_TICKS = 5
_DOT = 3.5  # how wide a dot is, of a timeline in a window of usual width
_LEVELS = 4  # dots above each other; more of them overlap
_DAY_S = 86_400
_BIN = 0.05


def make_timeline(result: SearchResult, records: Sequence[SourceRecord]) -> dict[str, Any]:
    """Cameras as rows, with their footage and the matches in it, over the whole time."""
    query = result.query.detection
    spans = {r.info.key: [r.info.time_of(n) for n in r.span or ()] for r in records}
    times = [time for span in spans.values() for time in span]
    first, last = min(times, default=0.0), max(times, default=1.0)
    length = (last - first) or 1.0

    def at(time_s: float) -> float:
        return 100 * (time_s - first) / length

    rows: dict[str, dict[str, list[Any]]] = {}
    for record in records:
        row = rows.setdefault(record.info.camera, {"spans": [], "dots": []})
        begin, end = spans[record.info.key]
        row["spans"].append({"left": at(begin), "width": max(at(end) - at(begin), 0.3)})
    for match in sorted(result.matches, key=lambda match: match.detection.time_s):
        if match.detection.key not in spans:
            continue
        left = at(match.detection.time_s)
        dots = rows[match.detection.camera]["dots"]
        time = format_time(match.detection.time_s)
        dots.append(
            {
                "left": left,
                "level": _find_level(dots, left),
                "rank": match.rank,
                "likely": match.is_likely,
                "time": time,
            }
        )
    for row in rows.values():  # the nearest is drawn last, on top of the others
        row["dots"].sort(key=lambda dot: -dot["rank"])
    ticks = np.linspace(first, last, _TICKS).tolist()
    return {
        "rows": sorted(rows.items()),
        "ticks": [{"left": at(t), "text": _format_tick(t, length)} for t in ticks],
        "span": f"{format_time(first)} to {format_time(last)}",
        "query": None if query is None else {"left": at(query.time_s), "camera": query.camera},
    }


def _find_level(dots: Sequence[dict[str, Any]], left: float) -> int:
    """The lowest level where a dot touches none of those before it."""
    taken = {dot["level"] for dot in dots if left - dot["left"] < _DOT}
    return min(set(range(_LEVELS)) - taken, default=len(dots) % _LEVELS)


def _format_tick(time_s: float, length_s: float) -> str:
    """A time in few letters: the page says the date and the zone once."""
    day, _, clock = format_time(time_s).rpartition(" ")
    clock = clock.partition(".")[0] if length_s > _TICKS else clock.partition("+")[0]
    return f"{day[5:]} {clock[:-3]}" if day and length_s > _DAY_S else clock


def make_histogram(result: SearchResult, distances: Sequence[float]) -> dict[str, Any]:
    """How many of the nearest detections have which distance."""
    limit = 0.0 if result.calibration is None else result.calibration.likely_distance
    last = max([*distances, limit, _BIN])
    bins = int(np.ceil((last + 1e-9) / _BIN))
    counts = np.histogram(distances, bins, (0, bins * _BIN))[0]
    highest = max(int(counts.max(initial=0)), 1)
    bars = [
        {
            "left": 100 * place / bins,
            "width": 100 / bins,
            "height": 100 * count / highest,
            "count": count,
            "low": place * _BIN,
            "likely": (place + 0.5) * _BIN < limit,
        }
        for place, count in enumerate(counts.tolist())
    ]
    every = max(1, bins // 8)
    return {
        "bars": bars,
        "detections": len(distances),
        "highest": highest,
        "limit": limit,
        "limit_left": 100 * limit / (bins * _BIN),
        "ticks": [{"left": 100 * n / bins, "text": f"{n * _BIN:g}"} for n in range(0, bins, every)],
    }
