"""Sets of frame numbers, small however many frames there are, in memory and as text."""

from __future__ import annotations

import sys
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Set
from itertools import chain, pairwise
from operator import eq


class FrameSet(Set[int]):
    """Frame numbers as runs of equal steps; its text `1-781:20,800` says 1, 21, ..., 781 and 800.

    An immutable set. Its size is that of its runs, of which footage has few: one for each pause.
    """

    __slots__ = ("_runs",)

    def __init__(self, numbers: Iterable[int] = ()) -> None:
        """Hold `numbers`, in any order; ValueError when one is negative."""
        ordered = sorted(set(numbers))
        if ordered and ordered[0] < 0:
            raise ValueError(f"negative frame number {ordered[0]}")
        self._runs = _to_runs(ordered)

    @classmethod
    def from_text(cls, text: str) -> FrameSet:
        """Read what `str` wrote; ValueError when it is no such text."""
        runs = [_parse_run(run) for run in filter(None, text.split(","))]
        if any(after.start <= before[-1] for before, after in pairwise(runs)):
            raise ValueError(f"{text[:50]!r} is not in order")
        return cls._of_runs(runs)

    @classmethod
    def _of_runs(cls, runs: list[range]) -> FrameSet:
        made = cls()
        made._runs = runs
        return made

    def grown(self, numbers: Iterable[int]) -> FrameSet:
        """This set with more numbers; quick when they all come after its last."""
        more = FrameSet(numbers)
        if not (self._runs and more._runs):
            return more if not self._runs else self
        last, first = self._runs[-1], more._runs[0]
        if first.start <= last[-1]:
            return FrameSet(chain(self, more))
        step = first.step if len(last) == 1 else last.step
        if first.start - last[-1] == step and (len(first) == 1 or first.step == step):
            joined = range(last.start, first[-1] + 1, step)
            return self._of_runs([*self._runs[:-1], joined, *more._runs[1:]])
        return self._of_runs([*self._runs, *more._runs])

    def __contains__(self, number: object) -> bool:
        if not isinstance(number, int):
            return False
        place = bisect_right(self._runs, number, key=lambda run: run.start)
        return place > 0 and number in self._runs[place - 1]

    def __iter__(self) -> Iterator[int]:
        return chain.from_iterable(self._runs)

    def nearest(self, number: int) -> int:
        """The number in the set that is nearest to another; IndexError when there is none."""
        place = bisect_right(self._runs, number, key=lambda run: run.start)
        candidates = []
        for run in self._runs[max(0, place - 1) : place + 1]:
            at = (2 * (number - run.start) + run.step) // (2 * run.step)
            candidates.append(run[min(max(0, at), len(run) - 1)])
        return min(candidates, key=lambda one: abs(one - number))

    def __eq__(self, other: object) -> bool:
        if isinstance(other, FrameSet):  # in either's order: Set's own way looks each number up
            return len(self) == len(other) and all(map(eq, self, other))
        return super().__eq__(other)

    __hash__ = None  # type: ignore[assignment]  # as with Set itself

    def __len__(self) -> int:
        return sum(map(len, self._runs))

    def __str__(self) -> str:
        return ",".join(map(_format_run, self._runs))

    def __repr__(self) -> str:
        return f"FrameSet.from_text({str(self)!r})"

    @property
    def first(self) -> int:
        """The smallest number; IndexError when there is none."""
        return self._runs[0].start

    @property
    def last(self) -> int:
        """The greatest number; IndexError when there is none."""
        return self._runs[-1][-1]


def _to_runs(ordered: list[int]) -> list[range]:
    runs: list[range] = []
    start = 0
    while start < len(ordered):
        end = start
        step = ordered[start + 1] - ordered[start] if start + 1 < len(ordered) else 1
        while end + 1 < len(ordered) and ordered[end + 1] - ordered[end] == step:
            end += 1
        if end == start + 1:  # two numbers are no run: the second may begin one
            end = start
        runs.append(range(ordered[start], ordered[end] + 1, step if end > start else 1))
        start = end + 1
    return runs


def _format_run(run: range) -> str:
    if len(run) == 1:
        return str(run.start)
    return f"{run.start}-{run[-1]}" + (f":{run.step}" if run.step != 1 else "")


def _parse_run(text: str) -> range:
    span, _, step = text.partition(":")
    first, _, last = span.partition("-")
    run = range(int(first), int(last or first) + 1, int(step or 1))
    if run.step < 0 or not run.start < run.stop <= sys.maxsize:
        raise ValueError(f"{text[:50]!r} is no run of frames")
    return run
