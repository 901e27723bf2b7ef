"""Which detections become matches."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, fields, replace
from itertools import islice, takewhile
from typing import TYPE_CHECKING, Any, Literal

from reidsearch.core import defaults
from reidsearch.core.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Iterator

    from reidsearch.core.types import Fuse, Match, StoredDetection

By = Literal["tracklet", "frame", "detection"]


@dataclass(frozen=True, slots=True)
class Grouping:
    """How many matches there may be, and what counts as one.

    Attributes:
        top: how many at most.
        max_distance: none is farther away.
        by: a match is the nearest detection of a tracklet, or of a frame, where nobody is twice;
            or each detection is one.
        per_source: how many of one source; None is any number.
        fuse: how distances to several pictures of a person become one.

    Raises:
        UsageError: a limit is no limit.
    """

    top: int = defaults.TOP
    max_distance: float | None = None
    by: By = "tracklet"
    per_source: int | None = None
    fuse: Fuse = "min"

    def __post_init__(self) -> None:
        for count in (self.top, self.per_source):
            if count is not None and count < 1:
                raise UsageError(f"{count} matches cannot be shown")
        if self.max_distance is not None and not self.max_distance >= 0:
            raise UsageError("distances are not negative")

    def options(self) -> dict[str, Any]:
        """How many matches there may be, and what else differs from the default."""
        return {
            field.name: value
            for field in fields(self)
            if (value := getattr(self, field.name)) != field.default or field.name == "top"
        }

    def choose(
        self, nearest: Iterable[Match], sources: int, name: Callable[[StoredDetection], Hashable]
    ) -> list[Match]:
        """Make matches of detections, taking no more of them than are needed.

        Args:
            nearest: detections, nearest first.
            sources: of how many sources they can be.
            name: of a detection's tracklet or frame.

        Returns:
            Matches, ranked anew.
        """
        limit = math.inf if self.max_distance is None else self.max_distance
        matches: Iterable[Match] = takewhile(lambda match: match.distance <= limit, nearest)
        if self.by != "detection":
            matches = _first_of(matches, 1, name)
        if self.per_source is not None:
            matches = _first_of(matches, self.per_source, lambda detection: detection.key)
        top = self.top if self.per_source is None else min(self.top, self.per_source * sources)
        return [replace(match, rank=rank) for rank, match in enumerate(islice(matches, top), 1)]


def _first_of(
    matches: Iterable[Match], count: int, name: Callable[[StoredDetection], Hashable]
) -> Iterator[Match]:
    """The first `count` matches of each name."""
    seen: Counter[Hashable] = Counter()
    for match in matches:
        of = name(match.detection)
        seen[of] += 1
        if seen[of] <= count:
            yield match
