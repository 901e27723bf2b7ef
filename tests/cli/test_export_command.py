import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet
import pytest

from tests.conftest import assert_refused, run

FRAME = ("--frame", "pets09-s2l1:1")


def export(*arguments: object, cwd: Path) -> dict[str, object]:
    ran = run("export", *arguments, "--json", cwd=cwd)
    assert ran.code == 0, ran.err
    return ran.json


def test_embeddings_are_those_that_are_stored(made_db: Path, tmp_path: Path) -> None:
    done = export("embeddings", "--out", "people.parquet", "--db", made_db, cwd=tmp_path)
    table = pyarrow.parquet.read_table(tmp_path / "people.parquet")
    assert done == {"out": "people.parquet", "rows": table.num_rows}
    row = next(row for row in table.to_pylist() if row["id"] == "pets09-s2l1/pets09-s2l1:21:2")
    stored = run("inspect", "crop", row["id"], "--db", made_db, "--json", cwd=tmp_path).json
    assert row["embedding"] == pytest.approx(stored["embedding"])
    assert row["box_xyxy"] == pytest.approx(stored["box_xyxy"])


def test_matches_are_those_that_search_shows(made_db: Path, tmp_path: Path) -> None:
    export("matches", "--out", "matches.jsonl", *FRAME, "--db", made_db, "--top", 5, cwd=tmp_path)
    rows = [json.loads(line) for line in (tmp_path / "matches.jsonl").read_text().splitlines()]
    found = run("search", *FRAME, "--db", made_db, "--top", 5, "--json", cwd=tmp_path).json
    assert rows == found["matches"]


@pytest.mark.parametrize("name", ["det.txt", "coco.json", "boxes.jsonl"])
def test_exported_boxes_make_the_same_database(
    made_db: Path, sample: Path, tmp_path: Path, name: str
) -> None:
    export("detections", "--out", name, "--db", made_db, cwd=tmp_path)
    ran = run("ingest", sample, "--fps", 10, "--detections", name, cwd=tmp_path)
    assert ran.code == 0, ran.err
    again = ("ingest", sample, "--fps", 10)
    assert_refused(run(*again, cwd=tmp_path), "--detections", "now without --detections")
    same = run(*again, "--detections", name, "--json", cwd=tmp_path)
    assert (same.json["frames"], same.json["frames_skipped"]) == (0, 40)

    def rows(db: object, out: str) -> list[dict[str, Any]]:
        export("embeddings", "--out", out, "--db", db, cwd=tmp_path)
        return [json.loads(line) for line in (tmp_path / out).read_text().splitlines()]

    mine, theirs = rows("db", "mine.jsonl"), rows(made_db, "theirs.jsonl")
    assert [row["crop_hash"] for row in mine] == [row["crop_hash"] for row in theirs]
    vectors = (np.array([row["embedding"] for row in some]) for some in (mine, theirs))
    assert np.abs(np.subtract(*vectors)).max() < 1e-3  # batches differ


def test_ground_truth_can_be_ingested(sample: Path, tmp_path: Path) -> None:
    truth = sample / "gt.txt"
    ran = run("ingest", sample, "--detections", truth, "--json", cwd=tmp_path)
    assert ran.code == 0, ran.err
    lines = truth.read_text().splitlines()
    numbers = {int(path.stem.rpartition("_")[2]) for path in sample.glob("*.jpg")}
    assert ran.json["detections"] == sum(int(line.split(",")[0]) in numbers for line in lines)


def test_boxes_of_no_use_are_counted(sample: Path, tmp_path: Path) -> None:
    (tmp_path / "frames").mkdir()
    shutil.copy(sample / "frame_0001.jpg", tmp_path / "frames")
    rows = ("frame,id,left,top,width,height,score", "0,-1,9,9,20,60,0.9", "1,-1,9,9,20,60,0.9")
    rows = (*rows, "1,-1,60,9,20,60,0.3", "1,-1,2000,9,20,60,0.9", "2,-1,9,9,20,60,0.9")
    (tmp_path / "det.csv").write_text("\n".join(rows))
    ingest = ("ingest", "frames", "--detections", "det.csv", "--min-score", 0.5, "--json")
    ran = run(*ingest, cwd=tmp_path)
    assert (ran.code, ran.json["detections"]) == (0, 1)
    said = "2 detections of frames that were not read, 1 detection outside of the picture"
    assert f"left out of det.csv: {said}" in ran.err
    assert "left out" not in run(*ingest, cwd=tmp_path).err  # nothing was read again


def test_boxes_that_do_not_fit(sample: Path, tmp_path: Path) -> None:
    def refused(name: str, text: str, *words: str) -> None:
        (tmp_path / name).write_text(text)
        ran = run("ingest", sample, "--detections", name, cwd=tmp_path)
        assert_refused(ran, name, *words)

    refused("det.txt", "no box here", "cannot be read")
    refused("det.xml", "<x/>", ".jsonl")
    refused("det.jsonl", '{"source": "elsewhere", "frame": 1, "box_xyxy": [1, 2, 3, 4]}', "no box")
    assert_refused(run("ingest", sample, "--detections", "gone.txt", cwd=tmp_path), "No such file")
    assert not (tmp_path / "db").exists()


def test_what_cannot_be_exported(made_db: Path, sample: Path, tmp_path: Path) -> None:
    db = ("--db", made_db)
    assert_refused(
        run("export", "detections", "--out", "x.xlsx", *db, cwd=tmp_path), "x.xlsx", ".parquet"
    )
    assert_refused(
        run("export", "embeddings", "--out", "x.txt", *db, cwd=tmp_path), "x.txt", ".parquet"
    )
    assert_refused(run("export", "detections", "--out", "no/x.csv", *db, cwd=tmp_path), "no folder")
    ran = run("export", "detections", "--out", "x.csv", "--source", "gone", *db, cwd=tmp_path)
    assert_refused(ran, "no source gone")
    assert_refused(
        run("export", "matches", "--out", "x.csv", *db, cwd=tmp_path), "no query was given", code=2
    )
    assert_refused(run("export", "detections", "--out", "x.csv", cwd=tmp_path), "no database")
    for name in ("a", "b"):
        other = ("ingest", sample, "--camera", name, "--max-frames", 1, "--tiles", "off")
        assert run(*other, cwd=tmp_path).code == 0
    ran = run("export", "detections", "--out", "x.txt", cwd=tmp_path)
    assert_refused(ran, "a/pets09-s2l1, b/pets09-s2l1", code=2)
    assert (
        run(
            "export", "detections", "--out", "x.txt", "--source", "a/pets09-s2l1", cwd=tmp_path
        ).code
        == 0
    )
