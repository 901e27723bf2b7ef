"""Databases of an older schema: brought up to date by the first command that may write."""

import shutil
import sqlite3
from pathlib import Path
from typing import Any

import chromadb
import pytest

from reidsearch.store import migration
from reidsearch.store.chroma_store import open_chroma
from reidsearch.types import Filter
from tests.conftest import assert_refused, run

SEARCH = ("search", "--frame", "pets09-s2l1:1", "--json")


def whole(db: Path) -> Any:
    with open_chroma(db) as store:
        records = store.scan(Filter())
        return records.sightings, records.embeddings.vectors.tobytes(), store.sources()


@pytest.fixture
def schema_2(own_db: Path) -> Path:
    """What was written before there were journals, with rows of an ingest that was killed."""
    with open_chroma(own_db) as store:
        sources = {f"source:{record.info}": record.to_json() for record in store.sources()}
    (own_db / "reidsearch.sqlite3").unlink()
    with chromadb.PersistentClient(own_db) as client:
        people = client.get_collection("people", embedding_function=None)
        people.modify(metadata={**people.metadata, **sources, "schema": 2, "generation": 1})
        row = people.get(["pets09-s2l1/pets09-s2l1:1:1"], include=["metadatas", "embeddings"])
        people.add(
            ["pets09-s2l1/pets09-s2l1:2:1"],
            row["embeddings"],
            [{**row["metadatas"][0], "frame": 2}],
        )
    return own_db


def test_first_command_brings_it_up_to_date(made_db: Path, schema_2: Path, tmp_path: Path) -> None:
    expected = run(*SEARCH, "--db", made_db, cwd=tmp_path).json["matches"]
    ran = run(*SEARCH, cwd=tmp_path)
    assert ran.json["matches"] == expected
    assert "was brought from schema 2 to 3" in ran.err
    again = run(*SEARCH, cwd=tmp_path)
    assert (again.json["matches"], again.err) == (expected, "")
    assert whole(schema_2) == whole(made_db)
    assert run("doctor", cwd=tmp_path).code == 0
    with chromadb.PersistentClient(schema_2) as client:
        people = client.get_collection("people", embedding_function=None)
        assert people.count() == 235
        assert people.metadata["schema"] == 3
        assert not [key for key in people.metadata if key.startswith("source:")]


@pytest.mark.parametrize("step", ["create_journal", "header"])
def test_killed_migration_is_done_again(
    made_db: Path, schema_2: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    class Killed(BaseException):
        pass

    def kill(*_: object) -> None:
        raise Killed

    monkeypatch.setattr(migration, step, kill)
    with pytest.raises(Killed), open_chroma(schema_2, mend=True):
        pass
    monkeypatch.undo()
    with open_chroma(schema_2, mend=True):
        pass
    assert whole(schema_2) == whole(made_db)


def test_ingest_goes_on_in_an_old_database(schema_2: Path, sample: Path, tmp_path: Path) -> None:
    ran = run("ingest", sample, "--fps", 10, "--json", cwd=tmp_path)
    assert (ran.json["frames"], ran.json["frames_skipped"]) == (0, 40)


def test_old_database_that_may_not_be_written(
    schema_2: Path, tmp_path: Path, as_plain_user: tuple[str, ...]
) -> None:
    for path in (*schema_2.rglob("*"), schema_2):
        path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        ran = run(*SEARCH, cwd=tmp_path, prefix=as_plain_user)
    finally:
        for path in (schema_2, *schema_2.rglob("*")):
            path.chmod(0o777)
    assert_refused(ran, "read-only")


def test_repair_brings_up_to_date(made_db: Path, schema_2: Path, tmp_path: Path) -> None:
    shutil.rmtree(schema_2 / "index")
    ran = run("doctor", "--repair", cwd=tmp_path)
    assert (ran.code, "brought up to date" in ran.err) == (0, True), ran.err
    assert whole(schema_2) == whole(made_db)


@pytest.mark.parametrize(("schema", "words"), [(1, "older reidsearch"), (99, "newer reidsearch")])
def test_schema_that_nobody_knows(schema_2: Path, tmp_path: Path, schema: int, words: str) -> None:
    shutil.rmtree(schema_2 / "index")
    with sqlite3.connect(schema_2 / "chroma.sqlite3") as database:
        database.execute(
            "UPDATE collection_metadata SET int_value = ? WHERE key = 'schema'", (schema,)
        )
    database.close()
    assert_refused(run(*SEARCH, cwd=tmp_path), words, str(schema))
    assert_refused(run("doctor", "--repair", cwd=tmp_path), words)
