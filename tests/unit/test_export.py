import csv
import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pyarrow.parquet
import pytest

from reidsearch.core.errors import ReidsearchError
from reidsearch.core.progress import SILENT
from reidsearch.core.text import printable
from reidsearch.core.types import Frame, Match
from reidsearch.footage.box_files import read_boxes
from reidsearch.services.export import export_detections, export_embeddings, export_matches
from reidsearch.services.gallery import Gallery
from reidsearch.services.recording import Recorder
from tests.unit.builders import (
    PROVENANCE,
    make_detection,
    make_frames,
    make_info,
    make_records,
    make_source_record,
)
from tests.unit.memory_store import MemoryStore

INFO = make_info(name='=cmd, and "quotes"\nmore')
DETECTIONS = [make_detection(INFO, 1), make_detection(INFO, 1, person=2), make_detection(INFO, 30)]


def as_gallery(store, folder):
    (folder / "db").mkdir()
    return Gallery(store, SimpleNamespace(calibration=None), Recorder(folder / "db", "", SILENT))


@pytest.fixture
def store():
    filled = MemoryStore(PROVENANCE)
    frames = make_frames(INFO, 1, 2, 30)
    filled.add(make_records(DETECTIONS, (0, 10, 20)), make_source_record(INFO), frames)
    return filled


def read_rows(path):
    """Rows of a table, whatever its format, with numbers as numbers."""
    if path.suffix == ".parquet":
        return pyarrow.parquet.read_table(path).to_pylist()
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in path.read_text().splitlines()]
    rows = []
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            box = [float(row.pop(edge)) for edge in ("x1", "y1", "x2", "y2")]
            vector = [float(row.pop(key)) for key in ("e0", "e1") if key in row]
            numbers = {key: float(row[key]) for key in ("frame", "time_s", "score")}
            rows.append(row | numbers | {"box_xyxy": box, "embedding": vector})
    return rows


@pytest.mark.parametrize("ending", [".csv", ".jsonl", ".parquet"])
def test_tables_hold_everything(store, tmp_path, ending):
    path = tmp_path / f"people{ending}"
    assert export_embeddings(as_gallery(store, tmp_path), store.sources(), path) == 3
    rows = read_rows(path)
    for row, detection in zip(rows, DETECTIONS, strict=True):
        crop_id, name = detection.id, detection.source
        if ending == ".csv":  # a formula, and a second line
            crop_id, name = printable(crop_id), f"'{printable(name)}"
        assert (row["id"], row["source"]) == (crop_id, name)
        assert (row["frame"], row["time_s"]) == (detection.frame, detection.time_s)
        assert row["box_xyxy"] == list(detection.box_xyxy)
    vectors = np.array([row["embedding"] for row in rows])
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=1e-6)
    assert {entry.name for entry in tmp_path.iterdir()} == {path.name, "db"}


@pytest.mark.parametrize("ending", [".csv", ".jsonl", ".parquet"])
def test_matches_with_and_without_probability(tmp_path, ending):
    matches = [Match(1, 0.5, DETECTIONS[0]), Match(2, 0.75, DETECTIONS[1], probability=0.25)]
    path = tmp_path / f"matches{ending}"
    assert export_matches(matches, path) == 2
    text = [str(row["probability"] or "") for row in read_rows(path)]
    assert text == ["", "0.25"]
    assert export_matches([], path) == 0
    assert read_rows(path) == []


@pytest.mark.parametrize("ending", [".txt", ".json", ".jsonl"])
def test_boxes_come_back_as_they_were(store, tmp_path, ending):
    path = tmp_path / f"boxes{ending}"
    assert export_detections(as_gallery(store, tmp_path), store.sources(), path) == 3
    frame = Frame(np.zeros((100, 200, 3), np.uint8), 1, INFO.path)
    found = read_boxes(path).finder(INFO).find(frame)
    assert found.xyxy.tolist() == [[10, 5, 18, 30], [20, 5, 28, 30]]
    assert found.score == pytest.approx([0.9, 0.8])


def test_mot_has_ten_columns_and_counts_from_one(store, tmp_path):
    export_detections(as_gallery(store, tmp_path), store.sources(), tmp_path / "det.txt")
    first = (tmp_path / "det.txt").read_text().splitlines()[0]
    assert first == "1,1,11.00,6.00,8.00,25.00,0.9,-1,-1,-1"


def test_folder_that_cannot_be_written(store, tmp_path):
    with pytest.raises(ReidsearchError, match="cannot write"):
        export_detections(
            as_gallery(store, tmp_path), store.sources(), tmp_path / "gone" / "people.csv"
        )


def test_nothing_is_left_of_an_export_that_fails(store, tmp_path):
    broken = [Match(1, 0.5, DETECTIONS[0]), Match(2, 0.5, replace(DETECTIONS[1], frame="x"))]
    with pytest.raises(Exception, match="x"):
        export_matches(broken, tmp_path / "matches.parquet")
    assert list(tmp_path.iterdir()) == []
