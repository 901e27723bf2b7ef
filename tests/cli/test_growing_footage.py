"""Footage that changes, and footage that grows, through the command."""

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from reidsearch.database.chroma_store import open_chroma
from tests.conftest import COMMAND, SAMPLE, assert_refused, run

pytestmark = pytest.mark.networks

TIMEOUT_S = 120
INGEST = ("ingest", "gate", "--fps", 10, "--tiles", "off", "--json")


def put(number: int, folder: Path, like: int | None = None) -> Path:
    """Copy a sample frame, perhaps under the name of another."""
    name = f"frame_{number if like is None else like:04}.jpg"
    return Path(shutil.copy(SAMPLE / f"frame_{number:04}.jpg", folder / name))


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    """A folder with three frames."""
    folder = tmp_path / "gate"
    folder.mkdir()
    for number in (1, 21, 41):
        put(number, folder)
    return folder


def people_of(frame: int, cwd: Path) -> Any:
    return run("inspect", "frame", f"gate:{frame}", "--json", cwd=cwd).json["detections"]


def test_changed_frame_is_noticed_and_done_again_when_asked(gate: Path, tmp_path: Path) -> None:
    assert run(*INGEST, cwd=tmp_path).json["frames_changed"] == 0
    before = people_of(21, tmp_path)
    put(541, gate, like=21)
    ran = run(*INGEST, cwd=tmp_path)
    assert (ran.json["frames_changed"], ran.json["frames_skipped"]) == (1, 3)
    assert "1 frame changed since ingested: --refresh" in ran.err
    assert people_of(21, tmp_path) == before
    ran = run(*INGEST, "--refresh", cwd=tmp_path)
    assert (ran.json["frames"], ran.json["frames_changed"], ran.json["frames_skipped"]) == (1, 1, 2)
    assert "changed since" not in ran.err
    after = people_of(21, tmp_path)
    assert len(after) == ran.json["detections"] > 0
    assert [p["crop_hash"] for p in after] != [p["crop_hash"] for p in before]
    again = run(*INGEST, "--refresh", cwd=tmp_path).json
    assert (again["frames"], again["frames_changed"]) == (0, 0)


def test_file_that_was_only_touched_has_not_changed(gate: Path, tmp_path: Path) -> None:
    run(*INGEST, cwd=tmp_path)
    os.utime(gate / "frame_0021.jpg", (1e9, 1e9))
    assert run(*INGEST, "--refresh", cwd=tmp_path).json["frames_changed"] == 0
    with open_chroma(tmp_path / "db") as store:  # and is not read again the next time
        assert dict(store.stamps(("gate", "gate")))[21].mtime_ns == 10**18


def test_refresh_keeps_what_it_cannot_do_again(gate: Path, tmp_path: Path) -> None:
    run(*INGEST, cwd=tmp_path)
    before = people_of(21, tmp_path)
    (gate / "frame_0021.jpg").write_bytes((gate / "frame_0021.jpg").read_bytes()[:3000])
    ran = run(*INGEST, "--refresh", cwd=tmp_path)
    assert (ran.code, ran.json["frames_changed"]) == (0, 0)
    assert "frame_0021.jpg: the file is truncated" in ran.err
    assert people_of(21, tmp_path) == before


def test_first_frame_that_changed_needs_refresh(gate: Path, tmp_path: Path) -> None:
    run(*INGEST, cwd=tmp_path)
    put(541, gate, like=1)
    assert_refused(run(*INGEST, cwd=tmp_path), "not what it was", "--refresh")
    assert run(*INGEST, "--refresh", cwd=tmp_path).json["frames"] == 1
    assert run(*INGEST, cwd=tmp_path).json["frames_skipped"] == 3


def test_frames_that_are_gone_stay_known(gate: Path, tmp_path: Path) -> None:
    run(*INGEST, cwd=tmp_path)
    (gate / "frame_0041.jpg").unlink()
    ran = run(*INGEST, "--refresh", cwd=tmp_path)
    assert (ran.json["frames_changed"], ran.json["frames"]) == (0, 0)
    assert people_of(41, tmp_path)


def test_runs_are_on_record(gate: Path, tmp_path: Path) -> None:
    assert run(*INGEST, cwd=tmp_path).code == 0
    run(*INGEST, cwd=tmp_path)  # which has nothing to do
    runs = run("inspect", "runs", "--json", cwd=tmp_path).json
    assert [(one["outcome"], one["frames"]) for one in runs] == [("finished", 3), ("finished", 0)]
    for one in runs:
        assert (one["command"], one["sources"]) == ("reidsearch ingest", ["gate/gate"])
        assert one["started"] <= one["ended"]
    table = run("inspect", "runs", cwd=tmp_path).out.splitlines()
    assert table[0].split() == [
        *("started", "took", "outcome", "frames", "detections", "command", "sources"),
    ]
    assert len(table) == 3
    assert "gate/gate" in table[1]


