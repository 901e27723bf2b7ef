import json
import os
import pwd
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from reidsearch import open_database
from reidsearch.core.errors import StoreError
from reidsearch.core.types import Filter
from tests.conftest import Ran, assert_refused, run

pytestmark = pytest.mark.networks

SOURCE = "pets09-s2l1"


def people(db: Path, *arguments: object, typed: str | None = None) -> Ran:
    return run("people", *arguments, "--db", db, cwd=db.parent, typed=typed)


def known(db: Path) -> dict[str, tuple[int, int]]:
    rows = people(db, "list", "--json").json
    return {row["name"]: (row["confirmed"], row["rejected"]) for row in rows}


def passages(db: Path, name: str) -> list[dict[str, Any]]:
    ran = run("search", "--who", name, "--top", 99, "--db", db, "--json", cwd=db.parent)
    return list(ran.json["matches"])


def test_a_person_is_named_found_and_judged(own_db: Path) -> None:
    made = people(own_db, "new", "black coat", "--frame", f"{SOURCE}:1", "--json")
    assert made.json == {"name": "black coat", "confirmed": 1, "rejected": 0}
    first = passages(own_db, "black coat")
    assert [match["confirmed"] for match in first[:2]] == [True, False]
    assert first[0]["first_frame"] == 1  # all times are searched
    yes, no = first[1]["id"], first[2]["id"]
    assert people(own_db, "confirm", "black coat", yes).code == 0
    said = people(own_db, "reject", "black coat", no.partition("/")[2])
    assert "2 detections confirmed, 1 rejected" in said.err
    then = passages(own_db, "black coat")
    assert sum(match["confirmed"] for match in then) == 2
    assert [match["confirmed"] for match in then[:2]] == [True, True]
    rejected = {(first[2]["first_frame"], first[2]["last_frame"])}
    assert not rejected & {(match["first_frame"], match["last_frame"]) for match in then}
    assert len(then) == len(first) - 1
    document = people(own_db, "show", "black coat", "--json").json
    assert [row["verdict"] for row in document["verdicts"]] == ["confirmed"] * 2 + ["rejected"]
    assert {row["user"] for row in document["verdicts"]} == {pwd.getpwuid(os.getuid()).pw_name}
    assert document["stale"] == 0
    table = run("search", "--who", "black coat", "--db", own_db, cwd=own_db.parent)
    assert table.out.count("confirmed") == 2
    assert "to be judged" in table.err
    sheet = run(
        *("search", "--who", "black coat", "--sheet", "s.png", "--report", "r.html"),
        *("--db", own_db),
        cwd=own_db.parent,
    )
    assert sheet.code == 0, sheet.err


def test_names_are_changed_joined_parted_and_forgotten(own_db: Path) -> None:
    for name, frame in (("ana", 1), ("ben", 21)):
        assert people(own_db, "new", name, "--frame", f"{SOURCE}:{frame}").code == 0
    assert people(own_db, "rename", "ana", "zoe").code == 0
    assert people(own_db, "merge", "ben", "zoe").code == 0
    assert known(own_db) == {"zoe": (2, 0)}
    assert people(own_db, "split", "zoe", "ben", f"{SOURCE}:21:1").code == 0
    assert known(own_db) == {"ben": (1, 0), "zoe": (1, 0)}
    assert people(own_db, "forget", "ben").code == 0
    assert known(own_db) == {"zoe": (1, 0)}
    undone = people(own_db, "undo")
    assert "undone: forget ben" in undone.err
    assert people(own_db, "undo", "--json").json["undone"] == "split"
    assert known(own_db) == {"zoe": (2, 0)}
    for _ in range(4):
        assert people(own_db, "undo").code == 0
    assert_refused(people(own_db, "undo"), "has nothing to undo")
    assert known(own_db) == {}


@pytest.mark.parametrize(
    ("arguments", "words", "code"),
    [
        pytest.param(("new", "../etc"), ("is not a valid name", "letters"), 1, id="path"),
        pytest.param(("new", "[bold]x"), ("is not a valid name",), 1, id="markup"),
        pytest.param(("confirm", "ana", f"{SOURCE}:1:1"), ("nobody is named",), 1, id="nobody"),
        pytest.param(("new", "ana", f"{SOURCE}:1:99"), ("no detection 99",), 1, id="no-such-crop"),
        pytest.param(("new", "ana", "1:1"), ("not a valid crop id",), 2, id="no-id"),
        pytest.param(("new", "ana", "--person", 2), ("--person needs",), 2, id="person-alone"),
        pytest.param(("undo",), ("has nothing to undo",), 1, id="undo"),
        pytest.param(("judge", "ana"), ("nobody is named",), 1, id="judge-nobody"),
        pytest.param(("show", "ana"), ("nobody is named",), 1, id="show-nobody"),
    ],
)
def test_what_cannot_be_said(
    own_db: Path, arguments: tuple[object, ...], words: tuple[str, ...], code: int
) -> None:
    assert_refused(people(own_db, *arguments), *words, code=code)
    assert known(own_db) == {}


