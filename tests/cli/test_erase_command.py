"""What is erased is in no file of the database any more."""

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import chromadb
import cv2
import numpy as np
import pytest
from filelock import FileLock

from reidsearch import open_database
from reidsearch.core.errors import StoreError
from reidsearch.core.types import Filter, Records, StoredFrame
from reidsearch.database import swap
from reidsearch.database.audit_log import Event, record
from reidsearch.database.chroma_store import open_chroma, open_locked
from reidsearch.database.lock import reading, writing
from reidsearch.database.opening import open_to_read
from reidsearch.database.swap import swapping
from reidsearch.services.erase import Erasure
from tests.conftest import INGEST, PEOPLE, Ran, Warnings, assert_refused, run, run_apart

SOURCE = "pets09-s2l1/pets09-s2l1"
KEY = ("pets09-s2l1", "pets09-s2l1")
FIRST = f"{SOURCE}:1:1"


def erase(db: Path, *arguments: object) -> Ran:
    """In a process of its own: this one knows people whom Chroma could write out of its memory."""
    return run_apart("erase", "--db", db, *arguments, cwd=db.parent)


def everything(db: Path) -> Records:
    with open_chroma(db) as store:
        return store.scan(Filter())


def distinctive(vector: np.ndarray) -> bytes:
    """64 bytes of a vector that no other has: those with the fewest zeros, as most of it may be."""
    parts = vector.reshape(-1, 64 // vector.itemsize)
    return parts[np.count_nonzero(parts, axis=1).argmax()].tobytes()


def traces(db: Path, records: Records, ids: Iterable[str]) -> list[tuple[str, str]]:
    """Files that have the bytes of an id or of a vector, in either precision."""
    contents = [(path, path.read_bytes()) for path in db.rglob("*") if path.is_file()]
    needles = {}
    rows = {detection.id: row for row, detection in enumerate(records.detections)}
    for id_ in ids:
        vector = records.embeddings.vectors[rows[id_]]
        forms = {"half": vector.astype("<f2"), "single": vector.astype("<f4")}
        needles |= {f"{id_} {name}": distinctive(array) for name, array in forms.items()}
        needles[id_] = id_.encode()
    return sorted(
        (name, path.relative_to(db).parts[0])
        for name, needle in needles.items()
        for path, data in contents
        for at in [data.find(needle)]
        if at >= 0 and not data[at + len(needle) : at + len(needle) + 1].isdigit()
    )


def require_sound(db: Path) -> None:
    for command in (("doctor",), ("audit", "verify")):
        ran = run(*command, "--db", db, "--json", cwd=db.parent)
        assert ran.code == 0, ran.out


def test_single_people_leave_no_trace(own_db: Path) -> None:
    before = everything(own_db)
    search = ("search", "--id", FIRST, "--top", 1, "--json", "--db", own_db)
    [nearest] = run(*search, cwd=own_db.parent).json["matches"]
    gone = [FIRST, nearest["id"]]  # both are in the log
    found = traces(own_db, before, gone)
    # Chroma's graph may have them too, as it writes memory that it was given and has not used.
    assert {where for _, where in found} >= {"audit.jsonl", "chroma.sqlite3", "index"}
    assert {name for name, _ in found} >= {FIRST, f"{FIRST} half", f"{FIRST} single"}
    ran = erase(own_db, "--crop", gone[0], "--crop", gone[1], "--yes")
    assert ran.code == 0, ran.err
    last = json.loads((own_db / "audit.jsonl").read_text().splitlines()[-1])
    assert (last["action"], len(last["ids"])) == ("erase", 2)
    assert traces(own_db, before, gone) == []
    after = everything(own_db)
    kept = [row for row, s in enumerate(before.detections) if s.id not in gone]
    assert after.detections == tuple(before.detections[row] for row in kept)
    assert (after.embeddings.vectors == before.embeddings.vectors[kept]).all()
    require_sound(own_db)
    ran = run(*INGEST, "--db", own_db, "--json", cwd=own_db.parent)
    assert (ran.json["frames_skipped"], ran.json["detections"]) == (40, 0)  # they stay away


@pytest.mark.parametrize(
    "what",
    [
        pytest.param(("--source", SOURCE), id="source"),
        pytest.param(("--camera", "pets09-s2l1"), id="camera", marks=pytest.mark.slow),
        pytest.param(("--older-than", "0m"), id="age-of-the-ingest", marks=pytest.mark.slow),
    ],
)
def test_whole_source_leaves_no_trace(own_db: Path, sample: Path, what: tuple[str, ...]) -> None:
    before = everything(own_db)
    more = ("ingest", sample, "--camera", "b", "--max-frames", 2, "--tiles", "off")
    if what[0] != "--older-than":
        assert run(*more, "--db", own_db, cwd=own_db.parent).code == 0
    ids = [detection.id for detection in before.detections]
    assert traces(own_db, before, ids[:3])
    shown = erase(own_db, *what, "--dry-run", "--json")
    assert shown.json == {
        "erased": False,
        "detections": PEOPLE,
        "frames": 40,
        "sources": [{"source": SOURCE, "detections": PEOPLE, "frames": 40}],
    }
    assert everything(own_db).detections[-1].camera == "pets09-s2l1"
    assert erase(own_db, *what, "--yes").code == 0
    assert traces(own_db, before, ids) == []
    assert SOURCE.encode() not in (own_db / "reidsearch.sqlite3").read_bytes()
    require_sound(own_db)
    left = run("inspect", "--json", "--db", own_db, cwd=own_db.parent).json
    assert [s["camera"] for s in left["sources"]] == ["b"][: what[0] != "--older-than"]
    again = run(*INGEST, "--db", own_db, "--json", cwd=own_db.parent)
    assert again.json["frames"] == 40


@pytest.mark.slow
def test_person_and_who_is_near(own_db: Path) -> None:
    before = everything(own_db)
    ran = erase(
        own_db, "--id", FIRST, "--max-distance", 0.8, "--camera", "pets09-s2l1", "--yes", "--json"
    )
    # Looked for before this process, which knows everyone, has Chroma write memory of its own.
    found = traces(own_db, before, [detection.id for detection in before.detections])
    distances = np.linalg.norm(before.embeddings.vectors - before.embeddings.vectors[0], axis=1)
    near = {s.id for s, d in zip(before.detections, distances, strict=True) if d <= 0.8}
    assert FIRST in near
    assert ran.json["detections"] == len(near) >= 4
    assert (ran.json["erased"], ran.json["ids"]) == (True, sorted(near))
    left = {detection.id for detection in everything(own_db).detections}
    assert left == {detection.id for detection in before.detections} - near
    assert not {where for name, where in found if name.split(" ")[0] in near}
    asked, erased = [
        json.loads(line) for line in (own_db / "audit.jsonl").read_text().splitlines()[-2:]
    ]
    assert asked["about"]["scope"] == "all frames of camera pets09-s2l1, to erase"
    assert len(asked["ids"]) == len(erased["ids"]) == len(near)
    require_sound(own_db)


def test_earlier_people_go_too(own_db: Path) -> None:
    """A search finds later frames only; whoever asks to be forgotten means all of them."""
    search = ("search", "--id", FIRST, "--by", "frame", "--top", 1, "--json", "--db", own_db)
    [late] = run(*search, cwd=own_db.parent).json["matches"]
    near = late["distance"] + 1e-3
    ran = erase(own_db, "--id", late["id"], "--max-distance", near, "--dry-run")
    assert {"1", str(late["frame"])} <= {line.split()[2] for line in ran.out.splitlines()[1:]}


@pytest.mark.slow
def test_age_of_dated_footage(sample: Path, tmp_path: Path) -> None:
    start = ("--start", "2009-05-06T12:00:00Z", "--fps", 10, "--tiles", "off", "--max-frames", 4)
    assert run("ingest", sample, *start, cwd=tmp_path).code == 0
    assert erase(tmp_path / "db", "--older-than", "9000w", "--dry-run").code == 3
    ran = erase(tmp_path / "db", "--older-than", "30d", "--dry-run", "--json")
    assert ran.json["frames"] == 4
    ran = erase(tmp_path / "db", "--older-than", "30d", "--camera", "pets09-s2l1", "--yes")
    assert ran.code == 0
    assert len(everything(tmp_path / "db")) == 0


def test_undated_footage_is_as_old_as_its_ingest(own_db: Path) -> None:
    ran = erase(own_db, "--older-than", "1d", "--dry-run", "--json")
    assert (ran.code, ran.json["detections"], ran.json["sources"]) == (3, 0, [])


KILLED = """
import os, sys
from pathlib import Path
from reidsearch.database import copying, swap
from reidsearch import open_database
from reidsearch.services import erase
from reidsearch.services.erase import Erasure
from reidsearch.database.opening import open_to_read
from reidsearch.core.types import Filter
db, step = Path(sys.argv[1]), sys.argv[2]
count = 0
def dying(function, at=1, after=False):
    def call(*arguments, **options):
        global count
        count += 1
        if count == at and not after:
            os._exit(9)
        result = function(*arguments, **options)
        if count == at and after:
            os._exit(9)
        return result
    return call
if step == "copy":
    copying._without = dying(copying._without)
elif step == "log":
    erase.redact = dying(erase.redact)
elif step == "complete":
    swap._move = dying(swap._move)
elif step.startswith("move"):
    move = swap._move
    def moving(folder):
        Path.replace = dying(Path.replace, int(step[4:]), after=True)
        move(folder)
    swap._move = moving
elif step == "remove":
    swap._remove = dying(swap._remove, after=True)
elif step == "clean":
    remove = swap.shutil.rmtree
    def clean(path, **options):
        if path.name == ".rebuilding" and path.exists():
            os._exit(9)
        remove(path, **options)
    swap.shutil.rmtree = clean
with open_to_read(db) as store:
    seen, people = store.state, store.detections(Filter(frame=1))
open_database(db).erase(Erasure(people, seen))
"""


STEPS_BEFORE, STEPS_AFTER = ("copy", "log"), ("complete", "remove", "move3", "clean")


@pytest.mark.parametrize(
    ("step", "is_erased"),
    [
        *(pytest.param(step, False, marks=pytest.mark.slow) for step in STEPS_BEFORE),
        pytest.param("move1", True),
        *(pytest.param(step, True, marks=pytest.mark.slow) for step in STEPS_AFTER),
    ],
)
def test_killed_erase_is_done_or_not_begun(own_db: Path, step: str, is_erased: bool) -> None:
    before = everything(own_db)
    command = [sys.executable, "-c", KILLED, str(own_db), step]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 9, done.stderr
    ran = run("search", "--frame", "pets09-s2l1:21", "--db", own_db, "--json", cwd=own_db.parent)
    assert ran.code == 0, ran.err
    left = everything(own_db).detections
    assert left == tuple(s for s in before.detections if not (is_erased and s.frame == 1))
    assert erase(own_db, "--crop", f"{SOURCE}:21:1", "--yes").code == 0
    assert not (own_db / ".rebuilding").exists()
    require_sound(own_db)


def test_files_and_runs_stay_known(own_db: Path) -> None:
    def known() -> Any:
        runs = run("inspect", "runs", "--json", "--db", own_db, cwd=own_db.parent).json
        with open_chroma(own_db) as store:
            return runs, [*store.stamps(KEY)]

    before = known()
    assert len(before[1]) == 40
    assert erase(own_db, "--crop", FIRST, "--yes").code == 0
    assert known() == before


@pytest.mark.slow
def test_what_cannot_be_erased(own_db: Path, tmp_path: Path, sample: Path) -> None:
    stored = len(everything(own_db))
    for arguments, words in (
        ((), "nothing to erase was named"),
        (("--max-distance", 0.5), "--max-distance needs a person"),
        (("--id", FIRST), "--max-distance"),
        (("--crop", FIRST, "--camera", "x"), "--crop excludes other options"),
        (("--older-than", "soon", "--yes"), "is not a valid age"),
        (("--source", "pets09-s2l1"), "--yes"),
    ):
        ran = erase(own_db, *arguments)
        assert (ran.code, "Traceback" in ran.err) == (2, False), ran.err
        assert words in ran.err
    for arguments, words in (
        (("--crop", f"{SOURCE}:1:99"), "no detection 99"),
        (("--source", "nowhere"), "no source nowhere"),
        (("--camera", "nobody"), "no camera nobody"),
        (("--db", tmp_path / "none", "--crop", FIRST), "no database"),
        ((sample / "absent.jpg", "--max-distance", 0.5), "absent.jpg"),
    ):
        assert_refused(erase(own_db, *arguments, "--yes"), words)
    assert erase(own_db, "--id", FIRST, "--max-distance", 0.5, "--older-than", "9w").code == 3
    assert len(everything(own_db)) == stored


def test_erase_waits_for_nobody(own_db: Path) -> None:
    with writing(own_db):
        ran = erase(own_db, "--crop", FIRST, "--yes")
    assert ran.code == 1
    assert "another reidsearch is using" in ran.err
    assert len(everything(own_db)) == PEOPLE


def test_erase_that_waits_sees_what_was_written_meanwhile(own_db: Path) -> None:
    command = [sys.executable, "-m", "reidsearch", "erase", "--source", "pets09-s2l1", "--yes"]
    with open_chroma(own_db, rebuild_index=True) as store:
        rows, source = store.scan(Filter(frame=1)), store.sources()[0]
        first = StoredFrame(1, rows.detections[0].time_s, rows.detections[0].path)
        store.remove(KEY, [1])
    with writing(own_db):
        waiting = subprocess.Popen(
            [*command, "--wait", "--db", own_db], stderr=subprocess.PIPE, text=True
        )
        time.sleep(3)
        assert waiting.poll() is None
        with open_locked(own_db) as store:
            store.add(rows, source, [first])
    _, err = waiting.communicate(timeout=300)
    assert waiting.returncode == 0, err
    assert len(everything(own_db)) == 0


def test_who_waits_says_so_and_hears_ctrl_c(own_db: Path) -> None:
    command = [sys.executable, "-m", "reidsearch", "erase", "--crop", FIRST, "--yes", "--wait"]
    command += ["--db", str(own_db)]
    with (
        writing(own_db),
        subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as waiting,
    ):
        assert waiting.stderr is not None
        assert "waiting for" in waiting.stderr.readline()
        waiting.send_signal(signal.SIGINT)
        try:
            assert waiting.wait(timeout=300) == 130
        finally:
            waiting.kill()
    assert len(everything(own_db)) == PEOPLE


def test_erase_that_waits_does_so_after_its_question(own_db: Path) -> None:
    with open_to_read(own_db) as store:
        seen, people = store.state, store.detections(Filter(frame=1))
    looking = reading(own_db)
    looking.__enter__()

    class Leaving(Warnings):
        def warn(self, text: str) -> None:
            super().warn(text)
            looking.__exit__(None, None, None)

    leaving = Leaving()
    open_database(own_db, progress=leaving).erase(Erasure(people, seen), wait=True)
    assert leaving.texts == ["waiting for readers"]
    assert len(everything(own_db)) == PEOPLE - len(people)


@pytest.mark.slow
def test_busy_log_is_said(own_db: Path) -> None:
    with open_to_read(own_db) as store:
        seen, people = store.state, store.detections(Filter(frame=1))
    with (
        FileLock(own_db / "audit.lock"),
        pytest.raises(StoreError, match=r"another process has held audit\.lock"),
    ):
        open_database(own_db).erase(Erasure(people, seen))
    assert len(everything(own_db)) == PEOPLE


def test_interrupted_swap_is_not_begun(own_db: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The list of what is complete goes before the first of it does."""
    sync = swap._sync

    def interrupted(path: Path) -> None:
        if (path / swap._COMPLETE).exists():
            raise KeyboardInterrupt
        sync(path)

    monkeypatch.setattr(swap, "_sync", interrupted)
    monkeypatch.setattr(swap.shutil, "rmtree", lambda *_, **__: None)  # killed at its beginning
    with writing(own_db), pytest.raises(KeyboardInterrupt), swapping(own_db) as made:
        (made / "chroma.sqlite3").write_bytes(b"new")
    monkeypatch.undo()
    assert len(everything(own_db)) == PEOPLE


def test_nobody_else_is_erased_when_frames_are_done_again(own_db: Path) -> None:
    with open_to_read(own_db) as store:
        seen, people = store.state, store.detections(Filter(frame=1))
    with open_chroma(own_db, rebuild_index=True) as store:
        store.remove(KEY, [1])
    with pytest.raises(StoreError, match="in the meantime"):
        open_database(own_db).erase(Erasure(people, seen))


@pytest.mark.parametrize(
    ("command", "is_ledger_lost"),
    [
        (("erase", "--crop", FIRST, "--yes"), False),
        (("doctor", "--repair"), False),
        (("doctor", "--repair"), True),
    ],
)
def test_collections_of_other_programs_are_not_lost(
    own_db: Path, command: Any, is_ledger_lost: bool
) -> None:
    with chromadb.PersistentClient(own_db) as client:
        client.create_collection("notes").add(["a"], embeddings=[[1.0]])
        people = client.get_collection("people", embedding_function=None)
        people.delete([f"{SOURCE}:21:1"])  # for doctor to mend
    if is_ledger_lost:
        (own_db / "reidsearch.sqlite3").unlink()
    ran = run(*command, "--db", own_db, cwd=own_db.parent)
    assert ran.code == 1
    assert "of other programs: notes" in ran.err
    with chromadb.PersistentClient(own_db) as client:
        assert client.get_collection("notes").count() == 1


def test_defaults_of_other_commands_erase_nobody(own_db: Path) -> None:
    (own_db.parent / "reidsearch.toml").write_text('camera = "pets09-s2l1"\nyes = true\n')
    ran = run("erase", cwd=own_db.parent)
    assert (ran.code, "nothing to erase was named" in ran.err) == (2, True)
    assert len(everything(own_db)) == PEOPLE


@pytest.mark.slow
def test_people_of_before_a_refresh_are_forgotten_too(sample: Path, tmp_path: Path) -> None:
    """The log has ids of people whom their frame lost when it was done again."""
    gate = tmp_path / "gate"
    gate.mkdir()
    shutil.copy(sample / "frame_0041.jpg", gate / "frame_0041.jpg")
    ingest = ("ingest", "gate", "--tiles", "off")
    assert run(*ingest, cwd=tmp_path).code == 0
    last = len(run("inspect", "frame", "gate:41", "--json", cwd=tmp_path).json["detections"])
    once = f"gate/gate:41:{last}"
    run("search", "--id", once, cwd=tmp_path)
    cv2.imwrite(str(gate / "frame_0041.jpg"), np.full((300, 300, 3), 200, np.uint8))
    assert run(*ingest, "--refresh", cwd=tmp_path).code == 0
    log = tmp_path / "db" / "audit.jsonl"
    assert once in log.read_text()
    assert erase(tmp_path / "db", "--camera", "gate", "--yes").code == 0
    assert once not in log.read_text()


def test_search_that_was_under_way_leaves_no_ids(own_db: Path) -> None:
    with open_to_read(own_db) as before:
        found = before.detections(Filter(frame=1))
        assert erase(own_db, "--crop", FIRST, "--yes").code == 0
        ids = [detection.id for detection in found]
        record(own_db, Event("search", asked=FIRST, ids=ids, collection=before.state.collection))
    last = json.loads((own_db / "audit.jsonl").read_text().splitlines()[-1])
    assert (last["asked"], last["ids"]) == (None, [])
    assert "erased in the meantime" in last["about"]["ids"]
    require_sound(own_db)


def test_lock_is_held_all_through_a_swap(own_db: Path) -> None:
    with writing(own_db):
        with swapping(own_db) as made:
            for name in ("chroma.sqlite3", "reidsearch.sqlite3"):
                shutil.copy(own_db / name, made / name)
        ran = erase(own_db, "--crop", FIRST, "--yes")
    assert ran.code == 1
    assert "another reidsearch is using" in ran.err
