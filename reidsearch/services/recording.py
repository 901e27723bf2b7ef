"""Recording what is asked of a database in its audit log."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from reidsearch.core.errors import StoreError
from reidsearch.database.audit_log import Event, record

if TYPE_CHECKING:
    from pathlib import Path

    from reidsearch.core.progress import Progress
    from reidsearch.database.audit_entry import Action


@dataclass(frozen=True, slots=True)
class Recorder:
    """Writes to the audit log of one database.

    Attributes:
        folder: the database.
        actor: who asks, as the caller says; empty where the account that runs the process says it.
        progress: warned when an event could not be recorded, which stops nobody.
    """

    folder: Path
    actor: str
    progress: Progress

    def record(self, action: Action, **event: Any) -> None:
        """Add an event; see `audit_log.Event`, which takes the rest."""
        try:
            record(self.folder, Event(action, self.actor, **event))
        except StoreError as error:
            self.progress.warn(f"this {action} was not recorded: {error}")