@contextmanager
def watching(cwd: Path, *more: str) -> Iterator["subprocess.Popen[str]"]:
    command = [COMMAND, "ingest", "gate", "--watch", "--fps", "10", "--tiles", "off", *more]
    with subprocess.Popen(
        command, cwd=cwd, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def wait_for(process: "subprocess.Popen[str]", words: str) -> None:
    until = time.monotonic() + TIMEOUT_S
    assert process.stderr is not None
    for line in process.stderr:
        if words in line:
            return
        assert time.monotonic() < until
    raise AssertionError(f"it ended without saying {words!r}")


@pytest.mark.parametrize(
    "how", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)]
)
def test_growing_folder_is_followed(tmp_path: Path, how: signal.Signals) -> None:
    gate = tmp_path / "gate"
    gate.mkdir()
    with watching(tmp_path, "--json") as process:
        time.sleep(1)  # it finds nothing yet, and waits
        put(1, gate)
        wait_for(process, "gate/gate: ")
        whole = (SAMPLE / "frame_0021.jpg").read_bytes()
        with (gate / "frame_0021.jpg").open("wb") as file:  # as a slow camera writes
            for start in range(0, len(whole), 1 + len(whole) // 8):
                file.write(whole[start : start + 1 + len(whole) // 8])
                file.flush()
                time.sleep(0.5)
        put(41, gate)
        wait_for(process, "gate/gate: ")
        process.send_signal(how)
        out, err = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 0, err
    assert "cannot decode" not in err
    assert '"frames_failed": 0' in out
    assert people_of(1, tmp_path)
    assert run("inspect", "runs", "--json", cwd=tmp_path).json[0]["outcome"] == "finished"
    assert run(*INGEST, cwd=tmp_path).json["frames_skipped"] >= 2


@pytest.mark.slow
def test_bad_frame_of_a_growing_folder_is_named_once(gate: Path, tmp_path: Path) -> None:
    for path in (*gate.iterdir(), put(61, gate)):
        os.utime(path, (1e9, 1e9))
    (gate / "frame_0061.jpg").write_bytes(b"\xff\xd8 and no more")
    os.utime(gate / "frame_0061.jpg", (1e9, 1e9))
    with watching(tmp_path) as process:
        wait_for(process, "cannot decode")
        wait_for(process, "3 new frames")
        os.utime(put(81, gate), (1e9, 1e9))
        wait_for(process, "1 new frame")
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=TIMEOUT_S)
    assert "cannot decode" not in err
    assert "in 4 frames, 1 failed" in err


@pytest.mark.slow
def test_changed_frame_is_counted_once_however_long_one_watches(gate: Path, tmp_path: Path) -> None:
    run(*INGEST, cwd=tmp_path)
    os.utime(put(541, gate, like=21), (1e9, 1e9))
    with watching(tmp_path, "--json") as process:
        for number in (61, 81):
            os.utime(put(number, gate), (1e9, 1e9))
            wait_for(process, "new frame")
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=TIMEOUT_S)
    report = json.loads(out)
    assert (report["frames"], report["frames_changed"]) == (2, 1)
    assert "1 frame changed" in err
    assert report["detections"] == len(people_of(61, tmp_path)) + len(people_of(81, tmp_path))


def test_watching_with_nothing_new_but_a_bad_frame_is_no_error(gate: Path, tmp_path: Path) -> None:
    run(*INGEST, cwd=tmp_path)
    (gate / "frame_0500.jpg").write_bytes(b"\xff\xd8 and no more")
    os.utime(gate / "frame_0500.jpg", (1e9, 1e9))
    with watching(tmp_path) as process:
        wait_for(process, "cannot decode")
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=TIMEOUT_S)
    assert (process.returncode, "0 detections in 0 frames, 1 failed" in err) == (0, True), err


def test_what_cannot_be_watched(gate: Path, tmp_path: Path) -> None:
    (tmp_path / "nameless").mkdir()
    shutil.copy(SAMPLE / "frame_0001.jpg", tmp_path / "nameless" / "face.jpg")
    os.utime(tmp_path / "nameless" / "face.jpg", (1e9, 1e9))
    watch = ("ingest", "--watch")
    assert_refused(run(*watch, "gone", cwd=tmp_path), "gone is not a folder", code=2)
    video = gate / "frame_0001.jpg"
    assert_refused(run(*watch, video, cwd=tmp_path), "only folders can be watched", code=2)
    assert_refused(run(*watch, gate, "--max-frames", 3, cwd=tmp_path), "--max-frames", code=2)
    assert_refused(run(*watch, "nameless", cwd=tmp_path), "have no numbers")
    (tmp_path / "other" / "gate").mkdir(parents=True)
    ran = run(*watch, "gate", "other/gate", cwd=tmp_path)
    assert_refused(ran, "would both be named gate/gate")
