import json
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import chromadb
import numpy as np
import pytest

from reidsearch.core.errors import StoreError
from reidsearch.core.types import Filter
from reidsearch.database.backup import restore_backup, write_backup
from reidsearch.database.chroma_store import open_chroma
from reidsearch.database.ledger_schema import read_state
from reidsearch.database.lock import writing
from tests.conftest import PEOPLE, Ran, Warnings, assert_refused, run, run_apart

SEARCH = ("search", "--frame", "pets09-s2l1:1", "--top", 30)


@pytest.fixture(scope="module")
def backup(made_db: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("backup") / "case 7.zip"
    ran = run("backup", path, "--db", made_db, "--json", cwd=path.parent)
    assert ran.code == 0, ran.err
    assert ran.json["bytes"] == path.stat().st_size
    return path


def test_what_is_restored_is_what_was_there(made_db: Path, backup: Path, tmp_path: Path) -> None:
    ran = run("restore", backup, "--db", "new/db", cwd=tmp_path)
    assert ran.code == 0, ran.err
    for more in ((), ("--approximate",)):
        theirs = run(*SEARCH, *more, "--csv", "--db", made_db, cwd=tmp_path)
        mine = run(*SEARCH, *more, "--csv", "--db", "new/db", cwd=tmp_path)
        assert mine.code == 0, mine.err
        assert mine.out == theirs.out
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["db"]
    # It can be written to as well.
    with open_chroma(tmp_path / "new" / "db") as reading:
        provenance = reading.provenance
    with open_chroma(tmp_path / "new" / "db", provenance) as store:
        assert len(store) == PEOPLE


def has_frames(db: Path) -> bool:
    with suppress(StoreError):
        return read_state(db).generation > 0
    return False


@pytest.mark.slow
def test_backup_beside_a_writer(sample: Path, tmp_path: Path) -> None:
    """What was confirmed, and an ingest can go on from there."""
    ingest = ("ingest", sample, "--fps", 10, "--every", 2, "--tiles", "off")
    command = [sys.executable, "-m", "reidsearch", *map(str, ingest), "--watch"]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE) as writer:
        try:
            while not has_frames(tmp_path / "db"):
                assert writer.poll() is None
                time.sleep(0.1)
            run("search", "--frame", "pets09-s2l1:1", cwd=tmp_path)
            ran = run("backup", "b.zip", cwd=tmp_path)
            assert ran.code == 0, ran.err
            assert writer.poll() is None
        finally:
            writer.send_signal(signal.SIGINT)
            writer.communicate()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b.zip", "db"]
    assert run("restore", "b.zip", "--db", "new", cwd=tmp_path).code == 0
    (copied,) = run("inspect", "runs", "--db", "new", "--json", cwd=tmp_path).json
    assert copied["outcome"] == "running when it was copied"
    doctor = run("doctor", "--db", "new", "--json", cwd=tmp_path)
    assert doctor.code == 0, doctor.out
    assert run("audit", "verify", "--db", "new", cwd=tmp_path).code == 0
    assert run(*ingest, "--db", "new", cwd=tmp_path).code == 0
    assert run(*ingest, cwd=tmp_path).code == 0
    with open_chroma(tmp_path / "db") as undisturbed, open_chroma(tmp_path / "new") as new:
        theirs, ours = undisturbed.scan(Filter()), new.scan(Filter())
    assert ours.detections == theirs.detections
    assert np.array_equal(ours.embeddings.vectors, theirs.embeddings.vectors)


def test_people_erased_meanwhile_are_in_no_backup(own_db: Path, tmp_path: Path) -> None:
    lock = writing(own_db)
    lock.__enter__()

    class Erasing(Warnings):
        def advance(self, n: int = 1, note: str = "") -> None:
            lock.__exit__(None, None, None)
            ran = run("erase", "--source", "pets09-s2l1", "--yes", cwd=tmp_path)
            assert ran.code == 0, ran.err

    with pytest.raises(StoreError, match="rewritten in the meantime"):
        write_backup(own_db, tmp_path / "b.zip", Erasing())
    assert [path.name for path in tmp_path.iterdir()] == ["db"]


