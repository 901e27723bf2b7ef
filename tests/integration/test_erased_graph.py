"""Chroma's graph keeps deleted vectors in files of its own; an erase leaves none there either."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from reidsearch.erase import Erasure, erase
from reidsearch.store.chroma_store import open_chroma
from reidsearch.store.opening import open_to_read
from reidsearch.types import Embeddings, Filter, Records
from tests.unit.builders import PROVENANCE, make_info, make_sighting, make_source_record

DIMENSION = 64
FRAMES = range(1, 3001)


def files_with(db: Path, vector: np.ndarray) -> set[str]:
    needle = vector.astype(np.float16).astype("<f4").tobytes()
    files = (path for path in db.rglob("*") if path.is_file())
    return {path.name for path in files if needle in path.read_bytes()}


def test_graph_forgets_too(tmp_path: Path) -> None:
    info, db = make_info(), tmp_path / "db"
    provenance = replace(PROVENANCE, dimension=DIMENSION)
    vectors = np.random.default_rng(0).normal(size=(len(FRAMES), DIMENSION)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    people = tuple(make_sighting(info, frame) for frame in FRAMES)
    with open_chroma(db, provenance) as store:
        records = Records(people, Embeddings(vectors, provenance.fingerprint))
        store.add(records, make_source_record(info), dict.fromkeys(FRAMES))
    assert "data_level0.bin" in files_with(db, vectors[7])
    with open_to_read(db) as store:
        seen = store.state
    erase(db, seen, Erasure(people[5:10]), {})
    for gone in range(5, 10):
        assert files_with(db, vectors[gone]) == set()
    assert files_with(db, vectors[10])
    with open_chroma(db) as store:
        assert store.sightings(Filter()) == [*people[:5], *people[10:]]
