import json
import shutil
import signal
import subprocess
import time
import tomllib
from pathlib import Path

import numpy as np
import pytest
import torch

from reidsearch.models.catalog import default_embedder, find_embedder
from reidsearch.models.embedders.state_dict import read_state_dict
from reidsearch.models.weights import weights_path
from reidsearch.research.datasets import GALLERY, QUERY, TRAIN
from tests.conftest import COMMAND, assert_refused, run, run_apart
from tests.crops import write_dataset

SMALL = ("--arch", "osnet_x0_25", "--size", "64x32", "--batch", "4x4", "--lr", "0.002")


@pytest.fixture(scope="session")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seven people to train on; three others to be tested with."""
    folder = tmp_path_factory.mktemp("data") / "square"
    write_dataset(folder, TRAIN, people=slice(0, 7))
    return write_dataset(folder, QUERY, GALLERY, people=slice(7, 10))


def read_log(folder: Path) -> list[dict[str, float]]:
    return list(json.loads((folder / "log.json").read_text())["epochs"])


@pytest.mark.slow
def test_trains_evaluates_and_leaves_a_card(dataset: Path, tmp_path: Path, sample: Path) -> None:
    ran = run(
        *("train", dataset, "--out", "run", "--epochs", 3, "--evaluate-every", 2, *SMALL),
        cwd=tmp_path,
    )
    assert ran.code == 0, ran.err
    log = read_log(tmp_path / "run")
    assert log[-1]["loss"] < log[0]["loss"]
    assert [bool(entry["quality"]) for entry in log] == [False, True, True]
    assert "square rank-1" in ran.err
    assert (tmp_path / "run" / "curves.png").read_bytes().startswith(b"\x89PNG")
    card = tomllib.loads((tmp_path / "run" / "card.toml").read_text())
    assert card["embedder"]["input_hw"] == [64, 32]
    assert card["training"]["datasets"]["square"]["identities"] == 7
    frames = ("ingest", sample, "--max-frames", 1, "--tiles", "off")
    ran = run(*frames, "--embedder", "run/card.toml", cwd=tmp_path)
    assert ran.code == 0, ran.err
    assert "card.toml" in run("inspect", cwd=tmp_path).out


@pytest.mark.slow
def test_killed_training_goes_on_as_if_nothing_had_been(dataset: Path, tmp_path: Path) -> None:
    arguments = ("train", dataset, "--epochs", 3, *SMALL)
    assert run(*arguments, "--out", "whole", cwd=tmp_path).code == 0
    command = [COMMAND, *map(str, arguments), "--out", "cut"]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.DEVNULL) as training:
        while not (tmp_path / "cut" / "checkpoint.pt").exists():
            assert training.poll() is None
            time.sleep(0.05)
        training.send_signal(signal.SIGKILL)
    cut_run = (*arguments, "--out", "cut")
    assert_refused(run(*cut_run, cwd=tmp_path), "holds a run", "--resume")
    ran = run(*cut_run, "--resume", cwd=tmp_path)
    assert ran.code == 0, ran.err
    assert "epoch 1:" not in ran.err
    whole, cut = read_log(tmp_path / "whole"), read_log(tmp_path / "cut")
    for name in ("epoch", "lr"):
        assert [entry[name] for entry in cut] == [entry[name] for entry in whole]
    losses = [[entry["loss"] for entry in log] for log in (cut, whole)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)


@pytest.mark.slow
def test_learns_from_a_teacher_and_from_weights(dataset: Path, tmp_path: Path) -> None:
    ran = run(
        *("train", dataset, "--out", "run", "--epochs", 1, *SMALL),
        *("--arch", "osnet_ain_x1_0", "--from", "osnet_ain_x1_0.third"),
        *("--teacher", "osnet_ain_x1_0.third", "--lr", "1e-9"),
        cwd=tmp_path,
    )
    assert ran.code == 0, ran.err
    begun = read_state_dict(weights_path(find_embedder("osnet_ain_x1_0.third")))
    ended = read_state_dict(tmp_path / "run" / "weights.pt")
    for name in ("conv1.conv.weight", "conv5.conv.weight"):  # as it began, at such a rate
        torch.testing.assert_close(ended[name], begun[name].float(), atol=1e-5, rtol=0)
    (taught,) = (tmp_path / "run").glob("teacher-*.npy")
    assert np.load(taught).shape[1] == 512
    arguments = ("train", dataset, "--out", "other", "--epochs", 1, *SMALL)
    for start in ("osnet_ain_x1_0.third", tmp_path / "run" / "weights.pt"):
        ran = run(*arguments, "--from", start, cwd=tmp_path)
        assert_refused(ran, "another architecture")
    assert_refused(run(*arguments, "--from", "gone.pt", cwd=tmp_path), "gone.pt")


@pytest.mark.slow
def test_teacher_has_a_say(dataset: Path, tmp_path: Path) -> None:
    arguments = ("train", dataset, "--epochs", 1, *SMALL)
    alone = run(*arguments, "--out", "alone", cwd=tmp_path)
    teacher = ("--teacher", default_embedder())
    taught = run(*arguments, "--out", "taught", *teacher, cwd=tmp_path)
    assert (alone.code, taught.code) == (0, 0), taught.err
    losses = [read_log(tmp_path / name)[0]["loss"] for name in ("alone", "taught")]
    assert losses[1] > losses[0] + 1


def test_teacher_that_is_not_here_is_said_before_crops_are_decoded(
    dataset: Path, tmp_path: Path
) -> None:
    teacher = ("--teacher", "osnet_ain_x1_0.ms_d_c")
    ran = run("train", dataset, "--out", "run", *SMALL, *teacher, cwd=tmp_path)
    assert_refused(ran, "models download osnet_ain_x1_0.ms_d_c")
    assert not list((tmp_path / "run").glob("crops-*"))


def test_data_set_of_distractors_only(dataset: Path, tmp_path: Path) -> None:
    for path in (dataset / TRAIN).glob("*.jpg"):
        (tmp_path / "nobody" / TRAIN).mkdir(parents=True, exist_ok=True)
        name = f"0000{path.name[4:]}"
        shutil.copy(path, tmp_path / "nobody" / TRAIN / name)
    ran = run("train", "nobody", "--out", "run", *SMALL, cwd=tmp_path)
    assert_refused(ran, "names nobody", "0000")


@pytest.mark.slow
def test_other_options_do_not_go_on_with_a_run(dataset: Path, tmp_path: Path) -> None:
    arguments = ("train", dataset, "--out", "run", *SMALL)
    assert run(*arguments, "--epochs", 1, cwd=tmp_path).code == 0
    ran = run(*arguments, "--epochs", 2, "--resume", cwd=tmp_path)
    assert_refused(ran, "begun with another --epochs", "1, not 2")
    (tmp_path / "more").mkdir()
    write_dataset(tmp_path / "more" / "square", TRAIN, people=slice(0, 6))
    ran = run("train", "more/square", "--out", "run", *SMALL, "--resume", cwd=tmp_path)
    assert_refused(ran, "other data sets")


def test_loss_that_is_no_number_stops(dataset: Path, tmp_path: Path) -> None:
    ran = run("train", dataset, "--out", "run", *SMALL, "--lr", "1e30", cwd=tmp_path)
    assert_refused(ran, "the loss became", "--lr", "another --out")


def test_damaged_checkpoint_is_said(dataset: Path, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "checkpoint.pt").write_text("no checkpoint")
    ran = run("train", dataset, "--out", "run", *SMALL, "--resume", cwd=tmp_path)
    assert_refused(ran, "damaged")


def test_input_that_the_network_does_not_take(dataset: Path, tmp_path: Path) -> None:
    ran = run("train", dataset, "--out", "run", *SMALL, "--size", "8x8", cwd=tmp_path)
    assert_refused(ran, "does not take crops of 8x8", "--size")


@pytest.mark.slow
def test_full_disk_stops_and_keeps_the_checkpoint(dataset: Path, tmp_path: Path) -> None:
    arguments = ("train", dataset, "--out", "run", "--epochs", 2, *SMALL)
    small = ("bash", "-c", 'ulimit -f 1100; exec "$@"', "-")  # kB: the crops fit, no checkpoint
    assert_refused(run_apart(*arguments, cwd=tmp_path, prefix=small), "cannot write the checkpoint")
    assert not (tmp_path / "run" / "checkpoint.pt").exists()
    assert run(*arguments, cwd=tmp_path).code == 0


@pytest.mark.slow
def test_same_people_trained_on_and_tested_are_named(dataset: Path, tmp_path: Path) -> None:
    leaky = write_dataset(tmp_path / "leaky", TRAIN, QUERY, GALLERY, people=slice(0, 4))
    ran = run("train", leaky, "--out", "run", "--epochs", 1, *SMALL, cwd=tmp_path)
    assert "4 identities of leaky are both trained on and tested: 1, 2, 3, 4" in ran.err


def test_data_that_teach_nothing(dataset: Path, tmp_path: Path) -> None:
    def refused(folder: Path, *words: str) -> None:
        ran = run("train", dataset, folder, "--out", "run", *SMALL, cwd=tmp_path)
        assert_refused(ran, *words)

    refused(tmp_path / "gone", "gone", "no such folder")
    refused(write_dataset(tmp_path / "still", TRAIN, cameras=1), "still", "one camera")
    broken = write_dataset(tmp_path / "broken", TRAIN, people=slice(0, 2))
    next((broken / TRAIN).iterdir()).write_text("no picture")
    refused(broken, "cannot decode", "_01.jpg")
    square = write_dataset(tmp_path / "square", TRAIN, people=slice(0, 2))
    refused(square, "the same name")


@pytest.mark.parametrize(
    ("option", "word"),
    [
        pytest.param(("--size", "256"), "--size", id="one-side"),
        pytest.param(("--batch", "16x1"), "--batch", id="one-crop-of-each"),
        pytest.param(("--lr", "nan"), "--lr", id="lr-nan"),
        pytest.param(("--loss", "hinge"), "--loss", id="loss"),
    ],
)
def test_options_that_make_no_sense(
    dataset: Path, tmp_path: Path, option: tuple[str, str], word: str
) -> None:
    ran = run("train", dataset, "--out", "run", *option, cwd=tmp_path)
    assert_refused(ran, word, code=2)


def test_unknown_architecture_lists_the_known(dataset: Path, tmp_path: Path) -> None:
    ran = run("train", dataset, "--out", "run", "--arch", "alexnet", cwd=tmp_path)
    assert_refused(ran, "alexnet", "resnet50", "osnet_ain_x1_0")
