"""What commands leave in the audit log, and reading it."""

import json
import shutil
from pathlib import Path
from typing import Any

import cv2
import pytest

from reidsearch.database.audit_log import redact
from tests.conftest import PEOPLE, Ran, assert_refused, run, run_apart

PERSON = "pets09-s2l1/pets09-s2l1:1:1"
FRAME = ("--frame", "pets09-s2l1:1")


@pytest.fixture
def plain_db(made_db: Path, tmp_path: Path) -> Path:
    """A copy in which nothing is recorded yet."""
    names = shutil.ignore_patterns("audit.*")
    return Path(shutil.copytree(made_db, tmp_path / "db", ignore=names))


def entries(db: Path, *options: object) -> list[dict[str, Any]]:
    ran = run("audit", "show", "--db", db, "--json", *options, cwd=db.parent)
    assert ran.code == 0, ran.err
    return list(ran.json["entries"])


def verify(db: Path, *options: object) -> Ran:
    ran = run("audit", "verify", "--db", db, "--json", *options, cwd=db.parent)
    assert ran.code == (0 if ran.json["whole"] else 1)
    return ran


def test_a_search_is_recorded_with_what_it_showed(plain_db: Path, tmp_path: Path) -> None:
    assert entries(plain_db) == []
    options = ("--after", 100, "--camera", "pets09-s2l1", "--max-distance", 0.9, "--top", 3)
    found = run("search", *FRAME, *options, "--json", cwd=tmp_path).json
    [entry] = entries(plain_db)
    assert (entry["action"], entry["asked"]) == ("search", PERSON)
    assert entry["ids"] == [match["id"] for match in found["matches"]]
    assert len(entry["ids"]) == 3
    assert entry["about"] == {
        "scope": "later frames of camera pets09-s2l1 after frame 100",
        "max_distance": 0.9,
        "top": 3,
    }


def test_what_is_recorded_comes_before_what_is_shown(plain_db: Path, tmp_path: Path) -> None:
    full = ("sh", "-c", 'exec "$0" "$@" > /dev/full')
    ran = run_apart("search", *FRAME, "--json", cwd=tmp_path, prefix=full)
    assert ran.code != 0
    assert [entry["asked"] for entry in entries(plain_db)] == [PERSON]
    unwritable = tmp_path / "out" / "e.csv"
    unwritable.parent.mkdir()
    (unwritable.parent / ".partial-e.csv").mkdir()
    ran = run("export", "embeddings", "--out", unwritable, cwd=tmp_path)
    assert (ran.code, unwritable.exists()) == (1, False)
    assert [entry["action"] for entry in entries(plain_db)] == ["search", "export"]


def test_each_way_to_search_is_one_event(plain_db: Path, sample: Path, tmp_path: Path) -> None:
    def recorded(*command: object, code: int = 0) -> list[dict[str, Any]]:
        before = len(entries(plain_db))
        ran = run(*command, cwd=tmp_path)
        assert ran.code == code, ran.err
        return entries(plain_db)[before:]

    [entry] = recorded("search", *FRAME, "--report", "r.html", "--sheet", "s.jpg")
    assert entry["about"]["meant_for"] == [str(tmp_path / "s.jpg"), str(tmp_path / "r.html")]
    [nobody] = recorded("search", "--frame", "pets09-s2l1:781", "--csv", code=3)
    assert (nobody["asked"], nobody["ids"]) == ("pets09-s2l1/pets09-s2l1:781:1", [])
    assert nobody["query"] != entry["query"]
    [zero] = recorded("search", *FRAME, "--max-distance", 0, code=3)
    assert (zero["about"]["max_distance"], zero["query"]) == (0, entry["query"])
    [approximate] = recorded("search", *FRAME, "--approximate")
    assert approximate["about"]["approximate"] is True
    [video] = recorded("render", "video", *FRAME, "--max-distance", 2)
    assert video["about"]["meant_for"] == [str(tmp_path / "matches.mp4")]
    assert (video["action"], video["asked"], len(video["ids"])) == ("render", PERSON, 39)
    [box] = recorded("search", sample / "frame_0001.jpg", "--box", "250,218,283,309")
    assert (box["asked"], box["ids"][0]) == (None, PERSON)
    assert box["about"]["pictures"] == [str(sample / "frame_0001.jpg")]
    assert box["about"]["box_xyxy"] == [250, 218, 283, 309]
    assert ", box 250,218,283,309, " in run("audit", "show", "--last", 1, cwd=tmp_path).out
    assert recorded("inspect", "frame", "pets09-s2l1:1") == []
    assert recorded("search", "--frame", "pets09-s2l1:2", code=1) == []
    assert verify(plain_db).json["entries"] == 6


def test_exports_are_recorded(plain_db: Path, tmp_path: Path) -> None:
    for kind, options in (
        ("matches", (*FRAME, "--top", 4)),
        ("embeddings", ()),
        ("detections", ("--source", "pets09-s2l1")),
    ):
        ran = run("export", kind, "--out", f"{kind}.csv", *options, cwd=tmp_path)
        assert ran.code == 0, ran.err
    found, *whole = entries(plain_db)
    assert (found["action"], found["asked"], len(found["ids"])) == ("export", PERSON, 4)
    assert found["about"]["meant_for"] == [str(tmp_path / "matches.csv")]
    assert [entry["action"] for entry in whole] == ["export", "export"]
    assert [entry["about"] for entry in whole] == [
        {
            "kind": kind,
            "detections": PEOPLE,
            "source": ["pets09-s2l1/pets09-s2l1"],
            "meant_for": [str(tmp_path / f"{kind}.csv")],
        }
        for kind in ("embeddings", "detections")
    ]