def test_search_by_name_refuses_what_does_not_fit(own_db: Path) -> None:
    def search(*arguments: object) -> Ran:
        return run("search", "--who", "ana", *arguments, "--db", own_db, cwd=own_db.parent)

    assert_refused(search(), "nobody is named ana", "people new")
    assert people(own_db, "new", "ana").code == 0
    assert_refused(search(), "ana has no confirmed detection", "people confirm")
    assert_refused(search("--frame", f"{SOURCE}:1"), "--who excludes", code=2)
    assert_refused(search("--by", "frame"), "--who answers tracklets", code=2)


def test_erased_people_leave_no_verdict(own_db: Path) -> None:
    people(own_db, "new", "ana", f"{SOURCE}:1:1", f"{SOURCE}:21:1")
    erase = ("erase", "--crop", f"{SOURCE}/{SOURCE}:1:1", "--yes", "--db", own_db)
    assert run(*erase, cwd=own_db.parent).code == 0
    assert f"{SOURCE}:1:1" not in (own_db / "people.jsonl").read_text()
    assert known(own_db) == {"ana": (1, 0)}
    assert_refused(people(own_db, "confirm", "ana", f"{SOURCE}:1:1"), "no detection 1")


def test_erasing_what_was_split_or_is_half_written(own_db: Path) -> None:
    people(own_db, "new", "ana", f"{SOURCE}:1:1", f"{SOURCE}:301:5")
    assert people(own_db, "split", "ana", "ben", f"{SOURCE}:301:5").code == 0
    log = own_db / "people.jsonl"
    log.write_bytes(log.read_bytes() + b'{"at": "", "crops": [["pets09-s2l1/pets09-s2l1:301:5"')
    erase = ("erase", "--crop", f"{SOURCE}/{SOURCE}:301:5", "--yes", "--db", own_db)
    assert run(*erase, cwd=own_db.parent).code == 0
    assert "301:5" not in log.read_text()
    assert known(own_db) == {"ana": (1, 0), "ben": (0, 0)}


def test_who_was_erased_meanwhile_cannot_be_judged(own_db: Path) -> None:
    database = open_database(own_db)
    with database.read() as gallery:
        [first] = gallery.people.find([f"{SOURCE}:1:1"])
        assert (
            run("erase", "--crop", first.id, "--yes", "--db", own_db, cwd=own_db.parent).code == 0
        )
        with pytest.raises(StoreError, match="rewritten in the meantime"):
            gallery.people.judge("new", "ana", [first])
    assert known(own_db) == {}
    assert first.id not in (own_db / "audit.jsonl").read_text()


def test_a_verdict_is_of_the_whole_passage(own_db: Path) -> None:
    search = ("search", "--frame", f"{SOURCE}:1", "--db", own_db, "--json")
    passage = next(
        match
        for match in run(*search, cwd=own_db.parent).json["matches"]
        if match["detections"] > 1
    )
    with open_database(own_db).read() as gallery:
        [near] = gallery.people.find([passage["id"]])
        name = gallery.tracklets.name(near)
        inside = [
            one.id
            for one in gallery.store.detections(Filter(sources=(near.key,)))
            if gallery.tracklets.name(one) == name
        ]
    assert people(own_db, "new", "ana", inside[0]).code == 0
    assert_refused(people(own_db, "new", "ben", inside[1]), "that passage is confirmed as ana")
    assert people(own_db, "reject", "ana", inside[1]).code == 0
    assert known(own_db) == {"ana": (0, 2)}  # the later verdict counts
    assert people(own_db, "confirm", "ana", inside[0]).code == 0
    assert known(own_db) == {"ana": (2, 0)}
    assert people(own_db, "reject", "ana", inside[0]).code == 0
    assert people(own_db, "new", "ben", inside[1]).code == 0


def test_a_name_may_be_typed_in_two_ways(own_db: Path) -> None:
    composed, apart = "Zo\u00eb", "Zoe\u0308"
    assert people(own_db, "new", apart, f"{SOURCE}:1:1").code == 0
    assert people(own_db, "confirm", apart, f"{SOURCE}:1:1").code == 0
    assert known(own_db) == {composed: (1, 0)}


def test_without_a_database(tmp_path: Path) -> None:
    for command in (("list",), ("undo",), ("forget", "ana"), ("propose",)):
        assert_refused(people(tmp_path / "none", *command), "there is no database")
    assert not (tmp_path / "none").exists()


def test_verdicts_of_frames_that_changed_do_not_count(own_db: Path) -> None:
    people(own_db, "new", "ana", f"{SOURCE}:1:1", f"{SOURCE}:21:1")
    log = own_db / "people.jsonl"
    step = json.loads(log.read_text())
    step["crops"][0][1] = "0" * 16  # as if the frame had been another then
    log.write_text(json.dumps(step) + "\n")
    assert people(own_db, "show", "ana", "--json").json["stale"] == 1
    assert "1 more verdict" in people(own_db, "show", "ana").err
    query = run("search", "--who", "ana", "--db", own_db, "--json", cwd=own_db.parent).json["query"]
    assert query["confirmed"] == [f"{SOURCE}/{SOURCE}:21:1"]


