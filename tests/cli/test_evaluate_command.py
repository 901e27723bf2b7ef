import shutil
from pathlib import Path
from typing import Any

import cv2
import pytest

from reidsearch.core.text import format_percent
from reidsearch.research.datasets import GALLERY, QUERY, TRAIN
from tests.conftest import assert_refused, run
from tests.crops import write_dataset

pytestmark = pytest.mark.networks


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("data") / "square", QUERY, GALLERY)


@pytest.mark.slow
def test_market1501_protocol(dataset: Path, tmp_path: Path) -> None:
    ran = run("evaluate", "market1501", dataset, "--json", "--pictures", "sheets", cwd=tmp_path)
    assert ran.code == 0, ran.err
    plain = ran.json
    ranks = {"rank1", "rank5", "rank10", "rank20"}
    assert set(plain) == {"mAP", *ranks, "queries", "gallery", "answers"}
    precisions = [answer["average_precision"] for answer in plain["answers"]]
    assert sum(precisions) / len(precisions) == pytest.approx(plain["mAP"], abs=1e-6)
    firsts = [answer["right_rank"] == 1 for answer in plain["answers"]]
    assert sum(firsts) / len(firsts) == pytest.approx(plain["rank1"], abs=1e-6)
    assert plain["answers"][0]["query"].endswith("_01.jpg")
    assert 0.5 < plain["mAP"] < plain["rank1"] <= plain["rank5"] <= plain["rank20"] <= 1
    sheets = sorted((tmp_path / "sheets").iterdir())
    assert len(sheets) == plain["queries"] == plain["gallery"]
    assert cv2.imread(str(sheets[0])).shape[1] > 1000
    reranked = run("evaluate", "market1501", dataset, "--json", "--rerank", cwd=tmp_path).json
    assert reranked["mAP"] > plain["mAP"]
    table = run("evaluate", "market1501", dataset, cwd=tmp_path).out
    assert format_percent(plain["mAP"], 1) in table


@pytest.mark.slow
def test_distractors_are_wrong_and_junk_does_not_count(dataset: Path, tmp_path: Path) -> None:
    own = Path(shutil.copytree(dataset, tmp_path / "own"))
    before = run("evaluate", "market1501", own, "--json", cwd=tmp_path).json
    for crop in list((own / GALLERY).iterdir())[:40]:
        shutil.copy(crop, crop.with_name(f"-1{crop.name[4:]}"))
    assert run("evaluate", "market1501", own, "--json", cwd=tmp_path).json == before
    for crop in (own / GALLERY).glob("0001*"):
        shutil.copy(crop, crop.with_name(f"0000{crop.name[4:]}"))
    after = run("evaluate", "market1501", own, "--json", cwd=tmp_path).json
    assert after["gallery"] > before["gallery"]
    assert after["mAP"] < before["mAP"]


def test_pictures_are_not_drawn_over_the_crops(dataset: Path, tmp_path: Path) -> None:
    before = sorted((dataset / QUERY).iterdir())
    for folder in (dataset, dataset / QUERY, dataset / "new"):
        ran = run("evaluate", "market1501", dataset, "--pictures", folder, cwd=tmp_path)
        assert_refused(ran, "--pictures", code=2)
    assert sorted((dataset / QUERY).iterdir()) == before


def test_people_in_training_and_test_are_named(tmp_path: Path) -> None:
    leaky = write_dataset(tmp_path / "leaky", TRAIN, QUERY, GALLERY, people=slice(0, 3))
    ran = run("evaluate", "market1501", leaky, cwd=tmp_path)
    assert "3 identities are in the training folder too: 1, 2, 3" in ran.err


def test_data_sets_that_cannot_be_evaluated(dataset: Path, tmp_path: Path) -> None:
    def refused(folder: Path, *words: str) -> None:
        assert_refused(run("evaluate", "market1501", folder, cwd=tmp_path), *words)

    refused(tmp_path / "gone", "gone", "no such folder")
    no_query = write_dataset(tmp_path / "no-query", GALLERY)
    refused(no_query, "cannot read query", "bounding_box_test")
    (no_query / QUERY).mkdir()
    refused(no_query, "no crops in")
    still = write_dataset(tmp_path / "still", QUERY, GALLERY, cameras=1)
    refused(still, "no query", "another camera")
    broken = Path(shutil.copytree(dataset, tmp_path / "broken"))
    next((broken / QUERY).iterdir()).write_bytes(b"")
    refused(broken, "cannot decode", "_01.jpg")