def test_what_a_killed_backup_left_is_taken_away(own_db: Path, tmp_path: Path) -> None:
    left = tmp_path / ".backing-up-b.zip" / "copies"
    left.mkdir(parents=True)
    (left / "chroma.sqlite3").write_bytes(b"x")
    assert run("backup", "b.zip", cwd=tmp_path).code == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b.zip", "db"]


def back_up_read_only(db: Path, file_mode: int, prefix: tuple[str, ...]) -> Ran:
    """Back up a database in folders that may not be written, to a folder that may."""
    out = db.with_name("out")
    out.mkdir()
    out.chmod(0o777)
    for path in (*db.rglob("*"), db):
        path.chmod(0o555 if path.is_dir() else file_mode)
    ran = run_apart("backup", "out/b.zip", "--db", db, cwd=db.parent, prefix=prefix)
    for path in (db, *db.rglob("*")):
        path.chmod(0o777)
    assert ran.code == 0, ran.err
    return ran


def test_database_that_is_read_only(
    made_db: Path, own_db: Path, tmp_path: Path, as_plain_user: tuple[str, ...]
) -> None:
    back_up_read_only(own_db, 0o444, as_plain_user)
    assert run("restore", "out/b.zip", "--db", "new", cwd=tmp_path).code == 0
    with open_chroma(made_db) as theirs, open_chroma(tmp_path / "new") as ours:
        assert ours.detections(Filter()) == theirs.detections(Filter())


def test_backup_of_a_damaged_database_says_so(own_db: Path, tmp_path: Path) -> None:
    with chromadb.PersistentClient(own_db) as client:
        people = client.get_collection("people", embedding_function=None)
        people.delete(["pets09-s2l1/pets09-s2l1:21:1"])
    ran = run("backup", "b.zip", cwd=tmp_path)
    assert (ran.code, "1 frame of pets09-s2l1/pets09-s2l1" in ran.err) == (0, True), ran.err


def test_backup_that_could_not_be_checked_says_so(
    own_db: Path, as_plain_user: tuple[str, ...]
) -> None:
    """Whoever may not write to a folder cannot have Chroma open what is in it."""
    ran = back_up_read_only(own_db, 0o666, as_plain_user)
    assert "damaged" not in ran.err
    assert "could not be verified" in ran.err


def test_collections_of_other_programs(own_db: Path, tmp_path: Path) -> None:
    with chromadb.PersistentClient(own_db) as client:
        client.create_collection("notes").add(["a"], embeddings=[[1.0]])
    assert "notes" not in run("backup", "whole.zip", cwd=tmp_path).err
    with writing(own_db):
        assert "the backup omits notes" in run("backup", "b.zip", cwd=tmp_path).err
    assert run("restore", "whole.zip", "--db", "new", cwd=tmp_path).code == 0
    with chromadb.PersistentClient(tmp_path / "new") as client:
        assert client.get_collection("notes").count() == 1


def test_a_database_is_backed_up_whole_or_not_at_all(own_db: Path, tmp_path: Path) -> None:
    shutil.rmtree(own_db / "index")
    with writing(own_db):
        assert_refused(run("backup", "b.zip", cwd=tmp_path), "another reidsearch")
    assert_refused(run("backup", "db/b.zip", cwd=tmp_path), "is inside the database")
    assert_refused(run("backup", "b.tar", cwd=tmp_path), "b.tar", ".zip")
    assert_refused(run("backup", "gone/b.zip", cwd=tmp_path), "no folder")
    assert_refused(run("backup", "b.zip", "--db", "gone", cwd=tmp_path), "no database")
    assert [path.name for path in tmp_path.iterdir()] == ["db"]


