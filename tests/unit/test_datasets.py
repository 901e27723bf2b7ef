import pytest

from reidsearch.core.errors import DatasetError
from reidsearch.research.datasets import GALLERY, QUERY, TRAIN, read_crops


def write(folder, *names):
    folder.mkdir(parents=True)
    for name in names:
        (folder / name).write_bytes(b"")


def test_names_say_who_and_which_camera(tmp_path):
    write(tmp_path / GALLERY, "0007_c3s1_000001_00.jpg", "0000_c1s1_2.png", "1501_c12s3_1.JPG")
    crops = read_crops(tmp_path, GALLERY)
    assert [path.name for path in crops.paths] == sorted(
        p.name for p in (tmp_path / GALLERY).iterdir()
    )
    assert crops.pids.tolist() == [0, 7, 1501]
    assert crops.camids.tolist() == [1, 3, 12]


def test_junk_and_other_files_are_left_out(tmp_path):
    write(tmp_path / GALLERY, "-1_c1s1_000001_00.jpg", "0002_c1s1_000001_00.jpg", "Thumbs.db")
    assert read_crops(tmp_path, GALLERY).pids.tolist() == [2]


def test_rows_are_chosen_together(tmp_path):
    write(tmp_path / QUERY, "0001_c1_1.jpg", "0002_c2_1.jpg", "0003_c3_1.jpg")
    crops = read_crops(tmp_path, QUERY)
    chosen = crops[crops.pids != 2]
    assert [path.name[:4] for path in chosen.paths] == ["0001", "0003"]
    assert chosen.camids.tolist() == [1, 3]


def test_other_layouts_say_what_is_there(tmp_path):
    (tmp_path / "train").mkdir()
    with pytest.raises(DatasetError, match="cannot read bounding_box_train") as caught:
        read_crops(tmp_path, TRAIN)
    assert "found train" in caught.value.hint
    with pytest.raises(DatasetError) as caught:
        read_crops(tmp_path / "none", TRAIN)
    assert "no such folder" in caught.value.hint


@pytest.mark.parametrize("name", ["person.jpg", "c1_0001.jpg", "-2_c1s1_1.jpg"])
def test_name_that_says_nothing_is_refused(tmp_path, name):
    write(tmp_path / TRAIN, "0001_c1s1_1.jpg", name)
    with pytest.raises(DatasetError, match=f"{name} does not say"):
        read_crops(tmp_path, TRAIN)


def test_part_without_crops_is_refused(tmp_path):
    write(tmp_path / QUERY, "notes.txt")
    with pytest.raises(DatasetError, match="no crops"):
        read_crops(tmp_path, QUERY)