def test_pictures_each_by_itself(plain_db: Path, sample: Path, tmp_path: Path) -> None:
    frame = cv2.imread(str(sample / "frame_0001.jpg"))
    for name in ("a.png", "b.png"):
        cv2.imwrite(str(tmp_path / name), frame[218:309, 250:283])
    pictures = [str(tmp_path / name) for name in ("a.png", "b.png")]
    assert run("search", "a.png", "b.png", "--each", "--json", cwd=tmp_path).code == 0
    assert [entry["about"]["pictures"] for entry in entries(plain_db)] == [[p] for p in pictures]
    assert run("search", "a.png", "b.png", cwd=tmp_path).code == 0
    assert entries(plain_db, "--last", 1)[0]["about"]["pictures"] == pictures


def test_tables_show_who_asked_for_whom(plain_db: Path, tmp_path: Path) -> None:
    for _ in range(3):
        search = ("search", *FRAME, "--camera", "pets09-s2l1", "--per-source", 5)
        assert run(*search, cwd=tmp_path).code == 0
    ran = run("audit", "show", "--last", 2, cwd=tmp_path)
    head, *rows = ran.out.splitlines()
    assert head.split()[:4] == ["entry", "at", "user", "action"]
    assert [row.split()[0] for row in rows] == ["2", "3"]
    assert all(PERSON in row for row in rows)
    about = "later frames of camera pets09-s2l1, per source 5, top 10 "
    assert all(about in row for row in rows)
    assert all(row.split()[-1] == "5" for row in rows)


def test_no_terminal_obeys_a_file_name(plain_db: Path, tmp_path: Path) -> None:
    name = "\x1b]0;owned\x07[bold].csv"
    assert run("export", "detections", "--out", name, cwd=tmp_path).code == 0
    ran = run("audit", "show", cwd=tmp_path)
    assert "\ufffd]0;owned\ufffd[bold].csv" in ran.out
    assert "\x1b" not in ran.out


def test_verify_tells_of_changes_and_of_a_head_that_is_gone(plain_db: Path, tmp_path: Path) -> None:
    for _ in range(3):
        assert run("search", *FRAME, cwd=tmp_path).code == 0
    head = verify(plain_db).json["head"]
    assert head in run("audit", "verify", cwd=tmp_path).out
    assert run("search", *FRAME, cwd=tmp_path).code == 0
    assert verify(plain_db, "--head", head.upper()).json["whole"] is True
    assert "0" * 64 in verify(plain_db, "--head", "0" * 64).json["problem"]
    assert_refused(
        run("audit", "verify", "--head", "12", cwd=tmp_path), "'12' is not a valid head", code=2
    )

    assert redact(plain_db, {PERSON}.__contains__) == 4
    assert [entry["asked"] for entry in entries(plain_db)] == ["erased"] * 4
    whole = verify(plain_db, "--head", head).json
    assert (whole["whole"], whole["erased"], whole["entries"]) == (True, 4, 4)

    log = plain_db / "audit.jsonl"
    first, second, *others = log.read_text().splitlines(keepends=True)
    changed = second.replace('"top":10', '"top":11')
    log.write_text("".join([first, changed, *others]))
    found = verify(plain_db).json
    assert (found["whole"], found["line"], found["entries"]) == (False, 2, 1)
    ran = run("audit", "verify", cwd=tmp_path)
    assert ran.code == 1
    assert "was tampered with: line 2: its hash does not match" in ran.err
    log.write_text("".join([first, "nothing\n", *others]))
    shown = run("audit", "show", cwd=tmp_path)
    assert (shown.code, len(shown.out.splitlines())) == (0, 4)
    assert "the audit log was tampered" in shown.err


def test_what_has_no_log(plain_db: Path, tmp_path: Path) -> None:
    assert (verify(plain_db).json["entries"], verify(plain_db).json["whole"]) == (0, True)
    assert "nothing is recorded yet" in run("audit", "show", cwd=tmp_path).err
    for command in ("show", "verify"):
        assert_refused(run("audit", command, "--db", "x", cwd=tmp_path), "no database in x")


def test_a_folder_that_cannot_be_written_answers_with_a_warning(
    plain_db: Path, tmp_path: Path, as_plain_user: tuple[str, ...]
) -> None:
    assert run("search", *FRAME, cwd=tmp_path).code == 0
    (plain_db / "audit.lock").unlink()
    paths = [plain_db, *plain_db.rglob("*")]
    for path in paths:
        path.chmod(0o555 if path.is_dir() else 0o444)
    ran = run_apart("search", *FRAME, "--json", cwd=tmp_path, prefix=as_plain_user)
    checked = run_apart("audit", "verify", "--json", cwd=tmp_path, prefix=as_plain_user)
    for path in paths:
        path.chmod(0o755)
    assert ran.code == 0, ran.err
    assert len(ran.json["matches"]) == 10
    assert "warning: this search was not recorded: the audit log of db cannot be" in ran.err
    assert "Permission denied" in ran.err
    assert "Traceback" not in ran.err
    assert json.loads(checked.out)["entries"] == 1
