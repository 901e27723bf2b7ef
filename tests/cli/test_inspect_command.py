import shutil
from pathlib import Path

import chromadb
import cv2
import numpy as np
import pytest

from reidsearch.database.layout import SCHEMA
from tests.conftest import BOXES, assert_refused, run


def test_database(made_db: Path, tmp_path: Path) -> None:
    ran = run("inspect", "--db", made_db, "--json", cwd=tmp_path).json
    assert ran["frames"] == 40
    assert ran["detections"] == ran["sources"][0]["detections"] > 200
    assert ran["cameras"] == ["pets09-s2l1"]
    assert ran["bytes"] == sum(p.stat().st_size for p in made_db.rglob("*") if p.is_file())
    assert ran["models"] == {"detector": "boxes from a file", "embedder": "osnet_ain_x1_0.third"}
    assert len(ran["fingerprint"]) == 64
    source = ran["sources"][0]
    assert (source["first_frame"], source["last_frame"]) == (1, 781)
    assert (source["from_s"], source["to_s"]) == (0.0, 78.0)
    table = run("inspect", "--db", made_db, cwd=tmp_path)
    assert table.code == 0
    assert "boxes from a file" in table.out
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


def test_frame_is_drawn_with_numbers(made_db: Path, sample: Path, tmp_path: Path) -> None:
    inspect = ("inspect", "frame", "pets09-s2l1:21", "--db", made_db)
    plain = run(*inspect, cwd=tmp_path)
    ran = run(*inspect, "--sheet", "frame.png", cwd=tmp_path)
    assert (ran.code, ran.out) == (0, plain.out)
    assert "picture: frame.png" in ran.err
    drawn, frame = (cv2.imread(str(p)) for p in (tmp_path / "frame.png", sample / "frame_0021.jpg"))
    scale = drawn.shape[0] / frame.shape[0]
    assert drawn.shape[1] == round(frame.shape[1] * scale) >= 1200
    enlarged = cv2.resize(frame, drawn.shape[1::-1], interpolation=cv2.INTER_LANCZOS4)
    changed = (cv2.absdiff(drawn, enlarged).max(axis=2) > 60).astype(np.uint8)
    for person in run(*inspect, "--json", cwd=tmp_path).json["detections"]:
        x1, y1, x2, _ = (round(scale * edge) for edge in person["box_xyxy"])
        assert changed[y1 : y1 + 3, x1:x2].mean() > 0.5  # the upper edge of its box
    previewed = run(*inspect, "--preview", cwd=tmp_path)
    assert previewed.code == 0, previewed.err
    assert len(previewed.out.splitlines()) > 7 * (len(plain.out.splitlines()) - 1)


def test_frame_that_cannot_be_drawn(own_db: Path, sample: Path, tmp_path: Path) -> None:
    inspect = ("inspect", "frame", "gone:1", "--db", own_db)
    footage = Path(shutil.copytree(sample, tmp_path / "gone"))
    ingest = ("ingest", footage, "--max-frames", 1, "--detections", BOXES, "--db", own_db)
    assert run(*ingest, cwd=tmp_path).code == 0
    shutil.rmtree(footage)
    ran = run(*inspect, "--sheet", "f.png", cwd=tmp_path)
    assert (ran.code, len(ran.out.splitlines())) == (1, 4)  # the answer is not lost
    assert "does not exist any more" in ran.err
    assert "--root DIR" in ran.err
    moved = run(*inspect, "--sheet", "f.png", "--root", sample, cwd=tmp_path)
    assert moved.code == 0, moved.err
    assert_refused(run(*inspect, "--sheet", "f.txt", cwd=tmp_path), "f.txt", ".png")


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
        pytest.param(("sources", "--preview"), "inspect frame", 2, id="preview-of-sources"),
        pytest.param(("people",), "people", 2, id="unknown-thing"),
    ],
)
def test_wrong_addresses(
    made_db: Path, tmp_path: Path, arguments: tuple[str, ...], word: str, code: int
) -> None:
    ran = run("inspect", *arguments, "--db", made_db, cwd=tmp_path)
    assert_refused(ran, word, code=code)
