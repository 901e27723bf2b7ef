"""Drawing a search result: each frame is read once for all that is drawn of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from reidsearch.footage.reread import read_frames

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from reidsearch.footage.reread import FoundFrame
    from reidsearch.search.find import SearchResult


class Drawing(Protocol):
    """Something that shows the query and the matches of a search."""

    def add(self, found: FoundFrame) -> None:
        """Show a detection: the query, or that of a match."""
        ...


def draw(result: SearchResult, drawings: Iterable[Drawing], root: Path | None = None) -> list[str]:
    """Read the frames of the query and of all matches, in any order, and show them.

    Args:
        result: of a search.
        drawings: made for it.
        root: folder that footage was moved to; see `reread.locate`.

    Returns:
        Which frames are missing or have changed, one sentence each.
    """
    own = [] if result.query.shown is None else [result.query.shown]
    shown = {found.id: found for found in (*own, *(match.detection for match in result.matches))}
    drawings, problems = [*drawings], set()
    for found in read_frames(shown.values(), root):
        problems.add(found.problem)
        for drawing in drawings:
            drawing.add(found)
    return sorted(problems - {""})
