"""Which detections become matches."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, fields, replace
from itertools import groupby, islice, takewhile
from typing import TYPE_CHECKING, Any

from reidsearch.core import defaults
from reidsearch.core.errors import UsageError
from reidsearch.core.types import Passage

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Iterator

    from reidsearch.core.types import Fuse, Match


@dataclass(frozen=True, slots=True)
class Grouping:
    """How many matches there may be, and what counts as one.

    Attributes:
        top: how many at most.
        max_distance: none is farther away.
        per_frame: how many of one frame: nobody is there twice. None is any number.
        per_source: how many of one source; None is any number.
        gap_s: detections of one source at most so many seconds apart are one match, shown by the
            nearest of them: those within `max_distance`, or, without it, the likely ones. None
            leaves each a match of its own.
        fuse: how distances to several pictures of a person become one.

    Raises:
        UsageError: a limit is no limit.
    """

    top: int = defaults.TOP
    max_distance: float | None = None
    per_frame: int | None = 1
    per_source: int | None = None
    gap_s: float | None = None
    fuse: Fuse = "min"

    def __post_init__(self) -> None:
        for count in (self.top, self.per_frame, self.per_source):
            if count is not None and count < 1:
                raise UsageError(f"{count} matches cannot be shown")
        for length in (self.gap_s, self.max_distance):
            if length is not None and not length >= 0:
                raise UsageError("distances and gaps are not negative")

    def options(self) -> dict[str, Any]:
        """How many matches there may be, and what else differs from the default."""
        return {
            field.name: value
            for field in fields(self)
            if (value := getattr(self, field.name)) != field.default or field.name == "top"
        }

    def choose(
        self, nearest: Iterable[Match], sources: int, likely_distance: float | None = None
    ) -> list[Match]:
        """Make matches of detections, taking no more of them than are needed.

        Args:
            nearest: detections, nearest first.
            sources: of how many sources they can be.
            likely_distance: up to which a detection is likely; None if that is not known.

        Returns:
            Matches, ranked anew.
        """
        limit = math.inf if self.max_distance is None else self.max_distance
        near = takewhile(lambda match: match.distance <= limit, nearest)
        matches = _first_of(near, self.per_frame, _frame_of)
        if self.gap_s is not None:
            claimed = likely_distance if self.max_distance is None else self.max_distance
            matches = _join(matches, self.gap_s, claimed or 0.0)
        matches = _first_of(matches, self.per_source, _source_of)
        top = self.top if self.per_source is None else min(self.top, self.per_source * sources)
        return [replace(match, rank=rank) for rank, match in enumerate(islice(matches, top), 1)]


def _join(nearest: Iterable[Match], gap_s: float, claimed: float) -> Iterator[Match]:
    """Join detections up to a distance that follow each other closely; passages come nearest first.

    What is farther belongs to no passage, as it would claim the sightings of others: it comes
    alone, unless something nearer is close to it in time.
    """
    passages: list[Match] = []
    for is_within, matches in groupby(nearest, lambda match: match.distance <= claimed):
        if is_within:
            passages = _passages(matches, gap_s)
            yield from passages
            continue
        for match in matches:
            if not any(_is_close(match, passage.passage, gap_s) for passage in passages):
                passages.append(_as_one([match]))
                yield passages[-1]


def _passages(matches: Iterable[Match], gap_s: float) -> list[Match]:
    runs: list[list[Match]] = []
    last = None
    for match in sorted(matches, key=lambda match: (_source_of(match), match.detection.time_s)):
        if not _is_close(match, last, gap_s):
            runs.append([])
        runs[-1].append(match)
        last = Passage(match.detection, match.detection, 1)
    return sorted(map(_as_one, runs), key=lambda match: match.rank)


def _is_close(match: Match, passage: Passage | None, gap_s: float) -> bool:
    """Whether it was seen at most so long before or after, or during, a passage."""
    if passage is None or passage.first.key != match.detection.key:
        return False
    time_s = match.detection.time_s
    return time_s - passage.last.time_s <= gap_s and passage.first.time_s - time_s <= gap_s


def _source_of(match: Match) -> tuple[str, str]:
    return match.detection.camera, match.detection.source


def _frame_of(match: Match) -> tuple[str, str, int]:
    return (*_source_of(match), match.detection.frame)


def _first_of(
    matches: Iterable[Match], count: int | None, key_of: Callable[[Match], Hashable]
) -> Iterator[Match]:
    """The first `count` matches of each key; all of them when it is None."""
    seen: Counter[Hashable] = Counter()
    for match in matches:
        key = key_of(match)
        seen[key] += 1
        if count is None or seen[key] <= count:
            yield match


def _as_one(run: list[Match]) -> Match:
    nearest = min(run, key=lambda match: match.rank)
    first, last = run[0].detection, run[-1].detection
    return replace(nearest, passage=Passage(first, last, len(run)))
