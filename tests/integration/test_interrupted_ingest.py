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

from tests.conftest import COMMAND, Ran, run

pytestmark = pytest.mark.networks

TIMEOUT_S = 120


def count_frames(db: Path) -> int:
    """How many the ledger has, read beside the process that writes it."""
    try:
        with closing(sqlite3.connect(f"file:{db}/reidsearch.sqlite3?mode=ro", uri=True)) as ledger:
            return int(ledger.execute("SELECT COUNT(*) FROM frames").fetchone()[0])
    except sqlite3.OperationalError:  # not there yet, or being written
        return 0


def stop_half_way(
    frames: Path, folder: Path, how: signal.Signals, delay_s: float = 0.0, times: int = 1
) -> Ran:
    """Ingest frames and stop as soon as the first of them, or more of them, are stored."""
    known = count_frames(folder / "db")
    command = [COMMAND, "ingest", frames, "--fps", "10", "--json"]
    with subprocess.Popen(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as writer:
        until = time.monotonic() + TIMEOUT_S
        while count_frames(folder / "db") == known:
            assert writer.poll() is None, "it ended before anything was stored"
            assert time.monotonic() < until
            time.sleep(0.01)
        time.sleep(delay_s)
        for _ in range(times):
            writer.send_signal(how)
            time.sleep(0.01)
        out, err = writer.communicate()
    return Ran(writer.returncode, out, err)


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


@pytest.mark.slow
@pytest.mark.parametrize("delay_s", [0.0, 0.1, 0.2])
def test_killed_ingest_goes_on(
    undisturbed: Path, sample: Path, tmp_path: Path, delay_s: float
) -> None:
    assert stop_half_way(sample, tmp_path, signal.SIGKILL, delay_s).code == -signal.SIGKILL
    kept = run("inspect", "--json", cwd=tmp_path).json["frames"]
    assert 0 < kept < 40
    ran = run("ingest", sample, "--fps", 10, "--json", cwd=tmp_path)
    assert (ran.json["frames_skipped"], ran.json["frames"]) == (kept, 40 - kept)
    whole, resumed = contents(undisturbed), contents(tmp_path / "db")
    assert whole.keys() == resumed.keys()
    for crop_id, (row, vector) in whole.items():
        assert resumed[crop_id][0] == row
        assert resumed[crop_id][1] == pytest.approx(vector, abs=1e-3)


@pytest.mark.slow
def test_ctrl_c_keeps_what_is_stored(sample: Path, tmp_path: Path) -> None:
    images, frames = sorted(sample.glob("*.jpg")), tmp_path / "long"
    frames.mkdir()
    for number in range(1, 401):  # so many that the last are not at hand when the first are stored
        shutil.copy(images[number % len(images)], frames / f"{number}.jpg")
    assert stop_half_way(frames, tmp_path, signal.SIGINT, times=2).code == 130
    known = run("inspect", "--json", cwd=tmp_path).json["frames"]
    ran = stop_half_way(frames, tmp_path, signal.SIGINT)
    assert ran.code == 130
    assert "interrupted" in ran.err
    assert "Traceback" not in ran.err
    assert ran.json["interrupted"]
    kept = run("inspect", "--json", cwd=tmp_path).json
    assert 0 < known < kept["frames"] == known + ran.json["frames"] < 400
    runs = run("inspect", "runs", "--json", cwd=tmp_path).json
    assert runs[0]["outcome"] in ("killed", "interrupted")  # before the second Ctrl-C came
    assert (runs[1]["outcome"], runs[1]["frames"]) == ("interrupted", ran.json["frames"])
    assert kept["detections"] == kept["sources"][0]["detections"]
    assert run("search", "--frame", "long:1", cwd=tmp_path).code == 0


def test_a_database_that_moved_still_works(own_db: Path, tmp_path: Path) -> None:
    moved = shutil.move(own_db, tmp_path / "elsewhere")
    assert run("search", "--frame", "pets09-s2l1:1", "--db", moved, cwd=tmp_path).code == 0
