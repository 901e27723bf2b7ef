"""Measure which share of an ingest the ledger and the lock take.

Ingest stores while it detects and embeds, so the share of the time that passes is less still.

usage: python scripts/bench_ledger.py VIDEO [--frames N] [--rounds R]
"""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from bench_tools import machine

from reidsearch import SourceOptions, open_database, open_source
from reidsearch.database import chroma_store
from reidsearch.database.ledger import Ledger
from reidsearch.database.lock import writing

if TYPE_CHECKING:
    from collections.abc import Callable

CALLS = (
    *("require_new", "announce", "commit", "pending", "numbered_sources"),
    *("stamps", "frames", "purge", "set_index", "source_id"),
)


def main(
    source: Path,
    frames: Annotated[int, typer.Option(help="Frames of the source to ingest.")] = 300,
    rounds: Annotated[int, typer.Option(help="Ingests of them.")] = 3,
) -> None:
    """Print one line for each round, and their median."""
    clock = Clock()
    for name in CALLS:
        setattr(Ledger, name, clock.timed(getattr(Ledger, name)))
    chroma_store.create_ledger = clock.timed(chroma_store.create_ledger)
    shares = []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as db:
            clock.seconds = 0.0
            footage = open_source(source, SourceOptions(max_frames=frames))
            report = open_database(db).ingest(footage)
            lock_s = time_lock(Path(db))
        shares.append((clock.seconds + lock_s) / report.seconds)
        print(
            f"{report.frames} frames, {report.detections} detections, {report.seconds:.1f} s: "
            f"ledger {clock.seconds * 1000:.0f} ms, lock {lock_s * 1000:.1f} ms, {shares[-1]:.2%}"
        )
    print(f"{machine()}: {statistics.median(shares):.2%}")


class Clock:
    """Adds up how long functions took."""

    seconds = 0.0

    def timed(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, with its time counted."""

        def call(*args: Any, **kwargs: Any) -> Any:
            started = time.perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                self.seconds += time.perf_counter() - started

        return call


def time_lock(db: Path) -> float:
    """Take it and give it back, as each ingest does once."""
    started = time.perf_counter()
    with writing(db):
        pass
    return time.perf_counter() - started


if __name__ == "__main__":
    typer.run(main)
