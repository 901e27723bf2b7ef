import os
import shutil
import sqlite3
from dataclasses import replace
from pathlib import Path
from typing import Any

import chromadb
import numpy as np
import pytest

from reidsearch.core.types import Filter
from reidsearch.database.chroma_store import open_chroma
from reidsearch.database.index_files import BLOCK_BYTES, checksum_block
from reidsearch.database.lock import writing
from reidsearch.database.runs import read_runs
from tests.conftest import INGEST, PEOPLE, assert_refused, run, run_apart
from tests.unit.builders import (
    PROVENANCE,
    make_detection,
    make_frames,
    make_info,
    make_records,
    make_source_record,
)


def examine(db: Path, *options: object) -> dict[str, tuple[str, str, str]]:
    """State, finding and remedy of each check, and that the exit code says the same."""
    ran = run("doctor", "--db", db, "--json", *options, cwd=db.parent)
    findings = {f["check"]: (f["state"], f["found"], f["remedy"]) for f in ran.json["findings"]}
    bad = sum(state == "bad" for state, _, _ in findings.values())
    assert ran.json["bad"] == bad
    assert ran.code == (1 if bad else 0), ran.err
    return findings


def flip_a_bit(path: Path) -> None:
    times = path.stat()
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))  # as rot does it


def test_a_healthy_database(made_db: Path) -> None:
    found = examine(made_db, "--files")
    assert {state for state, _, _ in found.values()} == {"good"}
    assert found["Chroma"][1] == f"{PEOPLE} rows, all as stored"
    table = run("doctor", "--db", made_db, cwd=made_db.parent)
    assert "no check failed" in table.err
    assert len(table.out.splitlines()) == 1 + 12


def test_a_folder_that_is_read_only_is_examined(
    own_db: Path, as_plain_user: tuple[str, ...]
) -> None:
    paths = [own_db, *own_db.rglob("*")]
    for path in paths:
        path.chmod(0o555 if path.is_dir() else 0o444)
    ran = run_apart("doctor", "--json", cwd=own_db.parent, prefix=as_plain_user)
    refused = run_apart("doctor", "--repair", cwd=own_db.parent, prefix=as_plain_user)
    for path in paths:
        path.chmod(0o755)
    assert ran.code == 0, ran.err
    states = {finding["check"]: finding["state"] for finding in ran.json["findings"]}
    assert states.pop("Chroma") == "warning"
    assert {"ledger", "exact index", "embedder", "audit log"} <= states.keys()
    assert set(states.values()) == {"good"}
    assert_refused(refused, "read-only")


@pytest.mark.parametrize(
    "name",
    [
        "rows",
        *(
            pytest.param(name, marks=pytest.mark.slow)
            for name in ("vectors", "frames", "paths", "sources")
        ),
    ],
)
def test_rot_in_the_index_is_found_and_repaired(own_db: Path, name: str) -> None:
    [path] = (own_db / "index").glob(f"{name}*")
    flip_a_bit(path)
    assert examine(own_db)["exact index"][0] == "bad"
    assert examine(own_db)["exact index"][2] == "the same command with --repair"
    assert {state for state, _, _ in examine(own_db, "--repair").values()} == {"good"}


