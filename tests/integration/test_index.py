"""The exact index beside a real database: in step, out of step, damaged, and shared."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import chromadb
import cv2
import numpy as np
import pytest

from reidsearch import SourceOptions, open_database, open_source
from reidsearch.core.types import Filter
from reidsearch.database import index_writer
from reidsearch.database.chroma_store import ChromaStore, open_chroma
from reidsearch.database.index_store import IndexStore
from reidsearch.database.ledger import Ledger
from reidsearch.database.opening import open_to_read
from tests.conftest import PEOPLE, Ran, Warnings, run, run_apart

SEARCH = ("search", "--frame", "pets09-s2l1/pets09-s2l1:1", "--top", "30", "--json")


def search(db: Path, cwd: Path, *more: object) -> Ran:
    return run(*SEARCH, "--db", db, *more, cwd=cwd)


def matches(ran: Ran) -> list[tuple[str, float]]:
    assert ran.code == 0, ran.err
    return [(match["id"], match["distance"]) for match in ran.json["matches"]]


def part(db: Path, name: str) -> Path:
    [found] = (db / "index").glob(f"{name}*")
    return found


def test_answers_as_chroma_does_and_says_how(made_db: Path, tmp_path: Path) -> None:
    exact = search(made_db, tmp_path)
    approximate = search(made_db, tmp_path, "--approximate")
    assert [m[0] for m in matches(exact)] == [m[0] for m in matches(approximate)]
    for mine, theirs in zip(matches(exact), matches(approximate), strict=True):
        assert mine[1] == pytest.approx(theirs[1], abs=1e-6)
    assert (exact.json["exact"], approximate.json["exact"]) == (True, False)
    assert exact.json["candidates"] == PEOPLE - 3  # those are in the first frame
    assert approximate.json["candidates"] is None
    assert exact.json["ms"] > 0


def test_holds_the_very_numbers_of_chroma(made_db: Path) -> None:
    with open_to_read(made_db) as index, open_chroma(made_db) as chroma:
        assert isinstance(index, IndexStore)
        mine, theirs = index.scan(Filter()), chroma.scan(Filter())
    assert mine.detections == theirs.detections
    assert (mine.embeddings.vectors == theirs.embeddings.vectors).all()


def cut_short(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 1)


def flip_a_bit(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def remove(path: Path) -> None:
    path.unlink()


@pytest.mark.parametrize("name", ["vectors", "rows", "frames", "paths"])
@pytest.mark.parametrize("damage", [cut_short, flip_a_bit, remove])
def test_damage_is_noticed_and_mended(
    own_db: Path, tmp_path: Path, name: str, damage: Callable[[Path], None]
) -> None:
    before = matches(search(own_db, tmp_path))
    damage(part(own_db, name))
    mended = search(own_db, tmp_path)
    assert matches(mended) == before
    assert mended.json["exact"] is True
    with open_to_read(own_db) as store:
        assert isinstance(store, IndexStore)


def test_index_of_another_database_is_not_believed(own_db: Path, sample: Path, tmp_path: Path):
    before = matches(search(own_db, tmp_path))
    other = ("ingest", sample, "--max-frames", 3, "--tiles", "off", "--db", tmp_path / "other")
    assert run(*other, cwd=tmp_path).code == 0
    shutil.rmtree(own_db / "index")
    shutil.copytree(tmp_path / "other" / "index", own_db / "index")
    assert matches(search(own_db, tmp_path)) == before


def test_index_that_is_an_older_copy_is_made_anew(
    own_db: Path, sample: Path, tmp_path: Path
) -> None:
    old = shutil.copytree(own_db / "index", tmp_path / "old")
    more = ("ingest", sample, "--camera", "b", "--max-frames", 3, "--tiles", "off")
    assert run(*more, "--db", own_db, cwd=tmp_path).code == 0
    with open_to_read(own_db) as store:
        expected = store.scan(Filter())
    shutil.rmtree(own_db / "index")
    shutil.copytree(old, own_db / "index")
    with open_to_read(own_db) as store:
        found = store.scan(Filter())
        assert isinstance(store, IndexStore)
    assert found.detections == expected.detections
    assert (found.embeddings.vectors == expected.embeddings.vectors).all()


def test_damage_is_found_where_it_is_read(own_db: Path, tmp_path: Path) -> None:
    """The index is made anew while somebody reads it, and the answer is what it would have been."""
    with open_to_read(own_db) as store:
        query = store.scan(Filter(frame=1)).embeddings.vectors[:1]
        expected = [*store.nearest(query, Filter())]
    warnings = Warnings()
    with open_to_read(own_db, progress=warnings) as store:
        flip_a_bit(part(own_db, "vectors"))
        assert [*store.nearest(query, Filter())] == expected
    with open_to_read(own_db, progress=warnings) as store:
        name = part(own_db, "rows").name
        flip_a_bit(part(own_db, "rows"))
        assert store.detections(Filter()) == [*store.scan(Filter()).detections]
    assert [text[:29] for text in warnings.texts] == ["the exact index was rebuilt: "] * 2
    assert warnings.texts[1].endswith(f"{name} is damaged")


def test_copied_database_is_not_read_whole(own_db: Path) -> None:
    """Times of files say nothing: only blocks that are looked at are checked."""
    for path in (own_db / "index").iterdir():
        os.utime(path)
    with open_to_read(own_db) as store:
        flip_a_bit(part(own_db, "vectors"))
        assert len(store.detections(Filter())) == PEOPLE


def test_what_was_being_written_does_not_count(own_db: Path, tmp_path: Path) -> None:
    before = matches(search(own_db, tmp_path))
    for name in ("vectors", "rows", "frames", "paths"):
        with part(own_db, name).open("ab") as file:
            file.write(b"half a row")
    assert matches(search(own_db, tmp_path)) == before


def test_ledger_older_than_the_index(own_db: Path, sample: Path, tmp_path: Path) -> None:
    """As when an older copy of the database was put back, but for the index's folder."""
    before = matches(search(own_db, tmp_path))
    old = shutil.copytree(own_db, tmp_path / "old")
    more = ("ingest", sample, "--camera", "b", "--max-frames", 3, "--tiles", "off")
    assert run(*more, "--db", own_db, cwd=tmp_path).code == 0
    shutil.rmtree(old / "index")
    shutil.copytree(own_db / "index", old / "index")
    assert matches(search(old, tmp_path)) == before
    with open_to_read(old) as store:
        assert isinstance(store, IndexStore)
        assert [str(record.info) for record in store.sources()] == ["pets09-s2l1/pets09-s2l1"]
        assert len(store) == PEOPLE


