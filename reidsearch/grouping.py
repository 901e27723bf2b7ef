"""Which of the people found become matches."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from reidsearch import defaults
from reidsearch.errors import UsageError
from reidsearch.types import Match, Passage

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence

    from reidsearch.types import Fuse


@dataclass(frozen=True, slots=True)
class Grouping:
    """How many matches there may be, and what counts as one.

    Attributes:
        top: how many at most.
        max_distance: none is farther away.
        per_frame: how many of one frame: nobody is there twice. None is any number.
        per_source: how many of one source; None is any number.
        gap_s: sightings in one source with no more seconds between them are one match, shown by the
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

    @property
    def first_guess(self) -> int:
        """How many people to look at first; more, when they turn out to be of a few frames."""
        plain = (self.per_frame, self.per_source, self.gap_s) == (None, None, None)
        return self.top if plain else 4 * self.top

    def apply(
        self, ranked: Sequence[Match], likely_distance: float | None, *, is_all: bool
    ) -> list[Match] | None:
        """Make matches of people.

        Args:
            ranked: people, nearest first.
            likely_distance: up to which a sighting belongs to a passage although enough passages
                are nearer; None adds none.
            is_all: whether there are no others.

        Returns:
            Matches, ranked anew; None if more people are needed to tell.
        """
        near = [m for m in ranked if self.max_distance is None or m.distance <= self.max_distance]
        is_all = is_all or len(near) < len(ranked)
        kept = _first_of(near, self.per_frame, _frame_of)
        if self.gap_s is not None:
            matches = self._join(kept, likely_distance or 0.0, is_all=is_all)
        else:
            matches = kept if is_all or len(kept) >= self.top else None
        if matches is None:
            return None
        chosen = _first_of(matches, self.per_source, _source_of)
        if len(chosen) < min(self.top, len(matches)) and not is_all:
            return None
        return [replace(m, rank=rank) for rank, m in enumerate(chosen[: self.top], start=1)]

    def _join(
        self, kept: list[Match], likely_distance: float, *, is_all: bool
    ) -> list[Match] | None:
        """Join sightings that follow each other closely; passages come nearest first."""
        passages = self._passages(kept)
        if len(passages) > self.top:
            # Enough: what is farther than the last of them, and not likely, belongs to none.
            limit = max(likely_distance, passages[self.top - 1].distance)
            if not is_all and kept[-1].distance <= limit:
                return None
            passages = self._passages([match for match in kept if match.distance <= limit])
        elif not is_all:
            return None
        return passages

    def _passages(self, kept: list[Match]) -> list[Match]:
        by_source: dict[tuple[str, str], list[Match]] = defaultdict(list)
        for match in kept:
            by_source[_source_of(match)].append(match)
        passages = []
        for matches in by_source.values():
            matches.sort(key=lambda match: match.sighting.time_s)
            run = [matches[0]]
            for match in matches[1:]:
                if match.sighting.time_s - run[-1].sighting.time_s > (self.gap_s or 0):
                    passages.append(_as_one(run))
                    run = []
                run.append(match)
            passages.append(_as_one(run))
        return sorted(passages, key=lambda match: match.rank)


def _source_of(match: Match) -> tuple[str, str]:
    return match.sighting.camera, match.sighting.source


def _frame_of(match: Match) -> tuple[str, str, int]:
    return (*_source_of(match), match.sighting.frame)


def _first_of(
    matches: list[Match], count: int | None, key_of: Callable[[Match], Hashable]
) -> list[Match]:
    """The first `count` matches of each key; all of them when it is None."""
    if count is None:
        return matches
    seen: Counter[Hashable] = Counter()
    kept = []
    for match in matches:
        key = key_of(match)
        seen[key] += 1
        if seen[key] <= count:
            kept.append(match)
    return kept


def _as_one(run: list[Match]) -> Match:
    nearest = min(run, key=lambda match: match.rank)
    first, last = run[0].sighting, run[-1].sighting
    return replace(nearest, passage=Passage(first, last, len(run)))
