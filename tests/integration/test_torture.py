"""A short run of what `scripts/torture.py` does at length."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "torture.py"
SHORT = {"--kills": 10, "--erasures": 2, "--fills": 2, "--readers": 4, "--cuts": 11, "--flips": 11}
SHORT["--double-flips"] = 0  # what two faults at once leave, only a backup may bring back


@pytest.mark.slow
def test_nothing_is_lost() -> None:
    options = [str(word) for pair in SHORT.items() for word in pair]
    done = subprocess.run(
        [sys.executable, SCRIPT, *options, "--json"], capture_output=True, text=True, check=False
    )
    assert done.stdout, done.stderr
    rows = json.loads(done.stdout)
    tried = {row["fault"]: row["tried"] for row in rows}
    assert tried["ingest killed"] >= 10
    for what in ("cut short", "byte changed"):
        assert sum(count for fault, count in tried.items() if what in fault) == 11
    for row in rows:
        assert row["lost"] == 0, row
        assert row["survived"] + row["mended"] == row["tried"]
    assert done.returncode == 0
