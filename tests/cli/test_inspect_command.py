from pathlib import Path

import chromadb
import pytest

from reidsearch.database.layout import SCHEMA
from tests.conftest import assert_refused, run


def test_database(made_db: Path, tmp_path: Path) -> None:
    ran = run("inspect", "--db", made_db, "--json", cwd=tmp_path).json
    assert ran["frames"] == 40
    assert ran["detections"] == ran["sources"][0]["detections"] > 200
    assert ran["cameras"] == ["pets09-s2l1"]
    assert ran["bytes"] == sum(p.stat().st_size for p in made_db.rglob("*") if p.is_file())
    assert ran["models"]["embedder"] == "osnet_ain_x1_0.third"
    assert len(ran["fingerprint"]) == 64
    source = ran["sources"][0]
    assert (source["first_frame"], source["last_frame"]) == (1, 781)
    assert (source["from_s"], source["to_s"]) == (0.0, 78.0)
    table = run("inspect", "--db", made_db, cwd=tmp_path)
    assert table.code == 0
    assert "ssdlite_mobilenet_v2_pedestrian" in table.out
    assert "0:01:18.0" in table.out


def test_sources_are_those_of_the_database(made_db: Path, tmp_path: Path) -> None:
    whole = run("inspect", "--db", made_db, "--json", cwd=tmp_path).json
    assert (
        run("inspect", "sources", "--db", made_db, "--json", cwd=tmp_path).json
        == (whole["sources"])
    )


def test_frame_lists_people_by_falling_score(made_db: Path, tmp_path: Path) -> None:
    ran = run("inspect", "frame", "pets09-s2l1:21", "--db", made_db, "--json", cwd=tmp_path).json
    assert (ran["frame"], ran["time_s"]) == (21, 2.0)
    scores = [person["score"] for person in ran["detections"]]
    assert scores == sorted(scores, reverse=True)
    assert [p["id"].rpartition(":")[2] for p in ran["detections"]] == [
        str(n) for n in range(1, len(scores) + 1)
    ]
    for person in ran["detections"]:
        x1, y1, x2, y2 = person["box_xyxy"]
        assert 0 <= x1 < x2 <= 768
        assert 0 <= y1 < y2 <= 576
        assert y2 - y1 >= 24
        assert person["score"] >= 0.25


def test_crop_in_full(made_db: Path, tmp_path: Path) -> None:
    crop_id = "pets09-s2l1/pets09-s2l1:21:1"
    ran = run("inspect", "crop", crop_id, "--db", made_db, "--json", cwd=tmp_path).json
    assert ran["id"] == crop_id
    assert len(ran["embedding"]) == 512
    assert sum(value**2 for value in ran["embedding"]) == pytest.approx(1, abs=2e-3)
    assert Path(ran["path"]).name == "frame_0021.jpg"
    assert crop_id in run("inspect", "crop", crop_id, "--db", made_db, cwd=tmp_path).out


def test_plain_chromadb_opens_the_collection(own_db: Path) -> None:
    with chromadb.PersistentClient(own_db) as client:
        people = client.get_collection("people", embedding_function=None)
        row = people.get(ids=["pets09-s2l1/pets09-s2l1:21:1"], include=["metadatas", "embeddings"])
    assert set(row["metadatas"][0]) == {
        *("camera", "source", "frame", "time_s", "x1", "y1", "x2", "y2", "score", "path"),
        "crop_hash",
    }
    assert row["metadatas"][0]["frame"] == 21
    assert people.metadata["schema"] == SCHEMA
    assert {"fingerprint", "detector", "detector_sha256", "embedder"} <= set(people.metadata)
    assert people.configuration_json["hnsw"]["space"] == "l2"


@pytest.mark.parametrize(
    ("arguments", "word", "code"),
    [
        pytest.param(("frame", "pets09-s2l1:2"), "frame 2", 1, id="no-such-frame"),
        pytest.param(("crop", "pets09-s2l1/pets09-s2l1:1:99"), "99", 1, id="no-such-crop"),
        pytest.param(("frame",), "address", 2, id="frame-without-address"),
        pytest.param(("sources", "x"), "address", 2, id="sources-with-address"),
        pytest.param(("people",), "people", 2, id="unknown-thing"),
    ],
)
def test_wrong_addresses(
    made_db: Path, tmp_path: Path, arguments: tuple[str, ...], word: str, code: int
) -> None:
    ran = run("inspect", *arguments, "--db", made_db, cwd=tmp_path)
    assert_refused(ran, word, code=code)