def test_vectors_that_are_none(own_db: Path) -> None:
    """As another program may have written them, checksums and all."""
    [path] = (own_db / "index").glob("vectors*")
    vectors = np.fromfile(path, np.float16).reshape(PEOPLE, -1)
    vectors[7] = np.nan
    vectors[9] = 0
    data = np.frombuffer(vectors.tobytes(), np.uint8)
    path.write_bytes(data.tobytes())
    with sqlite3.connect(own_db / "reidsearch.sqlite3") as ledger:
        for block in range(-(-len(data) // BLOCK_BYTES)):
            checksum = checksum_block(data[block * BLOCK_BYTES : (block + 1) * BLOCK_BYTES])
            ledger.execute(
                "UPDATE index_blocks SET checksum = ? WHERE (file, block) = (?, ?)",
                (checksum, path.name, block),
            )
    ledger.close()
    assert examine(own_db)["vectors"][:2] == ("bad", "2 do not have length 1")


def require_repaired(db: Path, before: Any, said: str) -> None:
    """Repair, and check that everything is as it was."""
    ran = run("doctor", "--repair", "--db", db, cwd=db.parent)
    assert ran.code == 0, ran.out + ran.err
    assert said in ran.err
    assert {state for state, _, _ in examine(db).values()} == {"good"}
    assert whole(db) == before


def whole(db: Path) -> Any:
    """All that a database knows, read through Chroma."""
    with open_chroma(db) as store:
        rows = store.scan(Filter())
        sources = store.sources()
        stamps = [[*store.stamps(record.info.key)] for record in sources]
        frames = [store.frames(record.info.key).tolist() for record in sources]
    runs = read_runs(db)
    vectors = rows.embeddings.vectors.tobytes()
    return rows.detections, vectors, sources, frames, stamps, runs


def test_rows_that_were_changed_or_are_missing(own_db: Path) -> None:
    before = whole(own_db)
    with open_chroma(own_db) as reading:
        [record] = reading.sources()
    with chromadb.PersistentClient(own_db) as client:
        people = client.get_collection("people", embedding_function=None)
        people.update([f"{record.info}:21:1"], metadatas=[{"x1": 1.0}])
        people.delete([f"{record.info}:41:1"])
    state, found, remedy = examine(own_db)[f"rows of {record.info}"]
    assert (state, found) == ("bad", "2 frames not as stored; the first is 21")
    assert remedy == "the same command with --repair"
    require_repaired(own_db, before, "rebuilt from Chroma and the exact index")


def test_each_frame_is_taken_from_where_it_is_whole(
    own_db: Path, sample: Path, tmp_path: Path
) -> None:
    """The index is an older copy, and some of what it has is damaged in Chroma, and some is not."""
    old = Path(shutil.copytree(own_db / "index", tmp_path / "index"))
    more = ("ingest", sample, "--camera", "b", "--max-frames", 3, "--tiles", "off")
    assert run(*more, "--db", own_db, cwd=tmp_path).code == 0
    before = whole(own_db)
    shutil.rmtree(own_db / "index")
    shutil.move(old, own_db / "index")
    with chromadb.PersistentClient(own_db) as client:
        people = client.get_collection("people", embedding_function=None)
        people.update(["pets09-s2l1/pets09-s2l1:21:1"], metadatas=[{"score": 1.0}])
    require_repaired(own_db, before, "rebuilt from")


def test_nothing_is_mended_where_nothing_is_broken(own_db: Path) -> None:
    before = whole(own_db)
    [vectors] = (own_db / "index").glob("vectors*")
    require_repaired(own_db, before, "nothing needed repair")
    assert vectors.exists()


def test_database_of_a_newer_schema_is_not_repaired(own_db: Path) -> None:
    with chromadb.PersistentClient(own_db) as client:
        people = client.get_collection("people", embedding_function=None)
        people.modify(metadata={**people.metadata, "schema": 99})
    ran = run("doctor", "--repair", "--db", own_db, cwd=own_db.parent)
    assert_refused(ran, "newer reidsearch", "99")


@pytest.mark.slow
def test_frames_withdrawn_by_a_killed_refresh_stay_away(own_db: Path) -> None:
    kept = Path(shutil.copytree(own_db / "index", own_db.parent / "index"))
    with open_chroma(own_db, rebuild_index=True) as store:
        store.remove(("pets09-s2l1", "pets09-s2l1"), [1, 21])
    expected = whole(own_db)
    shutil.rmtree(own_db / "index")
    shutil.move(kept, own_db / "index")
    with chromadb.PersistentClient(own_db) as client:
        people = client.get_collection("people", embedding_function=None)
        people.update(["pets09-s2l1/pets09-s2l1:41:1"], metadatas=[{"score": 1.0}])
    require_repaired(own_db, expected, "rebuilt")


def test_modules_in_the_current_folder_are_not_run(own_db: Path) -> None:
    (own_db / "numpy.py").write_text("open('ran', 'w')")
    (own_db / "chromadb.py").write_text("open('ran', 'w')")
    assert run("doctor", "--db", ".", cwd=own_db).code == 0
    assert not (own_db / "ran").exists()


def test_damaged_rows_without_an_index_are_given_up(own_db: Path) -> None:
    before = whole(own_db)
    with chromadb.PersistentClient(own_db) as client:
        people = client.get_collection("people", embedding_function=None)
        people.update(["pets09-s2l1/pets09-s2l1:21:1"], metadatas=[{"score": 1.0}])
    shutil.rmtree(own_db / "index")
    ran = run("search", "--frame", "pets09-s2l1:1", "--db", own_db, cwd=own_db.parent)
    assert_refused(ran, "1 frame of", "not as stored", "doctor --repair")
    ran = run("doctor", "--repair", "--db", own_db, cwd=own_db.parent)
    assert "1 frame lost: ingest the same footage again" in ran.err
    again = (*INGEST, "--db", own_db, "--json")
    assert run(*again, cwd=own_db.parent).json["frames"] == 1
    assert whole(own_db)[:4] == before[:4]


def test_rows_that_do_not_count(own_db: Path) -> None:
    with chromadb.PersistentClient(own_db) as client:
        people = client.get_collection("people", embedding_function=None)
        row = people.get(["pets09-s2l1/pets09-s2l1:21:1"], include=["metadatas", "embeddings"])
        people.add(
            ["pets09-s2l1/pets09-s2l1:22:1"],
            row["embeddings"],
            [{**row["metadatas"][0], "frame": 22}],
        )
    state, found, _ = examine(own_db)["Chroma"]
    assert (state, found) == ("warning", f"{PEOPLE + 1} rows, 1 of unconfirmed frames")


@pytest.mark.parametrize("name", ["chroma.sqlite3", "reidsearch.sqlite3"])
@pytest.mark.parametrize("loss", ["rot", "gone", pytest.param("empty", marks=pytest.mark.slow)])
def test_file_that_is_lost_is_made_anew(own_db: Path, name: str, loss: str) -> None:
    before = whole(own_db)
    path = own_db / name
    if loss == "rot":
        data = bytearray(path.read_bytes())
        data[2000 : len(data) // 2] = b"\xaa" * (len(data) // 2 - 2000)
        path.write_bytes(data)
    elif loss == "empty":
        path.write_bytes(b"")
    else:
        path.unlink()
    if name == "chroma.sqlite3":  # which no search for a stored person opens
        ran = run("search", "--frame", "pets09-s2l1:1", "--db", own_db, cwd=own_db.parent)
        assert ran.code == 0
    assert "bad" in {state for state, _, _ in examine(own_db).values()}
    ran = run("doctor", "--repair", "--db", own_db, cwd=own_db.parent)
    assert ran.code == 0, ran.out + ran.err
    assert {state for state, _, _ in examine(own_db).values()} == {"good"}
    known = slice(None) if name == "chroma.sqlite3" else slice(4)  # the rest was in the ledger
    assert whole(own_db)[known] == before[known]


def test_frame_whose_checksum_is_wrong_is_kept(made_db: Path, own_db: Path) -> None:
    with sqlite3.connect(own_db / "reidsearch.sqlite3") as ledger:
        ledger.execute("UPDATE frames SET crc32 = crc32 + 1 WHERE number = 21")
    ledger.close()
    ran = run("doctor", "--repair", "--db", own_db, cwd=own_db.parent)
    assert (ran.code, " lost: ingest" in ran.err) == (0, False), ran.err
    assert whole(own_db) == whole(made_db)
    assert run("doctor", "--db", own_db, cwd=own_db.parent).code == 0


def test_damage_that_makes_messages_no_text(made_db: Path, own_db: Path) -> None:
    """SQLite quotes the broken schema, and Python cannot decode what it says."""
    for name in ("reidsearch.sqlite3", "chroma.sqlite3"):
        data = (own_db / name).read_bytes()
        (own_db / name).write_bytes(data.replace(b"CREATE TABLE", b"CRE\xabTE TABLE", 1))
        ran = run("doctor", "--db", own_db, cwd=own_db.parent)
        assert (ran.code, "Traceback" in ran.err) == (1, False), ran.err
        assert "with --repair" in ran.out
    search = ("search", "--frame", "pets09-s2l1:1", "--db", own_db)
    assert_refused(run(*search, cwd=own_db.parent), "ledger", "doctor --repair")
    assert run("doctor", "--repair", "--db", own_db, cwd=own_db.parent).code == 0
    assert whole(own_db)[:2] == whole(made_db)[:2]


def break_page_of(db: Path, part: str, file: str = "chroma.sqlite3") -> None:
    """Break the first page of a table, or of an index, of SQLite."""
    path = db / file
    with sqlite3.connect(path) as opened:
        asked = "SELECT rootpage FROM sqlite_master WHERE name = ?"
        ((page,),) = opened.execute(asked, (part,)).fetchall()
        ((size,),) = opened.execute("PRAGMA page_size").fetchall()
    opened.close()
    with path.open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\xff" * 8)


@pytest.mark.slow
def test_rot_that_only_sqlite_finds_is_repaired(made_db: Path, own_db: Path) -> None:
    break_page_of(own_db, "embedding_metadata_array_key_float")
    assert examine(own_db)["Chroma"][0] == "good"
    assert examine(own_db)["database file"][2] == "the same command with --repair"
    assert {state for state, _, _ in examine(own_db, "--repair").values()} == {"good"}
    assert whole(own_db) == whole(made_db)


def test_ledger_that_only_sqlite_finds_broken(made_db: Path, own_db: Path) -> None:
    break_page_of(own_db, "runs", "reidsearch.sqlite3")
    search = ("search", "--frame", "pets09-s2l1:1", "--db", own_db)
    assert run(*search, cwd=own_db.parent).code == 0
    assert examine(own_db)["ledger"][0] == "bad"
    assert {state for state, _, _ in examine(own_db, "--repair").values()} == {"good"}
    assert whole(own_db)[:2] == whole(made_db)[:2]


def test_repair_is_advised_where_it_helps(own_db: Path) -> None:
    break_page_of(own_db, "sqlite_autoindex_embeddings_1")
    shutil.rmtree(own_db / "index")
    found = examine(own_db)
    assert found["database file"][0] == "bad"
    assert "--repair" not in " ".join(remedy for _, _, remedy in found.values())
    ran = run("doctor", "--repair", "--db", own_db, cwd=own_db.parent)
    assert_refused(ran, "both Chroma and the exact index")


def test_repair_computes_nothing(tmp_path: Path) -> None:
    made = replace(PROVENANCE, precision="bf16")
    with open_chroma(tmp_path / "db", made) as store:
        rows = make_records([make_detection(make_info(), 1)], (30,))
        store.add(rows, make_source_record(make_info()), make_frames(make_info(), 1))
    (tmp_path / "db" / "reidsearch.sqlite3").unlink()
    assert run("doctor", "--repair", cwd=tmp_path).code == 0
    assert "made in bf16, which not every" in examine(tmp_path / "db")["precision"][1]


def test_nothing_is_left_whole(own_db: Path) -> None:
    shutil.rmtree(own_db / "index")
    (own_db / "reidsearch.sqlite3").write_bytes(b"")
    ran = run("doctor", "--repair", "--db", own_db, cwd=own_db.parent)
    assert_refused(ran, "both the ledger and the exact index", "restore")


@pytest.mark.slow
def test_chroma_that_does_not_open(tmp_path: Path) -> None:
    """Its graph is in files of its own once it has some thousand rows."""
    info = make_info()
    people = [make_detection(info, frame) for frame in range(1, 3001)]
    with open_chroma(tmp_path / "db", PROVENANCE) as store:
        rows = make_records(people, np.linspace(0, 90, len(people)))
        store.add(rows, make_source_record(info), make_frames(info, *range(1, 3001)))
    assert examine(tmp_path / "db")["Chroma"][0] == "good"
    before = whole(tmp_path / "db")
    for path in (tmp_path / "db").glob("*/*.bin"):
        path.write_bytes(b"\xff" * path.stat().st_size)
    state, found, remedy = examine(tmp_path / "db")["Chroma"]
    assert (state, remedy) == ("bad", "the same command with --repair")
    assert "cannot be used" in found
    ran = run("doctor", "--repair", "--db", tmp_path / "db", cwd=tmp_path)
    assert "rebuilt from" in ran.err
    assert whole(tmp_path / "db") == before


def test_audit_log_that_was_changed(own_db: Path) -> None:
    for path in own_db.glob("audit*"):  # of the tests before
        path.unlink()
    assert examine(own_db)["audit log"][:2] == ("good", "0 entries, intact")
    run("search", "--frame", "pets09-s2l1:1", "--db", own_db, cwd=own_db.parent)
    assert examine(own_db)["audit log"][:2] == ("good", "1 entry, intact")
    log = own_db / "audit.jsonl"
    log.write_text(log.read_text().replace('"top":10', '"top":11'))
    state, found, remedy = examine(own_db)["audit log"]
    assert (state, "line 1" in found, "audit verify" in remedy) == ("bad", True, True)


@pytest.mark.slow
def test_models_and_footage_that_are_gone(sample: Path, tmp_path: Path) -> None:
    footage = Path(shutil.copytree(sample, tmp_path / "gate"))
    weights = Path(__file__).parents[2] / "models" / "osnet_ain_x1_0.third.pt"
    own = shutil.copy(weights, tmp_path / "own.pt")
    ingest = ("ingest", footage, "--max-frames", 1, "--tiles", "off", "--embedder")
    assert run(*ingest, f"osnet_ain_x1_0={own}", cwd=tmp_path).code == 0
    assert examine(tmp_path / "db", "--files")["footage gate/gate"][0] == "good"
    Path(own).unlink()
    shutil.rmtree(footage)
    found = examine(tmp_path / "db", "--files")
    assert found["embedder"][0] == "warning"
    assert found["footage gate/gate"][:2] == ("warning", f"{footage} does not exist any more")


@pytest.mark.slow
def test_footage_that_is_another(sample: Path, tmp_path: Path) -> None:
    footage = Path(shutil.copytree(sample, tmp_path / "gate"))
    ingest = ("ingest", footage, "--max-frames", 3, "--tiles", "off")
    assert run(*ingest, cwd=tmp_path).code == 0
    shutil.copy(sample / "frame_0781.jpg", footage / "frame_0021.jpg")
    (footage / "frame_0041.jpg").unlink()
    state, found, _ = examine(tmp_path / "db", "--files")["footage gate/gate"]
    assert (state, found[:9], found[-2:]) == ("warning", "2 frames ", "21")


def test_footage_of_a_lost_ledger(own_db: Path) -> None:
    (own_db / "reidsearch.sqlite3").unlink()
    state, found, _ = examine(own_db, "--repair", "--files")["footage pets09-s2l1/pets09-s2l1"]
    assert (state, found[:13], found[-8:]) == ("warning", "40 frames of ", "was lost")


def test_what_cannot_be_examined(own_db: Path, tmp_path: Path) -> None:
    assert_refused(run("doctor", "--db", "gone", cwd=tmp_path), "no database")
    with writing(own_db):
        assert_refused(run("doctor", cwd=tmp_path), "another reidsearch")
    (tmp_path / "foreign").mkdir()
    with sqlite3.connect(tmp_path / "foreign" / "chroma.sqlite3") as connection:
        connection.execute("CREATE TABLE t (x)")
    ran = run("doctor", "--db", "foreign", cwd=tmp_path)
    assert (ran.code, "Traceback" in ran.err) == (1, False)
    assert "has no ledger" in ran.out
    ran = run("doctor", "--repair", "--db", "foreign", cwd=tmp_path)
    assert_refused(ran, "both the ledger and the exact index")


def test_findings_are_not_changed_by_looking(made_db: Path) -> None:
    def stamps() -> dict[Path, Any]:
        return {
            path: (path.stat().st_mtime_ns, path.stat().st_size)
            for path in made_db.glob("index/*")  # Chroma touches its own when it opens
        }

    before = stamps()
    examine(made_db)
    assert stamps() == before
