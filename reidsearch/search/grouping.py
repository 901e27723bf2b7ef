"""Which detections become matches."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from dataclasses import dataclass, fields, replace
from itertools import islice, takewhile
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
            nearest of them; None leaves each a match of its own.
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
            likely_distance: up to which a detection belongs to a passage although enough passages
                are nearer; None adds none.

        Returns:
            Matches, ranked anew.
        """
        limit = math.inf if self.max_distance is None else self.max_distance
        near = takewhile(lambda match: match.distance <= limit, nearest)
        matches = _first_of(near, self.per_frame, _frame_of)
        top = self.top if self.per_source is None else min(self.top, self.per_source * sources)
        if self.gap_s is not None:
            matches = iter(self._join(matches, top, likely_distance or 0.0))
        chosen = islice(_first_of(matches, self.per_source, _source_of), top)
        return [replace(match, rank=rank) for rank, match in enumerate(chosen, start=1)]

    def _join(self, nearest: Iterator[Match], top: int, likely_distance: float) -> list[Match]:
        """Join detections that follow each other closely; passages come nearest first.

        Once there are enough passages, what is farther than the last of them, and not likely,
        belongs to none.
        """
        near: list[Match] = []
        limit = math.inf
        for match in nearest:
            if match.distance > limit:
                limit = self._limit(near, top, likely_distance)  # some may have grown together
                if match.distance > limit:
                    break
            near.append(match)
            if limit == math.inf and len(near).bit_count() == 1:  # after 1, 2, 4, 8 ...
                limit = self._limit(near, top, likely_distance)
        limit = self._limit(near, top, likely_distance)
        return self._passages([match for match in near if match.distance <= limit])

    def _limit(self, near: list[Match], top: int, likely_distance: float) -> float:
        """Up to which distance detections count; infinite while there may be more passages."""
        passages = [*_first_of(self._passages(near), self.per_source, _source_of)]
        if len(passages) < top:
            return math.inf
        return max(likely_distance, passages[top - 1].distance)

    def _passages(self, kept: list[Match]) -> list[Match]:
        by_source: dict[tuple[str, str], list[Match]] = defaultdict(list)
        for match in kept:
            by_source[_source_of(match)].append(match)
        passages = []
        for matches in by_source.values():
            matches.sort(key=lambda match: match.detection.time_s)
            run = [matches[0]]
            for match in matches[1:]:
                if match.detection.time_s - run[-1].detection.time_s > (self.gap_s or 0):
                    passages.append(_as_one(run))
                    run = []
                run.append(match)
            passages.append(_as_one(run))
        return sorted(passages, key=lambda match: match.rank)


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
