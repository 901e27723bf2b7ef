"""What "later" means: the rule by which a query and a window choose the rows that are searched.

A stored person is searched for in later frames only, unless the window says all times. Within its
own source that means a greater frame number; in another source, a greater time. A source's times
rise with its frame numbers, so both are one condition: a time greater than the query's. Times of
sources whose start is known count from the epoch and those of the others from zero, so only sources
of the query's kind are compared. A picture from outside has no time: every frame is searched.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, time, timedelta
from typing import TYPE_CHECKING

from reidsearch.core.errors import QueryError, UsageError
from reidsearch.core.text import format_time
from reidsearch.core.types import Filter
from reidsearch.search.window import Moment

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reidsearch.core.ids import SourceKey
    from reidsearch.core.provenance import SourceRecord
    from reidsearch.core.types import StoredDetection
    from reidsearch.search.window import Window


@dataclass(frozen=True, slots=True)
class Scope:
    """What a search looks at.

    Attributes:
        sources: those searched.
        left_out: those of the window whose times cannot be compared with the query's.
        wanted: the rows searched.
        words: which frames these are.
    """

    sources: tuple[SourceRecord, ...]
    left_out: tuple[SourceRecord, ...]
    wanted: Filter
    words: str


def find_scope(
    window: Window, query: StoredDetection | None, sources: Sequence[SourceRecord]
) -> Scope:
    """Apply the rule.

    Args:
        window: which part of the footage is searched.
        query: the stored person, or None for a picture from outside.
        sources: all that the database has, that of `query` among them.

    Raises:
        UsageError: the window's moments do not fit the query or each other.
        QueryError: no source has that camera, or a clock that the window can be compared with.
    """
    chosen = window.choose(sources)
    own = None if query is None else next(r for r in sources if r.info.key == query.key)
    kinds = {moment.kind for moment in window.moments}
    if "relative" in kinds and own is None:
        raise UsageError(
            "a picture has no time from which +TIME could count",
            hint="leave out the +, or search for a stored detection: --frame or --id",
        )
    clocks = {True, False}.intersection(*(moment.clocks for moment in window.moments))
    if own is not None and ("relative" in kinds or not window.all_times):
        clocks &= {_is_dated(own)}
    searched = tuple(record for record in chosen if _is_dated(record) in clocks)
    left_out = tuple(record for record in chosen if _is_dated(record) not in clocks)
    if chosen and not searched:
        raise QueryError(
            f"nothing can be searched{window}: times with and without --start cannot be compared",
            hint="for sources with --start write a time of day or a date, such as "
            "2009-05-06T14:30; for others seconds or a clock; a frame number suits both"
            if window.moments
            else "only one of these sources and the query's own was ingested with --start",
        )
    window = replace(
        window,
        after=window.after and _resolve(window.after, query, own, searched),
        before=window.before and _resolve(window.before, query, own, searched),
    )
    keys = tuple(record.info.key for record in searched)
    frames = "all" if query is None else "all other" if window.all_times else "later"
    return Scope(
        searched,
        left_out,
        _filter(window, query, keys if len(keys) < len(sources) else None),
        f"{frames} frames{window}",
    )


def _is_dated(record: SourceRecord) -> bool:
    return record.info.start_s is not None


def _resolve(
    moment: Moment,
    query: StoredDetection | None,
    own: SourceRecord | None,
    searched: Sequence[SourceRecord],
) -> Moment:
    """Make a moment a frame number, or a time as the sources that are searched have it."""
    if moment.kind == "relative" and query is not None:
        return Moment("seconds", query.time_s + moment.value)
    if moment.kind != "clock" or not any(map(_is_dated, searched)):
        return moment
    times = [r.info.time_of(n) for r in searched for n in r.span or (r.info.first_number,)]
    if query is not None and own is not None and _is_dated(own):
        times = [query.time_s]
    try:
        days = {datetime.fromtimestamp(time_s).date() for time_s in times}
    except (ValueError, OverflowError):  # no such year
        days = set()
    if len(days) != 1 or moment.day_s is None or not all(map(_is_dated, searched)):
        raise UsageError(
            "the clock is not one time of day in all footage that is searched",
            hint="write a date, such as 2009-05-06T14:30, or choose a --source",
        )
    midnight = datetime.combine(days.pop(), time())
    return Moment("date", (midnight + timedelta(seconds=moment.day_s)).timestamp())


def _filter(
    window: Window, query: StoredDetection | None, keys: tuple[SourceKey, ...] | None
) -> Filter:
    after_frame, after_s = _split(window.after)
    before_frame, before_s = _split(window.before)
    if _is_empty(after_frame, before_frame) or _is_empty(after_s, before_s):
        raise UsageError(f"nothing is after {window.after} and before {window.before}")
    if query is not None and not window.all_times:
        if _is_empty(query.time_s, before_s):
            raise UsageError(
                f"nothing is later than the query, {format_time(query.time_s)}, and before "
                f"{window.before}",
                hint="--all-times searches earlier frames too",
            )
        after_s = query.time_s if after_s is None else max(after_s, query.time_s)
    return Filter(
        sources=keys,
        after_frame=after_frame,
        before_frame=before_frame,
        after_s=after_s,
        before_s=before_s,
        min_score=window.min_score,
    )


def _split(moment: Moment | None) -> tuple[int | None, float | None]:
    """A frame number or a time."""
    if moment is None:
        return None, None
    return (int(moment.value), None) if moment.kind == "frame" else (None, moment.value)


def _is_empty(after: float | None, before: float | None) -> bool:
    return after is not None and before is not None and before <= after
