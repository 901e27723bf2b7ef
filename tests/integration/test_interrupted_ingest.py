"""An ingest that is killed or interrupted loses nothing that it stored, and goes on from there."""

import shutil
import signal
import sqlite3
import subprocess
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import chromadb
import numpy as np
import pytest

from tests.conftest import COMMAND, run

pytestmark = pytest.mark.networks

TIMEOUT_S = 120


def has_frames(db: Path) -> bool:
    """Whether the ledger has any, read beside the process that writes it."""
    try:
        with closing(sqlite3.connect(f"file:{db}/reidsearch.sqlite3?mode=ro", uri=True)) as ledger:
            return bool(ledger.execute("SELECT COUNT(*) FROM frames").fetchone()[0])
    except sqlite3.OperationalError:  # not there yet, or being written
        return False


def stop_half_way(
    frames: Path, folder: Path, how: signal.Signals, delay_s: float
) -> tuple[int, str]:
    """Ingest frames and stop as soon as the first of them are stored."""
    command = [COMMAND, "ingest", frames, "--fps", "10"]
    with subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, text=True) as writer:
        until = time.monotonic() + TIMEOUT_S
        while not has_frames(folder / "db"):
            assert writer.poll() is None, "it ended before anything was stored"
            assert time.monotonic() < until
            time.sleep(0.01)
        time.sleep(delay_s)
        writer.send_signal(how)
        err = writer.communicate()[1]
    return writer.returncode, err


def contents(db: Path) -> dict[str, tuple[Any, np.ndarray]]:
    """Metadata and vector of each row, past our own reading of them."""
    with chromadb.PersistentClient(db) as client:
        people = client.get_collection("people", embedding_function=None)
        rows = people.get(include=["embeddings", "metadatas"])
    found = zip(rows["ids"], rows["metadatas"], rows["embeddings"], strict=True)
    return {crop_id: (row, vector) for crop_id, row, vector in found}


@pytest.fixture(scope="module")
def undisturbed(sample: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("undisturbed")
    assert run("ingest", sample, "--fps", 10, cwd=folder).code == 0
    return folder / "db"


@pytest.mark.parametrize(
    "delay_s", [0.0, *(pytest.param(delay, marks=pytest.mark.slow) for delay in (0.1, 0.2))]
)
def test_killed_ingest_goes_on(
    undisturbed: Path, sample: Path, tmp_path: Path, delay_s: float
) -> None:
    code, _ = stop_half_way(sample, tmp_path, signal.SIGKILL, delay_s)
    assert code == -signal.SIGKILL
    kept = run("inspect", "--json", cwd=tmp_path).json["frames"]
    assert 0 < kept < 40
    ran = run("ingest", sample, "--fps", 10, "--json", cwd=tmp_path)
    assert (ran.json["frames_skipped"], ran.json["frames"]) == (kept, 40 - kept)
    whole, resumed = contents(undisturbed), contents(tmp_path / "db")
    assert whole.keys() == resumed.keys()
    for crop_id, (row, vector) in whole.items():
        assert resumed[crop_id][0] == row
        assert resumed[crop_id][1] == pytest.approx(vector, abs=1e-3)


def test_ctrl_c_keeps_what_is_stored(sample: Path, tmp_path: Path) -> None:
    images, frames = sorted(sample.glob("*.jpg")), tmp_path / "long"
    frames.mkdir()
    for number in range(1, 401):  # so many that the last are not at hand when the first are stored
        shutil.copy(images[number % len(images)], frames / f"{number}.jpg")
    code, err = stop_half_way(frames, tmp_path, signal.SIGINT, 0.0)
    assert code == 130
    assert "interrupted" in err
    assert "Traceback" not in err
    kept = run("inspect", "--json", cwd=tmp_path).json
    assert 0 < kept["frames"] < 400
    assert kept["detections"] == kept["sources"][0]["detections"]
    assert run("search", "--frame", "long:1", cwd=tmp_path).code == 0


def test_a_database_that_moved_still_works(own_db: Path, tmp_path: Path) -> None:
    moved = shutil.move(own_db, tmp_path / "elsewhere")
    assert run("search", "--frame", "pets09-s2l1:1", "--db", moved, cwd=tmp_path).code == 0