def test_journal_of_a_killed_writer_is_played_back(own_db: Path, tmp_path: Path) -> None:
    database = own_db / "chroma.sqlite3"
    before = database.read_bytes()
    with sqlite3.connect(database, isolation_level=None) as connection:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("PRAGMA cache_size = 1")
        connection.execute("UPDATE embedding_metadata SET string_value = 'spilt' || string_value")
        for name in (database.name, f"{database.name}-journal"):
            shutil.copy(own_db / name, tmp_path / name)
        connection.execute("ROLLBACK")
    for name in (database.name, f"{database.name}-journal"):
        shutil.move(tmp_path / name, own_db / name)
    assert database.read_bytes() != before
    assert run("backup", "b.zip", cwd=tmp_path).code == 0
    assert run("restore", "b.zip", "--db", "new", cwd=tmp_path).code == 0
    with sqlite3.connect(tmp_path / "new" / "chroma.sqlite3") as connection:
        spilt = connection.execute(
            "SELECT count(*) FROM embedding_metadata WHERE string_value LIKE 'spilt%'"
        ).fetchone()
    assert spilt == (0,)


def rewrite(backup: Path, out: Path, change: Any) -> Path:
    """A backup with its list, and perhaps a file, changed."""
    with zipfile.ZipFile(backup) as source, zipfile.ZipFile(out, "w") as target:
        about = json.loads(source.read("backup.json"))
        contents = {
            file["name"]: source.read(f"database/{file['name']}") for file in about["files"]
        }
        change(about, contents)
        for name, content in contents.items():
            target.writestr(f"database/{name}", content)
        target.writestr("backup.json", json.dumps(about))
    return out


def escape(about: Any, contents: Any) -> None:
    about["files"][0]["name"] = "../../escaped"
    contents["../../escaped"] = b"x"


def flip(about: Any, contents: Any) -> None:
    name = max(contents, key=lambda one: len(contents[one]))
    contents[name] = contents[name][:-1] + b"?"


def lengthen(about: Any, contents: Any) -> None:
    contents[about["files"][0]["name"]] += b"more"


def lose(about: Any, contents: Any) -> None:
    del contents["chroma.sqlite3"]


def other(about: Any, contents: Any) -> None:
    about["format"] = "something else"


def measure(about: Any, contents: Any) -> None:
    about["files"][0]["size"] = float("inf")


def test_readme_of_an_empty_database_folder_stays(backup: Path, tmp_path: Path) -> None:
    (tmp_path / "db").mkdir()
    (tmp_path / "db" / "README.md").write_text("what this folder is for")
    assert run("restore", backup, cwd=tmp_path).code == 0
    assert (tmp_path / "db" / "README.md").read_text() == "what this folder is for"
    assert run(*SEARCH, cwd=tmp_path).code == 0


@pytest.mark.parametrize("change", [escape, flip, lengthen, lose, measure, other])
def test_what_is_no_backup_leaves_nothing(backup: Path, tmp_path: Path, change: Any) -> None:
    (tmp_path / "in").mkdir()
    bad = rewrite(backup, tmp_path / "bad.zip", change)
    ran = run("restore", bad, cwd=tmp_path / "in")
    assert_refused(ran, "bad.zip", "not a backup, or it is damaged")
    assert list((tmp_path / "in").iterdir()) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.zip", "in"]


def test_no_changed_bit_ends_in_a_traceback(backup: Path, tmp_path: Path) -> None:
    whole, chance = backup.read_bytes(), random.Random(0)
    list_at = whole.rindex(b"PK\x05\x06") - 1000
    for turn in range(100):
        data = bytearray(whole)
        data[chance.randrange(list_at * (turn % 2), len(data))] ^= 1 << chance.randrange(8)
        (tmp_path / "bad.zip").write_bytes(data)
        with suppress(StoreError):
            restore_backup(tmp_path / "bad.zip", tmp_path / "db")
        shutil.rmtree(tmp_path / "db", ignore_errors=True)


def test_files_that_are_no_archives(backup: Path, own_db: Path, tmp_path: Path) -> None:
    (tmp_path / "text.zip").write_text("no archive")
    assert_refused(run("restore", "text.zip", "--db", "x", cwd=tmp_path), "not a backup")
    (tmp_path / "cut.zip").write_bytes(backup.read_bytes()[:-1000])
    assert_refused(run("restore", "cut.zip", "--db", "x", cwd=tmp_path), "not a backup")
    assert_refused(run("restore", "gone.zip", "--db", "x", cwd=tmp_path), "No such file")
    assert_refused(run("restore", backup, cwd=tmp_path), "db is not empty")
    assert not (tmp_path / "x").exists()
