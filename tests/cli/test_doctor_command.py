import os
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reidsearch.store import index_file
from reidsearch.store.chroma_store import open_chroma
from reidsearch.store.index_file import map_vectors, read_manifest, restamp
from reidsearch.store.lock import writing
from tests.conftest import assert_refused, run
from tests.unit.builders import (
    PROVENANCE,
    make_info,
    make_records,
    make_sighting,
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
    assert found["Chroma"][1] == "235 rows, as recorded"
    table = run("doctor", "--db", made_db, cwd=made_db.parent)
    assert "nothing is lost or wrong" in table.err
    assert len(table.out.splitlines()) == 1 + 8


@pytest.mark.parametrize("name", ["vectors", "table", "paths", "manifest"])
def test_rot_in_the_index_is_found_and_repaired(own_db: Path, name: str) -> None:
    [path] = (own_db / "index").glob(f"{name}*")
    flip_a_bit(path)
    assert examine(own_db)["exact index"][0] == "bad"
    assert examine(own_db)["exact index"][2] == "reidsearch doctor --repair"
    assert {state for state, _, _ in examine(own_db, "--repair").values()} == {"good"}


def test_vectors_that_are_none(own_db: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = own_db / "index"
    manifest = read_manifest(folder)
    vectors = np.array(map_vectors(folder, manifest))
    vectors[7] = np.nan
    vectors[9] = 0
    (folder / manifest.vectors.name).write_bytes(vectors.tobytes())
    monkeypatch.setattr(index_file, "_check", lambda *_, **__: None)
    whole = index_file.zlib.crc32(vectors.tobytes())
    part = index_file.replace(manifest.vectors, crc32=whole)
    index_file.write_manifest(folder, index_file.replace(manifest, vectors=part))
    restamp(folder)
    monkeypatch.undo()
    assert examine(own_db)["vectors"][:2] == ("bad", "2 are not of length 1")


def test_rows_that_are_missing_and_rows_that_are_too_many(own_db: Path, tmp_path: Path) -> None:
    more = Path(shutil.copytree(own_db, tmp_path / "more"))
    with open_chroma(own_db) as reading:
        provenance, [record] = reading.provenance, reading.sources()
        ids = [f"{record.info}:1:{person}" for person in (1, 2)]
    with open_chroma(own_db, provenance) as store:
        store._collection.delete(ids)
    state, found, _ = examine(own_db)["Chroma"]
    assert (state, found) == ("bad", "233 rows of 235 that were recorded")
    with open_chroma(more, provenance) as store:
        [vector] = store._collection.get(ids[:1], include=["embeddings"])["embeddings"]
        row = store._collection.get(ids[:1])["metadatas"][0]
        store._collection.add(["unconfirmed"], [vector], [row])
    state, found, remedy = examine(more)["Chroma"]
    assert (state, found) == ("warning", "236 rows, 1 of frames that are not confirmed")
    assert "ingest" in remedy


def test_database_file_that_rots(own_db: Path) -> None:
    path = own_db / "chroma.sqlite3"
    data = bytearray(path.read_bytes())
    data[4096 * 3 : 4096 * 60] = b"\xaa" * (4096 * 57)
    path.write_bytes(data)
    state, found, remedy = examine(own_db)["database file"]
    assert state == "bad"
    assert "SQLite" in found
    assert remedy == "restore a backup"


def test_chroma_that_does_not_open(tmp_path: Path) -> None:
    """Its graph is in files of its own once it has some thousand rows."""
    info = make_info()
    people = [make_sighting(info, frame) for frame in range(1, 3001)]
    with open_chroma(tmp_path / "db", PROVENANCE) as store:
        rows = make_records(people, np.linspace(0, 90, len(people)))
        store.add(rows, make_source_record(info, range(1, 3001), len(people)))
    assert examine(tmp_path / "db")["Chroma"][0] == "good"
    for path in (tmp_path / "db").glob("*/*.bin"):
        path.write_bytes(b"\xff" * path.stat().st_size)
    state, found, remedy = examine(tmp_path / "db")["Chroma"]
    assert (state, remedy) == ("bad", "restore a backup")
    assert "does not" in found


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
    assert found["footage gate/gate"][:2] == ("warning", f"{footage} is not there any more")


def test_what_cannot_be_examined(own_db: Path, tmp_path: Path) -> None:
    assert_refused(run("doctor", "--db", "gone", cwd=tmp_path), "no database")
    with writing(own_db):
        assert_refused(run("doctor", cwd=tmp_path), "another reidsearch")
    (tmp_path / "foreign").mkdir()
    with sqlite3.connect(tmp_path / "foreign" / "chroma.sqlite3") as connection:
        connection.execute("CREATE TABLE t (x)")
    assert_refused(run("doctor", "--db", "foreign", cwd=tmp_path), "not one of reidsearch's")


def test_findings_are_not_changed_by_looking(made_db: Path) -> None:
    def stamps() -> dict[Path, Any]:
        return {
            path: (path.stat().st_mtime_ns, path.stat().st_size)
            for path in made_db.glob("index/*")  # Chroma touches its own when it opens
        }

    before = stamps()
    examine(made_db)
    assert stamps() == before