def test_backups_hold_names_and_a_cut_line_does_not_count(own_db: Path, tmp_path: Path) -> None:
    people(own_db, "new", "ana", f"{SOURCE}:1:1")
    assert run("backup", "b.zip", "--db", own_db, cwd=tmp_path).code == 0
    assert run("restore", "b.zip", "--db", tmp_path / "again", cwd=tmp_path).code == 0
    assert known(tmp_path / "again") == {"ana": (1, 0)}
    log = own_db / "people.jsonl"
    whole = log.read_bytes()
    log.write_bytes(whole + whole[:40])
    assert known(own_db) == {"ana": (1, 0)}
    assert people(own_db, "new", "ben").code == 0
    assert known(own_db) == {"ana": (1, 0), "ben": (0, 0)}
    log.write_bytes(b"{}\n" + whole)
    assert_refused(people(own_db, "list"), "people.jsonl is damaged", "restore a backup")
    log.write_bytes(whole + whole)
    assert_refused(people(own_db, "list"), "contradicts itself: ana exists already")


def test_two_processes_at_once(own_db: Path) -> None:
    command = [sys.executable, "-m", "reidsearch", "people", "new", "--db", str(own_db)]
    running = [
        subprocess.Popen([*command, f"person {n}"], cwd=own_db.parent, stderr=subprocess.DEVNULL)
        for n in range(4)
    ]
    assert [one.wait() for one in running] == [0] * 4
    assert known(own_db) == {f"person {n}": (0, 0) for n in range(4)}


def test_judging_in_the_terminal(own_db: Path) -> None:
    people(own_db, "new", "ana", f"{SOURCE}:1:1")
    before = len(passages(own_db, "ana"))
    ran = people(own_db, "judge", "ana", typed="what?\nu\ny\nn\nu\ns\nq\n")
    assert ran.code == 0, ran.err
    assert all(
        words in ran.err for words in ("nothing was said yet", "undone: reject", "1 verdict")
    )
    assert known(own_db) == {"ana": (2, 0)}
    assert len(passages(own_db, "ana")) == before
    quit_at_once = people(own_db, "judge", "ana", typed="q\n")
    assert (quit_at_once.code, "0 verdicts" in quit_at_once.err) == (3, True)


def test_audit_log_has_no_names(own_db: Path) -> None:
    people(own_db, "new", "ana", f"{SOURCE}:1:1")
    shown = run("audit", "show", "--last", 1, "--db", own_db, "--json", cwd=own_db.parent).json
    [entry] = shown["entries"]
    assert (entry["action"], entry["about"]) == ("people", {"do": "new"})
    assert entry["ids"] == [f"{SOURCE}/{SOURCE}:1:1"]
    assert "ana" not in json.dumps(entry["about"])
    copy = own_db.parent / "copy"
    shutil.copytree(own_db, copy)
    assert known(copy) == {"ana": (1, 0)}


def test_people_are_proposed_and_named(own_db: Path) -> None:
    everybody = people(own_db, "propose", "--json").json
    rows = everybody["people"]
    assert [row["n"] for row in rows] == [*range(1, len(rows) + 1)]
    assert min(len(row["ids"]) * 5 <= row["detections"] for row in rows)
    assert everybody["fewest"] <= len(rows) <= everybody["most"]
    several = next(row for row in rows if row["passages"] > 1)
    named = people(own_db, "propose", "ana", "--accept", several["n"], "--json")
    assert named.json["confirmed"] == several["passages"]
    again = people(own_db, "propose", "--json").json["people"]
    assert [row["ids"] for row in again if row["name"] == "ana"] == [several["ids"]]
    # Half of it turns out to be somebody else.
    assert people(own_db, "reject", "ana", several["ids"][0]).code == 0
    last = people(own_db, "propose", "--json").json["people"]
    [own] = [row for row in last if row["name"] == "ana"]
    assert several["ids"][0] not in own["ids"]
    table = people(own_db, "propose", "--min-detections", 3)
    assert table.out.split()[:4] == ["n", "name", "passages", "detections"]
    assert "where looks are judged otherwise" in table.err


@pytest.mark.parametrize(
    ("arguments", "words", "code"),
    [
        pytest.param(("propose", "ana"), ("go together",), 2, id="name-alone"),
        pytest.param(("propose", "--accept", 1), ("go together",), 2, id="number-alone"),
        pytest.param(("propose", "ana", "--accept", 999), ("there are",), 2, id="no-such-person"),
        pytest.param(("propose", "--source", "gone"), ("no source gone",), 1, id="no-source"),
        pytest.param(("propose", "--min-detections", 9999), ("no passage",), 3, id="nobody"),
    ],
)
def test_proposals_that_cannot_be(
    made_db: Path, arguments: tuple[object, ...], words: tuple[str, ...], code: int
) -> None:
    ran = people(made_db, *arguments)
    assert ran.code == code
    assert all(word in ran.err for word in words)
