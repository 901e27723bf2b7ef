"""Which processes wrote a database, and how that ended."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from reidsearch._version import __version__
from reidsearch.database.ledger_schema import connected
from reidsearch.database.lock import is_being_written, read_owner
from reidsearch.models.backends import library_versions

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Run:
    """One process that wrote.

    Attributes:
        started, ended: local time, ISO 8601; `ended` is None while it runs, or when it was killed.
        outcome: finished, interrupted or failed; None is under way, or killed.
        version: of reidsearch.
        precision, versions: see `Provenance`; here they are those of this process.
        frames, detections: what it stored.
    """

    started: str
    ended: str | None
    outcome: str | None
    version: str
    precision: str
    versions: str
    frames: int
    detections: int


class CurrentRun:
    """The run of this process, which is recorded once it writes.

    Attributes:
        precision: what the networks of this process compute in.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.precision = "f32"
        self._db = connection
        self._opened = _now()
        self._id: int | None = None

    def begin(self) -> None:
        """Record it, if it is not yet."""
        if self._id is None:
            self._id = self._db.execute(
                "INSERT INTO runs (started, version, precision, versions) VALUES (?, ?, ?, ?)",
                (self._opened, __version__, self.precision, library_versions()),
            ).lastrowid

    def count(self, frames: int, detections: int) -> None:
        """Add to what it stored."""
        self._db.execute(
            "UPDATE runs SET frames = frames + ?, detections = detections + ? WHERE id = ?",
            (frames, detections, self._id),
        )

    def end(self, outcome: str) -> None:
        """Record how it ended, if it wrote."""
        if self._id is not None:
            with self._db:
                self._db.execute(
                    "UPDATE runs SET ended = ?, outcome = ? WHERE id = ?",
                    (_now(), outcome, self._id),
                )


def runs_of(connection: sqlite3.Connection) -> list[Run]:
    """All runs of a ledger, oldest first."""
    rows = connection.execute(
        "SELECT started, ended, outcome, version, precision, versions, frames, detections "
        "FROM runs ORDER BY id"
    )
    return [Run(*row) for row in rows]


def close_stale_run(connection: sqlite3.Connection, outcome: str) -> None:
    """Record how the last run ended, if it has not done so itself: in a copy it never will."""
    connection.execute(
        "UPDATE runs SET outcome = ? WHERE outcome IS NULL AND id = (SELECT MAX(id) FROM runs)",
        (outcome,),
    )


def read_runs(folder: Path) -> list[Run]:
    """All that wrote a database, oldest first; raises as `ledger_schema.connected` does."""
    with connected(folder) as connection:
        runs = runs_of(connection)
    owner = read_owner(folder) if is_being_written(folder) else None

    def outcome(run: Run) -> str:
        is_its = owner is not None and run.started >= owner.started
        return run.outcome or ("running" if is_its else "killed")

    return [replace(run, outcome=outcome(run)) for run in runs]


def _now() -> str:
    return datetime.now().astimezone().isoformat(" ", "seconds")