def test_read_only_database_without_an_index(
    own_db: Path, tmp_path: Path, as_plain_user: tuple[str, ...]
) -> None:
    before = [m[0] for m in matches(search(own_db, tmp_path))]
    read_only = own_db / "index"
    for path in (*read_only.iterdir(), read_only):
        path.chmod(0o555)
    ran = run_apart(*SEARCH, "--db", own_db, cwd=tmp_path, prefix=as_plain_user)
    assert [m[0] for m in matches(ran)] == before  # an index that is there is used
    assert ran.json["exact"] is True
    part(own_db, "vectors").chmod(0o777)
    read_only.chmod(0o777)
    name = part(own_db, "vectors").name
    remove(part(own_db, "vectors"))
    read_only.chmod(0o555)
    ran = run_apart(*SEARCH, "--db", own_db, cwd=tmp_path, prefix=as_plain_user)
    assert [m[0] for m in matches(ran)] == before
    assert ran.json["exact"] is False
    assert f"warning: the exact index cannot be used ({name} is missing)" in ran.err
    read_only.chmod(0o777)


def test_readers_go_on_while_one_writes(own_db: Path, sample: Path, tmp_path: Path) -> None:
    before = matches(search(own_db, tmp_path))
    with open_chroma(own_db) as reading:
        provenance = reading.provenance
    with open_chroma(own_db, provenance) as writer:
        for _ in range(2):
            assert matches(search(own_db, tmp_path)) == before
        ran = run("ingest", sample, "--camera", "b", "--db", own_db, cwd=tmp_path)
        assert ran.code == 1
        assert "another reidsearch is using" in ran.err
        writer.remove(("pets09-s2l1", "pets09-s2l1"), [781])
        with open_to_read(own_db) as store:
            assert not store.detections(Filter(frame=781))
            assert len(store) == len(writer) < PEOPLE


