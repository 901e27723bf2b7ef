"""Recording for commands: what cannot be written stops nobody, but is said."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reidsearch.cli.output import warn
from reidsearch.core.errors import StoreError

if TYPE_CHECKING:
    from pathlib import Path

    from reidsearch.database.audit_entry import Action


def record(db: Path, action: Action, **event: Any) -> None:
    """Add an event to the database's audit log; see `audit.log.record`, which takes the rest."""
    from reidsearch.database.audit_log import record as write

    try:
        write(db, action, **event)
    except StoreError as error:
        warn(f"this {action} was not recorded: {error}")
