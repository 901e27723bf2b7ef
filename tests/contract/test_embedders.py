"""What every embedder does, and how torchreid checkpoints of all kinds are read."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from reidsearch.core.errors import ModelError
from reidsearch.core.exact_search import l2_distances
from reidsearch.core.types import Detections
from reidsearch.footage.images import cut_crops, read_image
from reidsearch.models.catalog import default_embedder, find_embedder
from reidsearch.models.embedders import Embedder, load_embedder
from reidsearch.models.embedders.state_dict import read_state_dict
from reidsearch.models.embedders.torchreid_parts import build_network
from reidsearch.models.preprocess import to_batch
from reidsearch.research.mot import read_mot
from tests.contract.networks import save_embedder

pytestmark = pytest.mark.networks

ARCHITECTURES = ["osnet_x0_25", "osnet_ibn_x1_0", "osnet_ain_x1_0"]


@pytest.fixture(scope="module", params=["auto", pytest.param("reference", marks=pytest.mark.slow)])
def built_in(request: pytest.FixtureRequest) -> Embedder:
    return load_embedder(find_embedder(default_embedder()), request.param)


def noise(count: int) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    sizes = rng.integers(1, 200, size=(count, 2))
    return [rng.integers(0, 256, size=(h, w, 3)).astype(np.uint8) for h, w in sizes]


def people(sample: Path, number: int) -> list[np.ndarray]:
    """Who is in a sample frame, in the order of its ground truth."""
    xyxy = read_mot(sample / "gt.txt").frames[number].xyxy
    detections = Detections(xyxy, np.ones(len(xyxy), np.float32))
    return list(cut_crops(read_image(sample / f"frame_{number:04}.jpg"), detections).images)


def test_no_crops(built_in: Embedder) -> None:
    embeddings = built_in.embed([])
    assert embeddings.vectors.shape == (0, built_in.card.dimension)


def test_vectors_are_of_length_one_in_the_cards_space(built_in: Embedder) -> None:
    embeddings = built_in.embed(noise(3))
    assert embeddings.vectors.dtype == np.float32
    assert np.linalg.norm(embeddings.vectors, axis=1) == pytest.approx(np.ones(3), abs=1e-5)
    assert embeddings.fingerprint == built_in.card.fingerprint


def test_batches_change_nothing(built_in: Embedder) -> None:
    images = noise(70)
    together = built_in.embed(images).vectors
    alone = np.concatenate([built_in.embed([image]).vectors for image in images])
    assert (together * alone).sum(axis=1).min() > 0.9999


def test_equals_the_network_run_by_hand(built_in: Embedder, sample: Path) -> None:
    card = built_in.card
    network = build_network(card.architecture)
    network.classifier = nn.Identity()
    weights = Path(__file__).parents[2] / "models" / card.files[0].name
    network.load_state_dict(torch.load(weights, weights_only=True))
    images = people(sample, 1) + people(sample, 21) + noise(4)
    batch = to_batch(images, size_hw=card.input_hw, mean=card.mean, std=card.std)
    with torch.inference_mode():
        expected = network.eval()(torch.from_numpy(batch.copy())).numpy()
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    assert (built_in.embed(images).vectors * expected).sum(axis=1).min() > 0.999


def save_checkpoint(path: Path, architecture: str, **changes: Any) -> Path:
    """Save random weights as torchreid's `save_checkpoint` does."""
    torch.manual_seed(0)
    state = dict(build_network(architecture).state_dict())
    state["classifier.weight"] = torch.zeros(4101, 512)
    state["classifier.bias"] = torch.zeros(4101)
    state = {f"module.{name}": tensor for name, tensor in state.items()}
    extra = {"epoch": 3, "rank1": np.float64(0.7), "optimizer": {"lr": 0.1}}
    torch.save({"state_dict": state, **extra, **changes}, path)
    return path


@pytest.mark.slow
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_own_torchreid_checkpoint(tmp_path: Path, architecture: str) -> None:
    path = save_checkpoint(tmp_path / "model.pth.tar-60", architecture)
    embedder = load_embedder(find_embedder(f"{architecture}={path}"))
    assert embedder.card.input_hw == (256, 128)
    assert embedder.embed(noise(2)).vectors.shape == (2, 512)


