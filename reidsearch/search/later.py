"""What "later" means: the rule by which a query and a window choose the rows that are searched.

A stored person is searched for in later frames only. Within its own source that means a greater
frame number; in another source, a greater time. A source's times rise with its frame numbers, so
both are one condition: a time greater than the query's. Times of sources whose start is known count
from the epoch and those of the others from zero, so only sources of the query's kind are compared.
A picture from outside has no time: every frame is searched.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from reidsearch.core.errors import QueryError
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
        wanted: the rows searched; None if there is no source to search.
    """

    sources: tuple[SourceRecord, ...]
    left_out: tuple[SourceRecord, ...]
    wanted: Filter | None


def find_scope(
    window: Window, query: StoredDetection | None, sources: Sequence[SourceRecord]
) -> Scope:
    """Apply the rule.

    Args:
        window: which part of the footage is searched.
        query: the stored person, or None for a picture from outside.
        sources: all that the database has, that of `query` among them.

    Raises:
        QueryError: no source has that camera, or a clock that the window can be compared with.
    """
    chosen = window.choose(sources)
    clocks = {is_dated for is_dated in (True, False) if window.has_clock(is_dated=is_dated)}
    if chosen and not any(_is_dated(record) in clocks for record in chosen):
        raise QueryError(
            f"no source can be searched{window}: times with and without --start cannot be compared",
            hint="for sources with --start write a date, such as 2009-05-06T14:30; for others "
            "seconds or a clock; a frame number suits both",
        )
    if query is not None:
        own = next(r for r in sources if r.info.key == (query.camera, query.source))
        clocks &= {_is_dated(own)}
    searched = tuple(record for record in chosen if _is_dated(record) in clocks)
    left_out = tuple(record for record in chosen if _is_dated(record) not in clocks)
    if not searched:
        return Scope((), left_out, None)
    keys = tuple(record.info.key for record in searched)
    return Scope(
        searched, left_out, _filter(window, query, keys if len(keys) < len(sources) else None)
    )


def _is_dated(record: SourceRecord) -> bool:
    return record.info.start_s is not None


def _filter(
    window: Window, query: StoredDetection | None, keys: tuple[SourceKey, ...] | None
) -> Filter:
    after, before = window.after or Moment(), window.before or Moment()
    moments = after.time_s, None if query is None else query.time_s
    return Filter(
        sources=keys,
        after_frame=after.frame,
        before_frame=before.frame,
        after_s=max((time_s for time_s in moments if time_s is not None), default=None),
        before_s=before.time_s,
        min_score=window.min_score,
    )