def test_killed_between_the_database_and_its_index(
    own_db: Path, sample: Path, tmp_path: Path
) -> None:
    """Chroma and the index have the rows, and the process ends before the ledger says so."""
    code = f"""
import os
from reidsearch.database.ledger import Ledger
from reidsearch import open_database, open_source, SourceOptions
from pathlib import Path
Ledger.commit = lambda *_: os._exit(9)
open_database({str(own_db)!r}).ingest(
    open_source(Path({str(sample)!r}), SourceOptions(camera="b", max_frames=2))
)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 9, done.stderr
    with open_to_read(own_db) as store:
        assert isinstance(store, IndexStore)
        assert len(store.sources()) == 2
        assert len(store) == PEOPLE
        assert len(store.detections(Filter())) == sum(
            record.detections for record in store.sources()
        )


@pytest.mark.parametrize("step", ["recover", "delete", "purge"])
def test_killed_while_frames_are_removed(
    own_db: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    class Killed(BaseException):
        pass

    def kill(*_: object, **__: object) -> None:
        raise Killed

    with open_chroma(own_db) as reading:
        provenance = reading.provenance
    with open_chroma(own_db, provenance) as writer:
        where = {"recover": ChromaStore, "delete": chromadb.Collection, "purge": Ledger}[step]
        monkeypatch.setattr(where, step, kill)
        with pytest.raises(Killed):
            writer.remove(("pets09-s2l1", "pets09-s2l1"), [1, 21])
    monkeypatch.undo()
    for _ in range(2):
        with open_to_read(own_db) as store:
            assert isinstance(store, IndexStore)
            assert {s.frame for s in store.detections(Filter())} == {*range(41, 782, 20)}
            expected = store.scan(Filter())
    with open_chroma(own_db, provenance) as writer:
        assert writer.scan(Filter()).detections == expected.detections
        assert writer.rows == len(writer) == len(expected)


def test_source_without_people_is_known_to_the_index(own_db: Path, tmp_path: Path) -> None:
    picture = np.full((300, 300, 3), 200, np.uint8)
    (tmp_path / "empty").mkdir()
    cv2.imwrite(str(tmp_path / "empty" / "frame_1.png"), picture)
    ran = run("ingest", tmp_path / "empty", "--db", own_db, "--json", cwd=tmp_path)
    assert (ran.json["frames"], ran.json["detections"]) == (1, 0)
    for _ in range(2):
        with open_to_read(own_db) as store:
            assert isinstance(store, IndexStore)
            assert [record.info.name for record in store.sources()] == ["empty", "pets09-s2l1"]
        shutil.rmtree(own_db / "index")


def test_full_disk_stops_no_ingest(
    own_db: Path, sample: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    footage = open_source(sample, SourceOptions(camera="b", max_frames=2))
    with open_database(own_db).write() as ingest:
        monkeypatch.setattr(index_writer, "extend", fail)
        people = ingest.run(footage).detections
        assert "No space left" in ingest.store.index_problem
        assert len(ingest.store) == PEOPLE + people
    monkeypatch.undo()
    ran = search(own_db, tmp_path)
    assert ran.json["exact"] is True
    assert ran.json["candidates"] > PEOPLE - 3
