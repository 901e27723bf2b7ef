"""Chroma's graph has more in its files than the graph; after an erase nothing of it is left."""

import os
import platform
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from reidsearch import open_database
from reidsearch.core.errors import StoreError
from reidsearch.core.types import Embeddings, Filter, Records, StoredDetection
from reidsearch.database.chroma_store import open_chroma
from reidsearch.database.opening import open_to_read
from reidsearch.services.erase import Erasure
from tests.unit.builders import (
    PROVENANCE,
    make_detection,
    make_frames,
    make_info,
    make_source_record,
)

DIMENSION = 64
PEOPLE = 3000  # so many that the graph is written
FILLING = 0x55  # makes glibc fill what it is freed with this, and what it gives with the rest
GARBAGE = bytes([0xFF - FILLING]) * 64


@pytest.fixture
def vectors() -> np.ndarray:
    vectors = np.random.default_rng(0).normal(size=(PEOPLE, DIMENSION)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors.astype(np.float16).astype(np.float32)


@pytest.fixture
def people(
    request: pytest.FixtureRequest, tmp_path: Path, vectors: np.ndarray
) -> tuple[StoredDetection, ...]:
    """Those of a database, one in each frame."""
    count = getattr(request, "param", PEOPLE)
    info, provenance = make_info(), replace(PROVENANCE, dimension=DIMENSION)
    people = tuple(make_detection(info, frame) for frame in range(1, count + 1))
    with open_chroma(tmp_path / "db", provenance) as store:
        records = Records(people, Embeddings(vectors[:count], provenance.fingerprint))
        store.add(records, make_source_record(info), make_frames(info, *range(1, count + 1)))
    return people


def files_with(db: Path, needle: bytes) -> set[str]:
    files = (path for path in db.rglob("*") if path.is_file())
    return {path.name for path in files if needle in path.read_bytes()}


def erase_first(db: Path) -> None:
    with open_to_read(db) as store:
        seen, people = store.state, store.detections(Filter(frame=1))
    open_database(db).erase(Erasure(people, seen))


def test_graph_forgets_too(
    tmp_path: Path, people: tuple[StoredDetection, ...], vectors: np.ndarray
) -> None:
    db = tmp_path / "db"
    assert "data_level0.bin" in files_with(db, vectors[7].tobytes())
    with open_to_read(db) as store:
        seen = store.state
    open_database(db).erase(Erasure(people[5:10], seen))
    for gone in vectors[5:10]:
        assert files_with(db, gone.tobytes()) == set()
    assert "data_level0.bin" in files_with(db, vectors[10].tobytes())
    with open_chroma(db) as store:
        assert store.detections(Filter()) == [*people[:5], *people[10:]]
        assert next(store.nearest(vectors[10:11], Filter())).detection == people[10]


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc fills memory")
@pytest.mark.parametrize(
    ("people", "written"),
    [(30, "data_level0.bin"), pytest.param(PEOPLE, "length.bin", marks=pytest.mark.slow)],
    indirect=["people"],
)
@pytest.mark.usefixtures("people")
def test_memory_is_not_written(tmp_path: Path, written: str) -> None:
    db, variables = tmp_path / "db", os.environ | {"MALLOC_PERTURB_": str(FILLING)}
    call = "from pathlib import Path; from tests.integration.test_erased_graph import *; "
    unwiped = "from reidsearch.database import swap; swap.wipe_unused = lambda _folder: None; "

    def erase_after(preparation: str) -> set[str]:
        command = [sys.executable, "-c", f"{call}{preparation}erase_first(Path({str(db)!r}))"]
        subprocess.run(command, check=True, env=variables)
        return files_with(db, GARBAGE)

    assert written in erase_after(unwiped)
    assert erase_after("") == set()


@pytest.mark.usefixtures("people")
def test_graph_of_another_chroma(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from reidsearch.database import graph_files

    monkeypatch.setattr(graph_files, "_VERSION", 2)
    with pytest.raises(StoreError, match="has an unknown format"):
        erase_first(tmp_path / "db")
    assert not (tmp_path / "db" / ".rebuilding").exists()
