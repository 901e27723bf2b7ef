import json

import numpy as np
import pytest

from reidsearch.core.errors import DetectionsError
from reidsearch.core.provenance import DetectionSettings
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
    found = read_boxes(path).find(info, Frame(IMAGE, number, f"/footage/{file}"))
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
    assert find(path, info=make_info(name="friday")) == ([], [])


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        pytest.param("b.xml", "", "not a supported file of boxes", id="ending"),
        pytest.param("b.txt", "", "contains no boxes", id="empty"),
        pytest.param("b.txt", "frame,id,x\n", "cannot be read", id="header"),
        pytest.param("b.txt", "1,1,2,3,0,5,1\n", "without area", id="flat"),
        pytest.param("b.txt", "1,1,nan,3,4,5,1\n", "not a valid box", id="nan"),
        pytest.param("b.json", "{}", "cannot be read", id="no-coco"),
        pytest.param("b.json", "[1]", "cannot be read", id="json-list"),
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


def test_finder_keeps_what_the_settings_keep(tmp_path):
    tall, low, doubtful = "1,-1,1,1,9,30,0.9", "1,-1,50,1,9,20,0.9", "1,-1,90,1,9,30,0.2"
    boxes = read_boxes(write(tmp_path, "det.txt", "\n".join((tall, low, doubtful))))
    find = boxes.finder(INFO, DetectionSettings(0.5, 24, "off"))
    some, none = find([Frame(IMAGE, 1, ""), Frame(IMAGE, 2, "")])
    assert (some.xyxy.tolist(), len(none)) == ([[0, 0, 9, 30]], 0)


def test_finder_of_a_source_without_boxes(tmp_path):
    line = '{"source": "tuesday", "frame": 1, "box_xyxy": [1, 2, 3, 4]}'
    boxes = read_boxes(write(tmp_path, "det.jsonl", line))
    with pytest.raises(DetectionsError, match="no boxes for gate/monday"):
        boxes.finder(INFO, DetectionSettings(0.5, 24, "off"))
