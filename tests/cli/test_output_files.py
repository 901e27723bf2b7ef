"""Files that commands write: what exists is kept, and where nobody is found, none is written."""

import csv
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import PEOPLE, assert_refused, run, user_environment

PERSON = ("--frame", "pets09-s2l1:1")
NOBODY = (*PERSON, "--max-distance", 0)
WRITING = [
    pytest.param("b.zip", ("backup", "b.zip"), id="backup"),
    pytest.param("d.csv", ("export", "detections", "--out", "d.csv"), id="detections"),
    pytest.param("e.jsonl", ("export", "embeddings", "--out", "e.jsonl"), id="embeddings"),
    pytest.param("m.csv", ("export", "matches", *PERSON, "--out", "m.csv"), id="matches"),
    pytest.param("m.mp4", ("render", "video", *PERSON, "--out", "m.mp4"), id="video"),
    pytest.param("s.jpg", ("search", *PERSON, "--sheet", "s.jpg"), id="sheet"),
    pytest.param("r.html", ("search", *PERSON, "--report", "r.html"), id="report"),
]


@pytest.mark.parametrize(("name", "command"), WRITING)
def test_what_exists_is_replaced_with_force_only(
    own_db: Path, tmp_path: Path, name: str, command: tuple[object, ...]
) -> None:
    (tmp_path / name).write_text("mine")
    recorded = read_audit(own_db)
    assert_refused(run(*command, cwd=tmp_path), f"{name} exists", "--force")
    assert (tmp_path / name).read_text() == "mine"
    assert read_audit(own_db) == recorded  # nothing was searched or exported for it
    ran = run(*command, "--force", cwd=tmp_path)
    assert ran.code == 0, ran.err
    assert (tmp_path / name).stat().st_size > 100
    assert {path.name for path in tmp_path.iterdir()} == {name, own_db.name}


def read_audit(db: Path) -> bytes:
    path = db / "audit.jsonl"
    return path.read_bytes() if path.exists() else b""


@pytest.mark.parametrize(
    "command",
    [
        pytest.param(("search", *NOBODY, "--sheet", "s.jpg", "--report", "r.html"), id="search"),
        pytest.param(("search", *NOBODY, "--show"), id="show"),
        pytest.param(("export", "matches", *NOBODY, "--out", "m.csv"), id="matches"),
        pytest.param(("render", "video", *NOBODY), id="video"),
        pytest.param(("render", "video", *NOBODY, "--only-matches"), id="only-matches"),
        pytest.param(("erase", "--older-than", "9w"), id="erase"),
    ],
)
def test_nothing_matched_ends_with_3_and_writes_nothing(
    made_db: Path, tmp_path: Path, command: tuple[object, ...]
) -> None:
    ran = run(*command, "--db", made_db, cwd=tmp_path)
    assert ran.code == 3, ran.err
    assert ran.out == ""
    assert re.search("no matches|none of|nothing match", ran.err)
    assert "written" in ran.err or command[0] == "erase"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("option", "ending"), [("--sheet", ".jpg"), ("--report", ".html")])
def test_the_answer_is_there_even_if_its_file_cannot_be_written(
    made_db: Path, tmp_path: Path, option: str, ending: str
) -> None:
    out = f"{'x' * 245}{ending}"  # too long with what is added while it is written
    ran = run("search", *PERSON, "--top", 5, "--db", made_db, option, out, cwd=tmp_path)
    assert ran.code == 1
    assert len(ran.out.splitlines()) == 6
    assert f"cannot write {out}" in ran.err
    assert "--top" not in ran.err
    assert list(tmp_path.iterdir()) == []


def test_nothing_matched_in_json(made_db: Path, tmp_path: Path) -> None:
    for command in (("export", "matches", "--out", "m.csv"), ("render", "video")):
        ran = run(*command, *NOBODY, "--db", made_db, "--json", cwd=tmp_path)
        assert (ran.code, ran.json["out"]) == (3, None)


def test_a_sheet_too_large_for_its_format(
    made_db: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reidsearch.render.sheet._COLUMNS", 1)  # WebP has 16383 pixels at most
    search = ("search", *PERSON, "--db", made_db, "--top", 60, "--by", "detection")
    ran = run(*search, "--sheet", "s.webp", cwd=tmp_path)
    assert ran.code == 1
    assert "too many for its format" in ran.err
    assert "use a smaller --top" in ran.err


def test_exports_to_stdout(made_db: Path, tmp_path: Path) -> None:
    db = ("--db", made_db)
    ran = run("export", "detections", "--out", "-", *db, cwd=tmp_path)
    assert (ran.code, ran.err) == (0, "")
    assert len([*csv.DictReader(ran.out.splitlines())]) == PEOPLE
    ran = run("export", "matches", *PERSON, "--top", 3, "--out", "-.jsonl", *db, cwd=tmp_path)
    assert [json.loads(line)["rank"] for line in ran.out.splitlines()] == [1, 2, 3]
    ran = run("export", "detections", "--out", "-.json", *db, cwd=tmp_path)
    assert len(ran.json["annotations"]) == PEOPLE
    ran = run("export", "detections", "--out", "-", "--json", *db, cwd=tmp_path)
    assert_refused(ran, "--json", code=2)
    assert_refused(run("export", "embeddings", "--out", "-.txt", *db, cwd=tmp_path), ".parquet")
    assert list(tmp_path.iterdir()) == []


def test_parquet_goes_through_a_pipe(made_db: Path, tmp_path: Path) -> None:
    command = (*("export", "detections", "--out", "-.parquet", "--db"), str(made_db))
    done = subprocess.run(
        [sys.executable, "-m", "reidsearch", *command],
        cwd=tmp_path,
        env=user_environment(),
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout[:4] == done.stdout[-4:] == b"PAR1"


def test_footage_is_found_by_one_rule(sample: Path, tmp_path: Path) -> None:
    """By the same --root, whether whole footage is shown or some of its frames."""
    footage, moved = tmp_path / "gate", tmp_path / "archive" / "another name"
    footage.mkdir()
    for number in (1, 21, 41):
        shutil.copy(sample / f"frame_{number:04}.jpg", footage)
    ingest = ("ingest", footage, "--detections", sample / "det.txt")
    assert run(*ingest, cwd=tmp_path).code == 0
    moved.parent.mkdir()
    footage.rename(moved)
    search = ("--frame", "gate:1", "--max-distance", 2, "--force")
    for root, is_found in ((moved, True), (moved.parent, False)):
        sheet = run("search", *search, "--sheet", "s.png", "--root", root, cwd=tmp_path)
        assert ("does not exist" not in sheet.err) == is_found
        video = run("render", "video", *search, "--root", root, cwd=tmp_path)
        assert (video.code == 0) == is_found, video.err
