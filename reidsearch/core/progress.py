"""How long work tells its caller how far it is, and learns that it should end early."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """What long work reports to; its methods are called from the caller's own thread only."""

    @property
    def cancelled(self) -> bool:
        """Whether the work should end early.

        Work that can end between two steps looks at this there, from whatever thread, and returns
        what it has done.
        """
        ...

    def phase(self, name: str, total: int | None = None) -> None:
        """Begin a part of the work that takes `total` steps; None where that is not known."""
        ...

    def advance(self, n: int = 1, note: str = "") -> None:
        """Count n steps of the phase as done; the note says how it stands."""
        ...

    def say(self, text: str) -> None:
        """Report what is worth a line of its own."""
        ...

    def warn(self, text: str) -> None:
        """Report what went wrong without ending the work."""
        ...


class _Silent:
    """Reports to nobody, and is never cancelled."""

    cancelled = False

    def phase(self, name: str, total: int | None = None) -> None:
        pass

    def advance(self, n: int = 1, note: str = "") -> None:
        pass

    def say(self, text: str) -> None:
        pass

    def warn(self, text: str) -> None:
        pass


SILENT: Progress = _Silent()
