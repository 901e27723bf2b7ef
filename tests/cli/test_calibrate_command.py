import tomllib
from pathlib import Path

import pytest
import tomli_w

from reidsearch.models.catalog import default_embedder, find_embedder
from tests.conftest import assert_refused, run

pytestmark = pytest.mark.networks


def test_on_footage_and_into_a_card(sample: Path, made_db: Path, tmp_path: Path) -> None:
    calibrate = ("evaluate", "calibrate", sample, "--truth", sample / "gt.txt")
    calibrate = (*calibrate, "--person-map", sample / "person_map.json", "--apart", 1)
    ran = run(*calibrate, "--prior", 0.1, "--save", "card.toml", "--json", cwd=tmp_path)
    assert ran.code == 0, ran.err
    fitted = ran.json
    assert (fitted["data"], fitted["prior"]) == ("pets09-s2l1", 0.1)
    assert (fitted["people"], fitted["every"]) == (10, 1)
    assert "10 people only" in ran.err
    assert 0.5 < fitted["likely_distance"] < 1.2
    assert sum(level["pairs"] for level in fitted["curve"]) == pytest.approx(1)
    card = tomllib.loads((tmp_path / "card.toml").read_text())["embedder"]
    assert card["calibration"]["slope"] == fitted["slope"]

    # The card is the built-in network's: the database takes it, and search uses what it says.
    search = ("search", "--frame", "pets09-s2l1:1", "--by", "frame", "--top", 300)
    search = (*search, "--db", made_db, "--json")
    own = run(*search, cwd=tmp_path).json
    other = run(*search, "--embedder", "card.toml", cwd=tmp_path).json
    assert [m["id"] for m in own["matches"]] == [m["id"] for m in other["matches"]]
    assert own["likely"] != other["likely"]
    for match in other["matches"]:
        assert (match["probability"] >= 0.5) == (match["distance"] <= fitted["likely_distance"])

    # It can be written again, and what else it says stays.
    with (tmp_path / "card.toml").open("a") as file:
        file.write('\n[training]\nwhen = "long ago"\n')
    again = run(
        *(*calibrate, "--embedder", "card.toml", "--save", "card.toml", "--every", 2), cwd=tmp_path
    )
    assert again.code == 0, again.err
    assert "had a calibration, which this one replaces" in again.err
    assert f"error {fitted['error']}" in again.err
    assert "every              2" in again.out
    document = tomllib.loads((tmp_path / "card.toml").read_text())
    assert document["training"] == {"when": "long ago"}
    assert document["embedder"]["calibration"]["prior"] == pytest.approx(0.05)


@pytest.mark.slow
def test_the_built_in_calibration_is_what_the_command_finds(market: Path, tmp_path: Path) -> None:
    ran = run("evaluate", "calibrate", market, market.with_name("pku"), "--json", cwd=tmp_path)
    assert ran.code == 0, ran.err
    shipped = find_embedder(default_embedder()).calibration
    assert shipped is not None
    assert ran.json["likely_distance"] == pytest.approx(shipped.likely_distance, abs=0.01)
    assert ran.json["error"] == pytest.approx(shipped.error, abs=0.01)


def test_search_says_when_nobody_is_likely(made_db: Path, tmp_path: Path) -> None:
    sky = tmp_path / "sky.png"
    import cv2
    import numpy as np

    cv2.imwrite(str(sky), np.full((128, 64, 3), (250, 120, 30), np.uint8))
    ran = run("search", sky, "--db", made_db, cwd=tmp_path)
    assert ran.code == 0, ran.err
    assert "no likely match" in ran.err
    assert "probability" in ran.out
    document = run("search", sky, "--db", made_db, "--json", cwd=tmp_path).json
    assert document["likely"] == 0
    assert all(match["probability"] < 0.5 for match in document["matches"])


def test_card_without_calibration_has_no_probability(made_db: Path, tmp_path: Path) -> None:
    weights = Path(__file__).parents[2] / "models" / find_embedder(default_embedder()).files[0].name
    spec = f"{default_embedder()}={weights}"
    ran = run("evaluate", "calibrate", "nowhere", "--embedder", spec, cwd=tmp_path)
    assert_refused(ran, "nowhere")
    card = tmp_path / "bare.toml"
    fields = {"architecture": "osnet_ain_x1_0", "dimension": 512, "input_hw": [128, 64]}
    known = find_embedder(default_embedder())
    file = {"name": str(weights), "sha256": known.sha256, "bytes": known.bytes}
    card.write_text(tomli_w.dumps({"embedder": {**fields, "files": [file]}}))
    search = ("search", "--frame", "pets09-s2l1:1", "--db", made_db, "--embedder", card)
    document = run(*search, "--json", cwd=tmp_path).json
    assert document["likely"] is None
    assert document["matches"][0]["probability"] is None
    table = run(*search, cwd=tmp_path)
    assert "probability" not in table.out
    assert "no likely" not in table.err


def test_ways_to_go_wrong(sample: Path, tmp_path: Path) -> None:
    calibrate = ("evaluate", "calibrate", sample)
    assert_refused(run(*calibrate, cwd=tmp_path), "Market-1501", "calibrate SOURCE --truth GT")
    assert_refused(run(*calibrate, "--every", 2, cwd=tmp_path), "ground truth", code=2)
    ran = run(*calibrate, sample, "--truth", sample / "gt.txt", cwd=tmp_path)
    assert_refused(ran, "one source", code=2)
    truth = (*calibrate, "--truth", sample / "gt.txt")
    assert_refused(run(*truth, "--save", "card.txt", cwd=tmp_path), ".toml")
    (tmp_path / "other.toml").write_text('[[embedder.files]]\nsha256 = "0"\n')
    ran = run(*truth, "--apart", 1, "--save", "other.toml", cwd=tmp_path)
    assert_refused(ran, "other.toml", "another model")
    (tmp_path / "other.txt").write_text("5000,1,5,5,20,40,1\n")
    assert_refused(run(*calibrate, "--truth", "other.txt", cwd=tmp_path), "nobody in the frames")
    ran = run(*truth, "--apart", 100000, "--every", 4, cwd=tmp_path)
    assert_refused(ran, "seen twice", "--apart")