def test_footage_from_end_to_end(sample: Path, tmp_path: Path) -> None:
    truth = ("--person-map", sample / "person_map.json")
    ran = run("evaluate", "footage", sample, sample / "gt.txt", *truth, "--json", cwd=tmp_path)
    assert ran.code == 0, ran.err
    assert ran.json["frames"] == 40
    # Measured: 230 detections, AP50 0.90, recall 0.90, precision 0.91; mAP 0.88, rank-1 1.0.
    assert ran.json["detections"] == pytest.approx(230, abs=5)
    assert ran.json["detection"]["ap50"] > 0.86
    assert ran.json["detection"]["recall"] > 0.86
    assert ran.json["detection"]["precision"] > 0.87
    assert ran.json["search"]["mAP"] > 0.78
    assert ran.json["search"]["queries"] >= 9
    assert ran.json["left_out"] == {"flag 0": 9}
    answers = [a["ranked"] for a in ran.json["search"]["answers"] if a["ranked"]["right"]]
    assert len(answers) == ran.json["search"]["queries"]
    mean = sum(answer["average_precision"] for answer in answers) / len(answers)
    assert mean == pytest.approx(ran.json["search"]["mAP"], abs=1e-6)


def test_ground_truth_with_classes(sample: Path, tmp_path: Path) -> None:
    (tmp_path / "frames").mkdir()
    shutil.copy(sample / "frame_0001.jpg", tmp_path / "frames")
    evaluate = ("evaluate", "footage", "frames", "gt.txt", "--tiles", "3x2")

    def measure(*kinds: int) -> dict[str, Any]:
        rows = [row.split(",")[:6] for row in (sample / "gt.txt").read_text().splitlines()[:3]]
        people = zip(rows, kinds, strict=True)
        lines = [",".join([*row, str(int(kind == 1)), str(kind), "1"]) for row, kind in people]
        (tmp_path / "gt.txt").write_text("\n".join(lines))
        ran = run(*evaluate, "--json", cwd=tmp_path)
        assert ran.code == 0, ran.err
        return dict(ran.json)

    people, standing, cars = measure(1, 1, 1), measure(1, 1, 7), measure(1, 1, 3)
    assert people["left_out"] == {}
    assert standing["left_out"] == {"static person": 1}
    assert cars["left_out"] == {"car": 1}
    # Who stands still is neither missed nor punished; in place of a car nobody may be found.
    assert standing["detection"]["ignored"] == 1
    assert standing["detection"]["precision"] == people["detection"]["precision"] == 1
    assert cars["detection"]["precision"] == pytest.approx(2 / 3)
    said = run(*evaluate, cwd=tmp_path).err
    assert "left out: car (1)" in said


def test_ground_truth_of_other_footage(sample: Path, tmp_path: Path) -> None:
    (tmp_path / "frames").mkdir()
    shutil.copy(sample / "frame_0001.jpg", tmp_path / "frames")
    (tmp_path / "gt.txt").write_text("1,1,5,5,20,40,1\n")
    evaluate = ("evaluate", "footage", "frames", "gt.txt", "--tiles", "off")
    ran = run(*evaluate, cwd=tmp_path)
    assert ran.code == 0, ran.err
    assert "only 0.0 % of the people" in ran.err
    (tmp_path / "map.json").write_text('{"track_to_person": {"9": "Ana"}}')
    ran = run(*evaluate, "--person-map", "map.json", cwd=tmp_path)
    assert_refused(ran, "map.json names none of the tracks of gt.txt")


def test_precision_of_another_backend(dataset: Path, sample: Path, tmp_path: Path) -> None:
    options = ("--precision", "bf16", "--backend", "reference")
    for arguments in (("footage", sample, sample / "gt.txt"), ("market1501", dataset)):
        ran = run("evaluate", *arguments, *options, cwd=tmp_path)
        assert_refused(ran, "only OpenVINO", "drop --precision", code=2)


def test_ground_truth_that_does_not_fit(sample: Path, tmp_path: Path) -> None:
    def refused(text: str, *words: str) -> None:
        (tmp_path / "gt.txt").write_text(text)
        options = ("--tiles", "off")
        assert_refused(run("evaluate", "footage", sample, "gt.txt", *options, cwd=tmp_path), *words)

    refused("frame;id;x\n", "gt.txt", "line 1", "separated by commas")
    refused("1,-1,0,0,10,20,1\n", "gt.txt", "does not say whom")
    refused("100000,1,0,0,10,20,1\n", "no frame of the footage")
    ran = run("evaluate", "footage", sample, "gone.txt", cwd=tmp_path)
    assert_refused(ran, "gone.txt", "No such file")


def test_nobody_to_search_for(sample: Path, tmp_path: Path) -> None:
    (tmp_path / "frames").mkdir()
    shutil.copy(sample / "frame_0001.jpg", tmp_path / "frames")
    ran = run("evaluate", "footage", "frames", sample / "gt.txt", "--tiles", "off", cwd=tmp_path)
    assert ran.code == 0, ran.err
    assert "not measurable" in ran.out
    assert "nan" not in ran.out
