"""An ingest that is killed or interrupted loses nothing that it stored, and goes on from there."""

import json
import shutil
import signal
import sqlite3
import subprocess
import time
from pathlib import Path

import chromadb
import numpy as np
import pytest

from reidsearch.frame_set import FrameSet
from tests.conftest import COMMAND, run

TIMEOUT_S = 120


def stored_frames(db: Path) -> FrameSet:
    """What the database records as ingested, read beside the process that writes it."""
    try:
        with sqlite3.connect(f"file:{db}/chroma.sqlite3?mode=ro", uri=True) as database:
            rows = database.execute(
                "SELECT str_value FROM collection_metadata WHERE key LIKE 'source:%'"
            ).fetchall()
        database.close()
    except sqlite3.OperationalError:  # not there yet, or being written
        return FrameSet()
    return FrameSet.from_text(json.loads(rows[0][0])["frames"]) if rows else FrameSet()


def stop_half_way(
    sample: Path, folder: Path, how: signal.Signals, delay_s: float
) -> tuple[int, str]:
    """Ingest the sample frames and stop as soon as the first of them are stored."""
    command = [COMMAND, "ingest", sample, "--fps", "10"]
    with subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, text=True) as writer:
        until = time.monotonic() + TIMEOUT_S
        while not stored_frames(folder / "db"):
            assert writer.poll() is None, "it ended before anything was stored"
            assert time.monotonic() < until
            time.sleep(0.01)
        time.sleep(delay_s)
        writer.send_signal(how)
        err = writer.communicate()[1]
    return writer.returncode, err


def contents(db: Path) -> dict[str, np.ndarray]:
    with chromadb.PersistentClient(db) as client:
        people = client.get_collection("people", embedding_function=None)
        rows = people.get(include=["embeddings"])
    return dict(zip(rows["ids"], rows["embeddings"], strict=True))


@pytest.mark.parametrize("delay_s", [0.0, 0.1, 0.2])
def test_killed_ingest_goes_on(made_db: Path, sample: Path, tmp_path: Path, delay_s: float) -> None:
    code, _ = stop_half_way(sample, tmp_path, signal.SIGKILL, delay_s)
    assert code == -signal.SIGKILL
    kept = run("inspect", "--json", cwd=tmp_path).json["frames"]
    assert 0 < kept < 40
    ran = run("ingest", sample, "--fps", 10, "--json", cwd=tmp_path)
    assert (ran.json["frames_skipped"], ran.json["frames"]) == (kept, 40 - kept)
    whole, resumed = contents(made_db), contents(tmp_path / "db")
    assert whole.keys() == resumed.keys()
    for crop_id, vector in whole.items():
        assert resumed[crop_id] == pytest.approx(vector, abs=1e-4)


def test_ctrl_c_keeps_what_is_stored(sample: Path, tmp_path: Path) -> None:
    code, err = stop_half_way(sample, tmp_path, signal.SIGINT, 0.0)
    assert code == 130
    assert "interrupted" in err
    assert "Traceback" not in err
    kept = run("inspect", "--json", cwd=tmp_path).json
    assert 0 < kept["frames"] < 40
    assert kept["people"] == kept["sources"][0]["people"]
    assert run("search", "--frame", "pets09-s2l1:1", cwd=tmp_path).code == 0


def test_a_database_that_moved_still_works(own_db: Path, tmp_path: Path) -> None:
    moved = shutil.move(own_db, tmp_path / "elsewhere")
    assert run("search", "--frame", "pets09-s2l1:1", "--db", moved, cwd=tmp_path).code == 0
