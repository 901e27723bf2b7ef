"""What works without the packages of the extras, and what says that it needs them."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from reidsearch.core import extras
from reidsearch.core.errors import ModelError
from reidsearch.models.catalog import default_embedder, find_embedder
from reidsearch.models.embedders import load_embedder
from reidsearch.models.weights import weights_path
from tests.conftest import BOXES, INGEST, SAMPLE, assert_refused, run, run_apart
from tests.contract.test_embedders import people

pytestmark = pytest.mark.networks
EXTRAS = {*extras.REFERENCE, *extras.TRAIN, *extras.PARQUET}
BLOCK = f"import sys\nsys.modules.update(dict.fromkeys({sorted(EXTRAS)}))\n"
"""Importing them fails, as where they are not installed."""


@pytest.fixture
def light(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in EXTRAS:
        monkeypatch.setitem(sys.modules, name, None)


def test_ingest_and_search_need_none_of_them(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(BLOCK)
    path = {"PYTHONPATH": str(tmp_path)}
    ran = run_apart("ingest", SAMPLE, "--max-frames", 2, "--json", cwd=tmp_path, **path)
    assert (ran.code, ran.json["frames"]) == (0, 2), ran.err
    frame = SAMPLE / "frame_0021.jpg"
    box = BOXES.read_text().splitlines()[0].split(",")[2:6]
    x, y, width, height = map(float, box)
    edges = f"{x},{y},{x + width},{y + height}"
    search = ("search", frame, "--box", edges, "--by", "frame", "--json")
    ran = run_apart(*search, cwd=tmp_path, **path)
    assert (ran.code, len(ran.json["matches"])) == (0, 2), ran.err
    ran = run_apart("doctor", "--json", cwd=tmp_path, **path)
    assert ran.code == 0, ran.out


@pytest.mark.usefixtures("light")
def test_what_needs_more_says_what(made_db: Path, tmp_path: Path) -> None:
    weights = weights_path(find_embedder(default_embedder()))
    another = tmp_path / "another.pt"
    another.write_bytes(weights.read_bytes() + b"\0")
    reference = 'pip install "reidsearch[reference]"'
    for command, words in (
        ((*INGEST, "--backend", "reference"), ("torch", reference)),
        ((*INGEST, "--embedder", f"osnet_ain_x1_0={another}"), ("torch", reference)),
        (("train", tmp_path, "--out", "run"), ("matplotlib", 'pip install "reidsearch[train]"')),
        (
            ("export", "detections", "--db", made_db, "--out", "a.parquet"),
            ("pyarrow", 'pip install "reidsearch[parquet]"'),
        ),
    ):
        assert_refused(run(*command, cwd=tmp_path), "not installed", *words)
    listed = run("models", "list", cwd=tmp_path)
    assert (listed.code, "torch, torchreid" in listed.out) == (0, True)


@pytest.mark.usefixtures("light")
def test_doctor_says_what_the_database_cannot_do_without(
    own_db: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    card = find_embedder(default_embedder())
    bare = replace(card, exported=None)
    monkeypatch.setattr("reidsearch.database.doctor.find_embedder", lambda _name: bare)
    ran = run("doctor", "--db", own_db, "--json", cwd=tmp_path)
    found = {finding["check"]: finding for finding in ran.json["findings"]}
    assert (found["embedder"]["state"], "torch" in found["embedder"]["found"]) == ("warning", True)
    assert found["embedder"]["remedy"] == 'pip install "reidsearch[reference]"'


def test_what_is_shipped_is_what_torch_computes(sample: Path) -> None:
    card = find_embedder(default_embedder())
    crops = people(sample, 1) + people(sample, 21)
    shipped, torch = (
        load_embedder(card, backend).embed(crops).vectors for backend in ("auto", "reference")
    )
    assert (shipped * torch).sum(axis=1).min() > 0.999


def test_same_weights_under_another_name_take_what_is_shipped(tmp_path: Path) -> None:
    card = find_embedder(default_embedder())
    again = find_embedder(f"{card.name}={weights_path(card)}")
    assert (again.exported, again.fingerprint) == (card.exported, card.fingerprint)
    other = tmp_path / "other.pt"
    other.write_bytes(b"other weights")
    assert find_embedder(f"{card.name}={other}").exported is None


def test_shipped_network_that_is_damaged() -> None:
    card = find_embedder(default_embedder())
    assert card.exported is not None
    card = replace(card, exported=replace(card.exported, sha256="0" * 64))
    with pytest.raises(ModelError, match="damaged"):
        load_embedder(card)


def test_both_files_of_an_openvino_network_are_in_its_fingerprint(tmp_path: Path) -> None:
    (tmp_path / "net.bin").write_bytes(b"weights")
    described = tmp_path / "net.xml"
    prints = set()
    for text in ("<net/>", "<net></net>"):
        described.write_text(text)
        prints.add(
            find_embedder(f"person-reidentification-retail-0265={tmp_path}/net.bin").fingerprint
        )
    assert len(prints) == 2
