"""Databases that somebody else made, or changed with Chroma, to lead us astray."""

import json
import os
import shutil
import sqlite3
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import chromadb
import pytest

from tests.conftest import SAMPLE, assert_refused, run

SEARCH = ("search", "--frame", "pets09-s2l1/pets09-s2l1:1")
PRECIOUS = "precious " * 100


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    """A file of the user's that must stay as it is."""
    path = tmp_path / "thesis.tex"
    path.write_text(PRECIOUS)
    return path


@pytest.mark.parametrize("size", [0, 900])
def test_index_that_names_other_files(own_db: Path, victim: Path, tmp_path: Path, size: int):
    with sqlite3.connect(own_db / "reidsearch.sqlite3") as ledger:
        ledger.execute(
            "UPDATE index_files SET name = ?, size = ? WHERE name LIKE 'paths%'",
            (str(victim), size),
        )
    ledger.close()
    more = ("ingest", SAMPLE, "--camera", "b", "--max-frames", 1, "--tiles", "off")
    assert run(*more, cwd=tmp_path).code == 0
    assert run(*SEARCH, cwd=tmp_path).code == 0
    assert victim.read_text() == PRECIOUS


def test_lost_ledger_of_an_index_that_names_other_files(
    own_db: Path, victim: Path, tmp_path: Path
) -> None:
    (own_db / "reidsearch.sqlite3").unlink()
    path = own_db / "index" / "sources.json"
    fields = json.loads(path.read_text().rpartition("\n")[0])
    fields["files"][0] = f"../../{victim.name}"
    text = json.dumps(fields)
    path.write_text(f"{text}\n{zlib.crc32(text.encode()):08x}")
    assert_refused(run("doctor", "--repair", cwd=tmp_path), "both the ledger and")
    assert victim.read_text() == PRECIOUS


@pytest.mark.parametrize(
    "name",
    ["index/sources.json", "reidsearch.owner.json", "reidsearch.sqlite3", "audit.jsonl", "index"],
)
@pytest.mark.parametrize("kind", ["link", "pipe"])
def test_links_and_pipes_are_refused(
    own_db: Path, victim: Path, tmp_path: Path, name: str, kind: str
) -> None:
    path = own_db / name
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    if kind == "link":
        path.symlink_to(victim)
    else:
        os.mkfifo(path)
    for command in (SEARCH, ("ingest", SAMPLE), ("doctor",), ("backup", "b.zip")):
        assert_refused(run(*command, cwd=tmp_path), path.name, "not a regular file")
    assert victim.read_text() == PRECIOUS


def test_swap_that_somebody_else_prepared(own_db: Path, victim: Path, tmp_path: Path) -> None:
    made = own_db / ".rebuilding"
    made.mkdir()
    for parts in (["../thesis.tex"], ["/etc/passwd"], {"a": 1}, "x", [1]):
        (made / ".complete.json").write_text(json.dumps(parts))
        assert_refused(run(*SEARCH, cwd=tmp_path), ".complete.json")
    for text in ("no json", "[" * 100_000):
        (made / ".complete.json").write_text(text)
        assert_refused(run(*SEARCH, cwd=tmp_path), "changed by another program")
    assert victim.read_text() == PRECIOUS


def test_links_that_a_swap_would_bring(victim: Path, tmp_path: Path) -> None:
    made = tmp_path / "db" / ".rebuilding"
    made.mkdir(parents=True)
    (made / "chroma.sqlite3").symlink_to(victim)
    (made / ".complete.json").write_text('["chroma.sqlite3"]')
    for command in (("ingest", SAMPLE), SEARCH, ("doctor", "--repair")):
        assert_refused(run(*command, cwd=tmp_path), "not a regular file")
    assert victim.read_text() == PRECIOUS


@pytest.mark.parametrize("name", [".rebuilding/pipe", "reidsearch.owner.json", "audit.lock"])
def test_pipes_in_an_almost_empty_folder(tmp_path: Path, name: str) -> None:
    (tmp_path / "db" / ".rebuilding").mkdir(parents=True)
    (tmp_path / "db" / ".rebuilding" / ".complete.json").write_text("[]")
    os.mkfifo(tmp_path / "db" / name)
    assert_refused(run("ingest", SAMPLE, cwd=tmp_path), "not a regular file")


def test_footage_of_others_is_in_no_backup(own_db: Path, victim: Path, tmp_path: Path) -> None:
    (own_db / "a" / "b").mkdir(parents=True)
    (own_db / "a" / "b" / "link").symlink_to(victim)
    assert_refused(run("backup", "b.zip", cwd=tmp_path), "not a regular file")


