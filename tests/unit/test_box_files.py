import json

import numpy as np
import pytest

from reidsearch.core.errors import DetectionsError
from reidsearch.core.types import Frame
from reidsearch.footage.box_files import read_boxes
from tests.unit.builders import make_info

INFO = make_info()
IMAGE = np.zeros((100, 200, 3), np.uint8)


def write(tmp_path, name, text):
    path = tmp_path / name
    path.write_text(text)
    return path


def find(path, number=1, file="frame_0001.jpg", info=INFO):
    found = read_boxes(path).finder(info).find(Frame(IMAGE, number, f"/footage/{file}"))
    return found.xyxy.tolist(), found.score.tolist()


def test_mot_counts_from_one(tmp_path):
    path = write(tmp_path, "det.txt", "1,-1,11,21,30,40,0.5,-1,-1,-1\n1,-1,1,1,5,5,0.75,-1,-1,-1\n")
    assert find(path) == ([[0, 0, 5, 5], [10, 20, 40, 60]], [0.75, 0.5])
    assert find(path, number=2) == ([], [])


@pytest.mark.parametrize("row", ["1,7,11,21,30,40", "1,7,11,21,30,40,-1,-1,-1,-1"])
def test_mot_without_a_score(tmp_path, row):
    assert find(write(tmp_path, "gt.csv", row))[1] == [1.0]


def test_boxes_end_where_the_frame_does(tmp_path):
    path = write(tmp_path, "det.txt", "1,-1,-9,81,500,500,0.5")
    assert find(path)[0] == [[0, 80, 200, 100]]


def test_coco_by_number_and_by_file_name(tmp_path):
    document = {
        "categories": [{"id": 3, "name": "Person"}, {"id": 4, "name": "dog"}],
        "images": [{"id": 9, "file_name": "x/frame_0001.jpg"}, {"id": 8, "frame_id": 2}],
        "annotations": [
            {"image_id": 9, "category_id": 3, "bbox": [1, 2, 3, 4], "score": 0.5},
            {"image_id": 9, "category_id": 4, "bbox": [1, 2, 3, 4], "score": 0.5},
            {"image_id": 8, "category_id": 3, "bbox": [5, 5, 5, 5]},
        ],
    }
    path = write(tmp_path, "boxes.json", json.dumps(document))
    assert find(path) == ([[1, 2, 4, 6]], [0.5])
    assert find(path, number=2, file="film.mp4") == ([[5, 5, 10, 10]], [1.0])


def test_lines_may_name_their_source(tmp_path):
    rows = [
        {"source": "monday", "frame": 1, "box_xyxy": [1, 2, 3, 4], "score": 0.5, "more": 1},
        {"source": "tuesday", "frame": 1, "box_xyxy": [5, 6, 7, 8]},
    ]
    path = write(tmp_path, "boxes.jsonl", "\n".join(map(json.dumps, rows)))
    assert find(path) == ([[1, 2, 3, 4]], [0.5])
    assert find(path, info=make_info(name="tuesday")) == ([[5, 6, 7, 8]], [1.0])
    with pytest.raises(DetectionsError, match="no boxes for gate/friday"):
        find(path, info=make_info(name="friday"))


def test_exported_table(tmp_path):
    head = "camera,source,frame,time_s,x1,y1,x2,y2,score"
    path = write(tmp_path, "boxes.csv", f"{head}\ngate,monday,1,0.0,1,2,3,4,0.5\n")
    assert find(path) == ([[1, 2, 3, 4]], [0.5])


def test_mot_with_a_heading(tmp_path):
    path = write(
        tmp_path, "det.csv", "frame,id,bb_left,bb_top,bb_width,bb_height,conf\n1,-1,1,1,5,5,0.5\n"
    )
    assert find(path) == ([[0, 0, 5, 5]], [0.5])


def test_coco_results(tmp_path):
    rows = [
        {"image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4], "score": 0.5},
        {"image_id": 1, "category_id": 3, "bbox": [1, 2, 3, 4], "score": 0.9},
    ]
    assert find(write(tmp_path, "results.json", json.dumps(rows))) == ([[1, 2, 4, 6]], [0.5])


def test_what_is_of_no_use_is_counted(tmp_path):
    rows = ["0,-1,1,1,5,5,0.5", "1,-1,1,1,5,5,0.5", "1,-1,900,1,5,5,0.5", "9,-1,1,1,5,5,0.5"]
    finder = read_boxes(write(tmp_path, "det.txt", "\n".join(rows))).finder(INFO)
    assert len(finder.find(Frame(IMAGE, 1, ""))) == 1
    left_out = finder.describe_left_out()
    assert left_out.endswith(
        "det.txt: 2 detections of frames that were not read, 1 detection outside of the picture"
    )
    for number in (0, 9):
        finder.find(Frame(IMAGE, number, ""))
    assert finder.describe_left_out().endswith("det.txt: 1 detection outside of the picture")
    all_good = read_boxes(write(tmp_path, "good.txt", rows[1])).finder(INFO)
    all_good.find(Frame(IMAGE, 1, ""))
    assert all_good.describe_left_out() == ""


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        pytest.param("b.xml", "", "not a supported file of boxes", id="ending"),
        pytest.param("b.txt", "", "contains no boxes", id="empty"),
        pytest.param("b.txt", "frame,id,x\n", "line 1 is not frame,id,left", id="header"),
        pytest.param("b.txt", "1;1;2;3;4;5;1\n", "separated by commas", id="semicolons"),
        pytest.param("b.csv", "frame,x1,y1,x2,y2\n1,2,3,4\n", "line 2 is not", id="short-row"),
        pytest.param("b.txt", "1,1,2,3,0,5,1\n", "without area", id="flat"),
        pytest.param("b.txt", "1,1,nan,3,4,5,1\n", "line 1 is not", id="nan"),
        pytest.param("b.json", "{}", "cannot be read", id="no-coco"),
        pytest.param("b.json", "[1]", "annotation 1 is not", id="json-list"),
        pytest.param("b.json", "{", "the text is not JSON", id="cut-json"),
        pytest.param("b.jsonl", '{"frame": 1}', "cannot be read", id="no-box"),
        pytest.param("b.jsonl", "nonsense", "cannot be read", id="no-json"),
    ],
)
def test_files_that_are_no_boxes(tmp_path, name, text, words):
    with pytest.raises(DetectionsError, match=words):
        read_boxes(write(tmp_path, name, text))


def test_file_that_is_not_there(tmp_path):
    with pytest.raises(DetectionsError, match="No such file"):
        read_boxes(tmp_path / "gone.txt")


def test_file_that_is_no_text(tmp_path):
    (tmp_path / "det.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DetectionsError, match="not text in UTF-8") as caught:
        read_boxes(tmp_path / "det.txt")
    assert all(word in caught.value.hint for word in (".csv", "COCO", ".jsonl"))


def test_finder_of_a_source_without_boxes(tmp_path):
    line = '{"source": "tuesday", "frame": 1, "box_xyxy": [1, 2, 3, 4]}'
    boxes = read_boxes(write(tmp_path, "det.jsonl", line))
    with pytest.raises(DetectionsError, match="no boxes for gate/monday"):
        boxes.finder(INFO)