def test_classifier_and_prefixes_are_dropped(tmp_path: Path) -> None:
    names = read_state_dict(save_checkpoint(tmp_path / "model.pth", "osnet_x0_25"))
    assert not [name for name in names if name.startswith(("classifier", "module"))]
    assert "conv1.conv.weight" in names


def test_missing_and_surplus_weights_are_refused(tmp_path: Path) -> None:
    whole = read_state_dict(save_checkpoint(tmp_path / "model.pth", "osnet_x0_25"))
    for name, state in {
        "missing": {k: v for k, v in whole.items() if k != "conv1.conv.weight"},
        "surplus": whole | {"conv9.weight": torch.zeros(1)},
    }.items():
        path = tmp_path / f"{name}.pth"
        torch.save(state, path)
        with pytest.raises(ModelError, match="do not fit the architecture osnet_x0_25"):
            load_embedder(find_embedder(f"osnet_x0_25={path}"))


class Code:
    """A pickle that would run code when it is loaded."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (Path("was-run"),))


def test_a_checkpoint_never_runs_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = save_checkpoint(tmp_path / "evil.pth", "osnet_x0_25", extra=Code())
    with pytest.raises(ModelError, match="not a valid torch checkpoint"):
        read_state_dict(path)
    assert not (tmp_path / "was-run").exists()


@pytest.mark.parametrize("content", [{}, [1, 2], {"state_dict": {"a": 1}}], ids=str)
def test_files_without_a_state_dict(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "odd.pth")
    with pytest.raises(ModelError, match="not contain a state dict"):
        read_state_dict(tmp_path / "odd.pth")


def test_same_person_is_nearest_two_seconds_later(built_in: Embedder, sample: Path) -> None:
    truth = read_mot(sample / "gt.txt", sample / "person_map.json").frames
    first, later = (built_in.embed(people(sample, number)).vectors for number in (1, 21))
    nearest = l2_distances(first, later).argmin(axis=1)
    assert tuple(truth[21].people[row] for row in nearest) == truth[1].people


@pytest.mark.slow
def test_converted_network_that_is_damaged_or_cannot_be_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REIDSEARCH_MODELS", str(tmp_path / "cache"))
    card = replace(find_embedder(default_embedder()), exported=None)
    expected = load_embedder(card).embed(noise(2)).vectors
    (kept,) = (tmp_path / "cache" / "openvino").glob("*.xml")
    kept.write_text("no network")
    assert (load_embedder(card).embed(noise(2)).vectors * expected).sum(axis=1).min() > 0.999
    assert kept.read_text() != "no network"
    (tmp_path / "file").touch()
    monkeypatch.setenv("REIDSEARCH_MODELS", str(tmp_path / "file"))
    assert (load_embedder(card).embed(noise(2)).vectors * expected).sum(axis=1).min() > 0.999


IR = "person-reidentification-retail-0265"


def test_openvino_network_gets_bgr(tmp_path: Path) -> None:
    embedder = load_embedder(
        find_embedder(f"{IR}={save_embedder(tmp_path, [1, 3, 256, 128], 256)}")
    )
    colours = np.array([[200, 100, 50], [0, 90, 30], [10, 20, 30]], np.uint8)
    pictures = [np.broadcast_to(rgb, (60, 30, 3)).copy() for rgb in colours]
    expected = colours[:, ::-1] / np.linalg.norm(colours, axis=1, keepdims=True)
    vectors = embedder.embed(pictures).vectors
    np.testing.assert_allclose(vectors[:, :3], expected, atol=5e-3)
    assert not vectors[:, 3:].any()


@pytest.mark.parametrize(
    ("shape", "dimension", "reason"),
    [
        pytest.param([1, 3, -1, 128], 256, "not a network with one fixed input", id="any-height"),
        pytest.param([1, 3, 128, 64], 256, "its input is", id="another-size"),
        pytest.param([1, 3, 256, 128], 512, "its output is", id="another-dimension"),
    ],
)
def test_other_openvino_network_is_refused(
    tmp_path: Path, shape: list[int], dimension: int, reason: str
) -> None:
    path = save_embedder(tmp_path, shape, dimension)
    with pytest.raises(ModelError, match=reason):
        load_embedder(find_embedder(f"{IR}={path}"))