def test_lock_that_is_none(own_db: Path, tmp_path: Path) -> None:
    (own_db / "reidsearch.lock").write_bytes(b"\xff" * 9000)
    for command in (
        ("ingest", SAMPLE, "--fps", 10),
        ("doctor",),
        ("doctor", "--repair"),
        ("backup", "b.zip"),
        ("erase", "--source", "pets09-s2l1", "--yes"),
    ):
        ran = run(*command, cwd=tmp_path)
        assert (ran.code, "Traceback" in ran.err) == (1, False), ran.err
        assert "reidsearch.lock is not a valid lock" in ran.err
    assert run(*SEARCH, cwd=tmp_path).code == 0


def test_ledger_that_never_ends(own_db: Path, tmp_path: Path) -> None:
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n"
    with sqlite3.connect(own_db / "reidsearch.sqlite3") as ledger:
        ledger.execute("DROP TABLE about")
        ledger.execute(f"CREATE VIEW about AS {endless}")
    ledger.close()
    assert_refused(run("inspect", cwd=tmp_path), "ledger", "created by another program")


def in_chroma(change: Callable[[chromadb.Collection, dict[str, Any]], None]) -> Any:
    def apply(db: Path) -> None:
        with chromadb.PersistentClient(db) as client:
            people = client.get_collection("people", embedding_function=None)
            [row] = people.get(["pets09-s2l1/pets09-s2l1:21:1"])["metadatas"]
            change(people, row)

    return apply


def set_value(name: str, value: Any) -> Any:
    return in_chroma(
        lambda people, row: people.update(
            ["pets09-s2l1/pets09-s2l1:21:1"], metadatas=[row | {name: value}]
        )
    )


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(set_value("score", "high"), id="text-for-a-number"),
        pytest.param(set_value("path", 5), id="number-for-a-text"),
        pytest.param(set_value("time_s", float("nan")), id="no-time"),
        pytest.param(set_value("x1", 1e300), id="absurd-box"),
        pytest.param(set_value("frame", "21"), id="frame-as-text"),
        pytest.param(set_value("crop_hash", "0" * 999), id="long-hash"),
        pytest.param(
            in_chroma(
                lambda people, row: people.add(
                    ["pets09-s2l1/pets09-s2l1:21:99"], [[512**-0.5] * 512], [row]
                )
            ),
            id="stranger",
        ),
        pytest.param(
            in_chroma(
                lambda people, _: people.update(
                    ["pets09-s2l1/pets09-s2l1:21:1"], embeddings=[[9.0] * 512]
                )
            ),
            id="huge-vector",
        ),
    ],
)
def test_rows_that_were_changed(own_db: Path, tmp_path: Path, change: Any) -> None:
    before = run(*SEARCH, "--json", cwd=tmp_path).json["matches"]
    change(own_db)
    assert run(*SEARCH, "--json", cwd=tmp_path).json["matches"] == before  # the index has them
    kept = shutil.copytree(own_db / "index", tmp_path / "index")
    shutil.rmtree(own_db / "index")
    for command in (SEARCH, ("inspect",), ("export", "detections", "--out", "a.csv")):
        assert_refused(run(*command, cwd=tmp_path), "doctor --repair")
    shutil.copytree(kept, own_db / "index")
    assert run("doctor", "--repair", cwd=tmp_path).code == 0
    assert run(*SEARCH, "--json", cwd=tmp_path).json["matches"] == before


def test_rows_under_no_name_of_ours(own_db: Path, tmp_path: Path) -> None:
    before = run(*SEARCH, "--json", cwd=tmp_path).json["matches"]
    in_chroma(lambda people, row: people.add(["stranger"], [[512**-0.5] * 512], [row]))(own_db)
    shutil.rmtree(own_db / "index")
    assert run(*SEARCH, "--json", cwd=tmp_path).json["matches"] == before


@pytest.mark.parametrize(
    ("name", "value"),
    [("dimension", "512"), ("dimension", -1), ("dimension", 7), ("fingerprint", 5), ("schema", 2)],
)
def test_metadata_that_were_changed(own_db: Path, tmp_path: Path, name: str, value: Any) -> None:
    with chromadb.PersistentClient(own_db) as client:
        people = client.get_collection("people", embedding_function=None)
        people.modify(metadata={**people.metadata, name: value})
    shutil.rmtree(own_db / "index")
    ran = run(*SEARCH, cwd=tmp_path)
    assert "Traceback" not in ran.err
    assert ran.code == 1, ran.err


def test_backup_that_is_no_file(own_db: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.zip")
    (tmp_path / "loop").symlink_to("loop")
    assert_refused(run("restore", "pipe.zip", "--db", "new", cwd=tmp_path), "not a regular file")
    run("backup", "b.zip", cwd=tmp_path)
    assert_refused(run("restore", "b.zip", "--db", "loop", cwd=tmp_path), "loop")
    for command in (("ingest", SAMPLE), SEARCH):
        assert_refused(run(*command, "--db", "loop", cwd=tmp_path), "loop is not a folder")
    assert not [*tmp_path.glob(".restoring-*")]
