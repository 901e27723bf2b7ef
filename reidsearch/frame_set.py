"""Sets of frame numbers as short text: `1-781:20,800` for 1, 21, ..., 781 and 800."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


def pack_numbers(numbers: Iterable[int]) -> str:
    """Write numbers (not negative) as comma-separated runs `first-last:step`, in rising order.

    Raises:
        ValueError: a number is negative.
    """
    rest = sorted(set(numbers))
    if rest and rest[0] < 0:
        raise ValueError(f"negative frame number {rest[0]}")
    runs: list[str] = []
    start = 0
    while start < len(rest):
        end = start
        step = rest[start + 1] - rest[start] if start + 1 < len(rest) else 1
        while end + 1 < len(rest) and rest[end + 1] - rest[end] == step:
            end += 1
        if end - start < 2:  # two numbers are no run: the second may begin one
            end, run = start, f"{rest[start]}"
        else:
            run = f"{rest[start]}-{rest[end]}" + (f":{step}" if step != 1 else "")
        runs.append(run)
        start = end + 1
    return ",".join(runs)


def unpack_numbers(text: str) -> frozenset[int]:
    """Read what `pack_numbers` wrote.

    Raises:
        ValueError: the text is no such list.
    """
    numbers: set[int] = set()
    for run in filter(None, text.split(",")):
        span, _, step = run.partition(":")
        first, _, last = span.partition("-")
        found = range(int(first), int(last or first) + 1, int(step or 1))
        if not found:
            raise ValueError(f"{run!r} is an empty run")
        numbers.update(found)
    return frozenset(numbers)
