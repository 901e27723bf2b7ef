"""Which processes wrote a database, and how that ended."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from reidsearch._version import __version__
from reidsearch.database.ledger_schema import connected
from reidsearch.database.lock import is_being_written, read_owner, this_process
from reidsearch.models.backends import library_versions

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Run:
    """One process that wrote.

    Attributes:
        sources: what it read and what has not been erased since, each as `camera/source`.
        started, ended: local time, ISO 8601; `ended` is None while it runs, or when it was killed.
        outcome: finished, interrupted (after what it had at hand was stored) or failed; None is
            under way, or killed.
        command: see `lock.Owner`.
        frames, detections: what it stored.
        precision, versions: see `Provenance`; here they are those of this process.
        version: of reidsearch.
    """

    sources: tuple[str, ...]
    started: str
    ended: str | None
    outcome: str | None
    command: str
    frames: int
    detections: int
    precision: str
    versions: str
    version: str


class CurrentRun:
    """The run of this process, which is recorded once it writes.

    Attributes:
        precision: what the networks of this process compute in.
        outcome: how it will have ended, unless it is killed.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.precision, self.outcome = "f32", "finished"
        self._db = connection
        self._opened = _now()
        self._id: int | None = None

    def begin(self) -> None:
        """Record it, if it is not yet."""
        if self._id is None:
            self._id = self._db.execute(
                "INSERT INTO runs (command, started, version, precision, versions) "
                "VALUES (?, ?, ?, ?, ?)",
                (
                    *(this_process().command, self._opened),
                    *(__version__, self.precision, library_versions()),
                ),
            ).lastrowid

    def read(self, source: int) -> None:
        """Record that it reads a source that is known."""
        self._db.execute(
            "INSERT OR IGNORE INTO run_sources SELECT ?, id FROM sources WHERE id = ?",
            (self._id, source),
        )

    def count(self, frames: int, detections: int) -> None:
        """Add to what it stored."""
        self._db.execute(
            "UPDATE runs SET frames = frames + ?, detections = detections + ? WHERE id = ?",
            (frames, detections, self._id),
        )

    def end(self) -> None:
        """Record how it ended, if it wrote."""
        if self._id is not None:
            with self._db:
                self._db.execute(
                    "UPDATE runs SET ended = ?, outcome = ? WHERE id = ?",
                    (_now(), self.outcome, self._id),
                )


def runs_of(connection: sqlite3.Connection) -> list[Run]:
    """All runs of a ledger, oldest first."""
    rows = connection.execute(
        "SELECT (SELECT json_group_array(camera || '/' || name) "
        "FROM run_sources JOIN sources ON id = source WHERE run = runs.id), "
        "started, ended, outcome, command, frames, detections, precision, versions, version "
        "FROM runs ORDER BY id"
    )
    return [Run(tuple(sorted(json.loads(sources))), *row) for sources, *row in rows]


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
