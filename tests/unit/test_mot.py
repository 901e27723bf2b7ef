import json

import numpy as np
import pytest

from reidsearch.core.errors import ReidsearchError
from reidsearch.research.mot import read_mot


@pytest.fixture
def write(tmp_path):
    def write(text, name="gt.txt"):
        path = tmp_path / name
        path.write_text(text, "utf-8")
        return path

    return write


def test_empty_file_has_no_frames(write):
    assert read_mot(write("")).frames == {}


def test_rows_become_boxes_by_frame(write):
    text = "2,7,11,21,30,40,1\n1,7,2.5,3,3,4.25\n\n2,9,1,1,5,5,1,-1,-1,-1\n"
    truth = read_mot(write(text)).frames
    assert truth.keys() == {1, 2}
    assert truth[1].people == ("7",)
    assert truth[2].people == ("7", "9")
    np.testing.assert_array_equal(truth[1].xyxy, [[1.5, 2, 4.5, 6.25]])
    np.testing.assert_array_equal(truth[2].xyxy, [[10, 20, 40, 60], [0, 0, 5, 5]])
    assert truth[2].xyxy.dtype == np.float32


def test_rows_with_flag_0_do_not_count(write):
    truth = read_mot(write("1,7,0,0,5,5,0\n2,7,0,0,5,5,0,1,2,3\n2,8,0,0,5,5,1\n"))
    assert {n: found.people for n, found in truth.frames.items()} == {1: (), 2: ("8",)}
    assert truth.left_out == {"flag 0": 2}


def test_only_pedestrians_count_where_there_are_classes(write):
    rows = [f"1,{kind},{10 * kind},1,5,5,{int(kind == 1)},{kind},1" for kind in range(1, 15)]
    truth = read_mot(write("\n".join([*rows, "1,20,1,1,5,5,0,1,1"])))
    found = truth.frames[1]
    assert found.people == ("1",)
    assert (found.distractors_xyxy[:, 0] + 1).tolist() == [20, 60, 70, 80, 120]
    assert sum(truth.left_out.values()) == 14
    assert truth.left_out["static person"] == truth.left_out["flag 0"] == 1
    assert truth.left_out["class 14"] == 1


def test_person_map_names_tracks_and_leaves_the_others(write):
    person_map = write(json.dumps({"track_to_person": {"7": "Ana", "8": "Ana"}}), "map.json")
    truth = read_mot(write("1,7,0,0,5,5,1\n1,9,0,0,5,5,1\n2,8,0,0,5,5,1\n"), person_map).frames
    assert truth[1].people == ("Ana", "9")
    assert truth[2].people == ("Ana",)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("frame,person,x\n", id="other-heading"),
        pytest.param("1;7;0;0;5;5;1\n", id="semicolons"),
        pytest.param("1,7,0,0,inf,5,1\n", id="endless"),
        pytest.param("1 7 0 0 5 5 1\n", id="blanks-for-commas"),
        pytest.param("one,7,0,0,5,5,1\n", id="word-for-frame"),
        pytest.param("1,7,0,0,5,5,1\n2,7,0,0,5\n", id="cut-row"),
    ],
)
def test_other_rows_are_refused(write, text):
    path = write(text)
    with pytest.raises(
        ReidsearchError, match=r"cannot be read: line \d is not frame,id,left,top"
    ) as caught:
        read_mot(path)
    assert str(path) in str(caught.value)
    assert ".jsonl" in caught.value.hint


def test_heading_is_passed_over(write):
    assert read_mot(write("Frame,ID,x,y,w,h\n3,7,1,1,5,5\n")).frames.keys() == {3}


def test_boxes_of_nobody_are_no_ground_truth(write):
    with pytest.raises(ReidsearchError, match="does not say whom"):
        read_mot(write("1,-1,0,0,5,5,0.9,-1,-1,-1\n"))


def test_person_map_of_other_footage_is_refused(write):
    person_map = write('{"track_to_person": {"70": "Ana"}}', "map.json")
    with pytest.raises(ReidsearchError, match="names none of the tracks") as caught:
        read_mot(write("1,7,0,0,5,5,1\n"), person_map)
    assert "7" in caught.value.hint


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param("{}", id="no-tracks"),
        pytest.param("[]", id="list"),
        pytest.param('{"track_to_person": []}', id="list-of-tracks"),
    ],
)
def test_other_person_map_is_refused(write, text):
    person_map = write(text, "map.json")
    with pytest.raises(ReidsearchError, match="not a valid person map") as caught:
        read_mot(write("1,7,0,0,5,5,1\n"), person_map)
    assert str(person_map) in str(caught.value)
    assert "track_to_person" in caught.value.hint


def test_missing_files_are_named(write, tmp_path):
    with pytest.raises(ReidsearchError, match=r"cannot read .*none\.txt"):
        read_mot(tmp_path / "none.txt")
    with pytest.raises(ReidsearchError, match=r"cannot read .*map\.json"):
        read_mot(write("1,7,0,0,5,5,1\n"), tmp_path / "map.json")
