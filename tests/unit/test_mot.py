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
    assert read_mot(write("")) == {}


def test_rows_become_boxes_by_frame(write):
    truth = read_mot(write("2,7,11,21,30,40,1\n1,7,2.5,3,3,4.25\n\n2,9,1,1,5,5,1,-1,-1,-1\n"))
    assert truth.keys() == {1, 2}
    assert truth[1].people == ("7",)
    assert truth[2].people == ("7", "9")
    np.testing.assert_array_equal(truth[1].xyxy, [[1.5, 2, 4.5, 6.25]])
    np.testing.assert_array_equal(truth[2].xyxy, [[10, 20, 40, 60], [0, 0, 5, 5]])
    assert truth[2].xyxy.dtype == np.float32


def test_rows_that_a_tracker_may_leave_out_count_too(write):
    truth = read_mot(write("1,7,0,0,5,5,0\n2,7,0,0,5,5,0\n2,8,0,0,5,5,1\n"))
    assert {frame: found.people for frame, found in truth.items()} == {1: ("7",), 2: ("7", "8")}


def test_person_map_names_tracks_and_leaves_the_others(write):
    person_map = write(json.dumps({"track_to_person": {"7": "Ana", "8": "Ana"}}), "map.json")
    truth = read_mot(write("1,7,0,0,5,5,1\n1,9,0,0,5,5,1\n2,8,0,0,5,5,1\n"), person_map)
    assert truth[1].people == ("Ana", "9")
    assert truth[2].people == ("Ana",)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("frame,id,left,top,width,height\n", id="heading"),
        pytest.param("1 7 0 0 5 5 1\n", id="blanks-for-commas"),
        pytest.param("one,7,0,0,5,5,1\n", id="word-for-frame"),
        pytest.param("1,7,0,0,5,5,1\n2,7,0,0,5\n", id="cut-row"),
    ],
)
def test_other_rows_are_refused(write, text):
    path = write(text)
    with pytest.raises(ReidsearchError, match="not valid MOT ground truth") as caught:
        read_mot(path)
    assert str(path) in str(caught.value)
    assert "frame,id,left,top" in caught.value.hint


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
