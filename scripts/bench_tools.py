"""What the benchmarks share: two sides in turn, machine and versions, tables."""

from __future__ import annotations

import json
import os
import platform
import resource
import statistics
import subprocess
import sys
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

PACKAGES = ("reidsearch", "openvino", "torch", "tensorflow", "chromadb", "numpy")


@dataclass(frozen=True)
class Compared:
    """One comparison.

    Attributes:
        work: what was done.
        unit: of the seconds below.
        ours, reference: seconds of each round.
        notes: other measured figures.
    """

    work: str
    unit: str
    ours: list[float]
    reference: list[float]
    notes: dict[str, float]

    @property
    def ratios(self) -> list[float]:
        """How many times as fast ours was, round by round."""
        return [b / a for a, b in zip(self.ours, self.reference, strict=True)]


def run_side(*command: object) -> dict[str, float]:
    """Run one side in a process of its own; it prints its figures as JSON."""
    done = subprocess.run([*map(str, command)], stdout=subprocess.PIPE, text=True, check=True)
    figures: dict[str, float] = json.loads(done.stdout)
    return figures


def compare(
    work: str, unit: str, ours: list[object], reference: list[object], rounds: int
) -> Compared:
    """Run two commands in turn; each prints `units` and `seconds`."""
    sides: tuple[list[dict[str, float]], list[dict[str, float]]] = ([], [])
    for number in range(rounds):
        for command, ran in zip((ours, reference), sides, strict=True):
            ran.append(run_side(*command))
        print(f"{work}: round {number + 1} of {rounds}", file=sys.stderr)
    seconds = [[one["seconds"] / one["units"] for one in ran] for ran in sides]
    named = sides[0][0].keys() - {"units", "seconds"}
    notes = {name: statistics.median(one[name] for one in sides[0]) for name in sorted(named)}
    return Compared(work, unit, *seconds, notes)


def peak_mb() -> float:
    """Greatest memory that this process ever had, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000


def machine() -> str:
    """This machine and the versions that matter, in one line."""
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [line for line in info.read_text().splitlines() if line.startswith("model name")]
        cpu = names[0].partition(":")[2].strip() if names else cpu
    versions = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    return f"{os.cpu_count()} cores of {cpu}; Python {platform.python_version()}, {versions}"


def to_markdown(rows: list[Compared]) -> str:
    """A table of medians and ratios."""
    lines = ["| work | ours | reference | times as fast | |", "|---|---|---|---|---|"]
    for row in rows:
        ours, reference = (_format(statistics.median(s)) for s in (row.ours, row.reference))
        ratio = statistics.median(row.ratios)
        spread = f"{min(row.ratios):.2f} to {max(row.ratios):.2f}"
        notes = ", ".join(f"{name} {value:.4g}" for name, value in row.notes.items())
        lines.append(
            f"| {row.work} | {ours} a {row.unit} | {reference} | {ratio:.2f} ({spread}) | {notes} |"
        )
    return "\n".join(lines)


def _format(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms" if seconds < 1 else f"{seconds:.2f} s"
