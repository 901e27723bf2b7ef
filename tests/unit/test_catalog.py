import shutil
import tomllib
from dataclasses import replace
from importlib.resources import files

import pytest

from reidsearch.core.errors import ModelError
from reidsearch.core.files import hash_file
from reidsearch.models.cards import EmbedderCard, WeightFile
from reidsearch.models.catalog import (
    default_detector,
    default_embedder,
    find_detector,
    find_embedder,
)
from reidsearch.models.weights import missing_files, verify_files, weight_paths, weights_path

CATALOG = tomllib.loads((files("reidsearch.models") / "catalog.toml").read_text("utf-8"))
DETECTORS, EMBEDDERS = list(CATALOG["detector"]), list(CATALOG["embedder"])
ARCHITECTURES = CATALOG["architectures"]["names"]
ALL_CARDS = [*map(find_detector, DETECTORS), *map(find_embedder, EMBEDDERS)]
WEIGHTS = WeightFile(name="osnet.pt", sha256="a" * 64)
CARD = EmbedderCard(
    name="osnet.test", files=(WEIGHTS,), architecture="osnet", dimension=512, input_hw=(256, 128)
)


def is_remote(card):
    return any(file.url for file in card.files)


def by_name(cards):
    return [pytest.param(card, id=card.name) for card in cards]


@pytest.fixture
def own_weights(tmp_path):
    path = tmp_path / "own weights.pt"
    path.write_bytes(b"these are weights")
    return path


@pytest.mark.parametrize("card", by_name(ALL_CARDS))
def test_every_card_says_who_made_it_and_where_its_weights_are(card):
    assert card.about
    assert card.license
    assert card.data_license
    for file in (*card.files, *([card.exported] if card.exported else [])):
        assert not (file.package and file.url)
        assert len(bytes.fromhex(file.archive_sha256 or file.sha256)) == 32
        assert bool(file.member) == bool(file.archive_sha256)
        assert file.bytes > 0 or file.url


def test_no_two_files_of_the_catalogue_have_one_place():
    places = [(file.package, file.name) for card in ALL_CARDS for file in card.files]
    assert len(places) == len(set(places))


@pytest.mark.parametrize("name", DETECTORS)
def test_every_detector_is_complete(name):
    card = find_detector(name)
    assert card.name == name
    assert 0 < card.min_score < 1
    assert min(card.input_hw) > 0
    assert card.person_class >= 1


@pytest.mark.parametrize("name", EMBEDDERS)
def test_every_embedder_is_complete(name):
    card = find_embedder(name)
    assert card.name == name
    assert card.architecture in {*ARCHITECTURES, "openvino_ir"}
    assert card.dimension > 0
    assert card.input_hw[0] > card.input_hw[1] > 0
    assert len(card.mean) == len(card.std) == 3
    assert len(bytes.fromhex(card.fingerprint)) == 32


def test_input_is_normalised_as_imagenet_is_unless_a_card_says_otherwise():
    assert CARD.mean == (0.485, 0.456, 0.406)
    assert CARD.std == (0.229, 0.224, 0.225)


def test_defaults_are_in_the_catalogue():
    assert default_detector() in DETECTORS
    assert default_embedder() in EMBEDDERS
    for card in (find_detector(default_detector()), find_embedder(default_embedder())):
        assert not missing_files(card)


@pytest.mark.parametrize("card", by_name(card for card in ALL_CARDS if card.exported))
def test_packaged_weights_are_the_ones_of_the_catalogue(card):
    for path, file in zip(verify_files(card), [card.exported, *card.files], strict=True):
        assert path.stat().st_size == file.bytes
        assert hash_file(path) == file.sha256


@pytest.mark.parametrize("card", by_name(card for card in ALL_CARDS if is_remote(card)))
def test_weights_to_be_fetched_are_missing_and_the_hint_says_how(card):
    with pytest.raises(ModelError, match="not on this machine") as caught:
        weights_path(card)
    assert caught.value.hint == f"reidsearch models download {card.name}"


@pytest.mark.parametrize("spec", ["", "nobody", "nobody=/tmp", "SSDLITE_MOBILENET_V2_PEDESTRIAN"])
def test_unknown_detector_lists_the_known(spec):
    with pytest.raises(ModelError, match="unknown detector") as caught:
        find_detector(spec)
    assert all(name in caught.value.hint for name in DETECTORS)


@pytest.mark.parametrize("spec", ["", "nobody", "nobody=/tmp", "OSNET_AIN_X1_0"])
def test_unknown_embedder_lists_the_known_and_the_architectures(spec):
    with pytest.raises(ModelError, match="unknown embedder") as caught:
        find_embedder(spec)
    known = [*EMBEDDERS, *(f"{name}=PATH" for name in ARCHITECTURES)]
    assert all(name in caught.value.hint for name in known)


@pytest.mark.parametrize("name", DETECTORS)
def test_detector_with_own_graph_keeps_the_rest_of_its_card(name, own_weights):
    own, card = find_detector(f"{name}={own_weights}"), find_detector(name)
    assert own.name == f"{name}={own_weights}"
    assert (own.sha256, own.bytes) == (hash_file(own_weights), 17)
    assert (own.input_hw, own.person_class) == (card.input_hw, card.person_class)
    assert weights_path(own) == own_weights


@pytest.mark.parametrize("name", EMBEDDERS)
def test_embedder_with_own_weights_has_a_fingerprint_of_its_own(name, own_weights):
    own, card = find_embedder(f"{name}={own_weights}"), find_embedder(name)
    assert own.name == f"{name}={own_weights}"
    assert (own.architecture, own.input_hw) == (card.architecture, card.input_hw)
    assert own.fingerprint != card.fingerprint
    assert weights_path(own) == own_weights


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_architecture_with_own_weights_is_an_embedder(name, own_weights):
    card = find_embedder(f"{name}={own_weights}")
    assert card.architecture == name
    assert (card.dimension, card.input_hw) == (512, (256, 128))
    assert weights_path(card) == own_weights
    assert find_embedder(card.name) == card


def test_copy_of_the_packaged_weights_has_their_fingerprint(tmp_path):
    card = find_embedder(default_embedder())
    copy = shutil.copy(weights_path(card), tmp_path / "copy.pt")
    assert find_embedder(f"{card.name}={copy}").fingerprint == card.fingerprint


def test_own_weights_may_be_given_from_home(monkeypatch, own_weights):
    monkeypatch.setenv("HOME", str(own_weights.parent))
    assert weights_path(find_embedder(f"osnet_x1_0=~/{own_weights.name}")) == own_weights


def test_architecture_alone_asks_for_weights():
    with pytest.raises(ModelError, match="without weights") as caught:
        find_embedder("osnet_ain_x1_0")
    assert "--embedder osnet_ain_x1_0=" in caught.value.hint


@pytest.mark.parametrize(
    "find_spec",
    [
        pytest.param((find_detector, DETECTORS[0]), id="detector"),
        pytest.param((find_embedder, EMBEDDERS[0]), id="embedder"),
        pytest.param((find_embedder, ARCHITECTURES[0]), id="architecture"),
    ],
)
@pytest.mark.parametrize("path", ["none.pt", "."])
def test_own_weights_must_be_a_file(find_spec, path, tmp_path):
    find, name = find_spec
    with pytest.raises(ModelError, match="no weights file") as caught:
        find(f"{name}={tmp_path / path}")
    assert str(tmp_path / path) in str(caught.value)


@pytest.mark.parametrize(
    ("find", "name"),
    [
        pytest.param(find_detector, DETECTORS[0], id="detector"),
        pytest.param(find_embedder, EMBEDDERS[0], id="embedder"),
        pytest.param(find_embedder, ARCHITECTURES[0], id="architecture"),
    ],
)
def test_own_weights_without_a_path_are_refused(find, name):
    with pytest.raises(ModelError):
        find(f"{name}=")


def test_damaged_copy_of_the_packaged_weights_is_refused(tmp_path):
    card = find_embedder(default_embedder())
    data = bytearray(weights_path(card).read_bytes())
    data[len(data) // 2] ^= 1
    copy = tmp_path / "copy.pt"
    copy.write_bytes(data)
    with pytest.raises(ModelError, match="damaged") as caught:
        weights_path(replace(card, files=(replace(card.files[0], name=str(copy)),)))
    assert card.name in str(caught.value)
    assert str(copy) in str(caught.value)


def test_own_weights_that_change_after_they_were_named_are_refused(own_weights):
    card = find_embedder(f"osnet_x1_0={own_weights}")
    own_weights.write_bytes(b"these are others")
    with pytest.raises(ModelError, match="damaged"):
        weights_path(card)


def test_own_weights_that_vanish_are_missed(own_weights):
    card = find_embedder(f"osnet_x1_0={own_weights}")
    own_weights.unlink()
    with pytest.raises(ModelError, match="missing"):
        weights_path(card)


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"files": (replace(WEIGHTS, sha256="b" * 64),)}, id="weights"),
        pytest.param({"files": (WEIGHTS, replace(WEIGHTS, sha256="b" * 64))}, id="second-file"),
        pytest.param({"architecture": "osnet_ain"}, id="architecture"),
        pytest.param({"input_hw": (128, 256)}, id="input-size"),
        pytest.param({"mean": (0.5, 0.456, 0.406)}, id="mean"),
        pytest.param({"std": (0.229, 0.224, 0.5)}, id="std"),
    ],
)
def test_whatever_decides_a_vector_changes_the_fingerprint(changes):
    assert replace(CARD, **changes).fingerprint != CARD.fingerprint


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"name": "another"}, id="name"),
        pytest.param({"about": "It is new."}, id="about"),
        pytest.param({"files": (replace(WEIGHTS, name="/elsewhere"),)}, id="place"),
        pytest.param({"exported": WeightFile(name="osnet.zip", sha256="c" * 64)}, id="exported"),
    ],
)
def test_names_and_places_leave_the_fingerprint_alone(changes):
    assert replace(CARD, **changes).fingerprint == CARD.fingerprint


IR = "person-reidentification-retail-0265"


@pytest.fixture
def ir(tmp_path):
    (tmp_path / "net.xml").write_bytes(b"<net/>")
    (tmp_path / "net.bin").write_bytes(b"weights")
    return tmp_path


@pytest.mark.parametrize("name", ["net.xml", "net.bin"])
def test_xml_and_bin_beside_each_other_are_one_network(ir, name):
    card = find_embedder(f"{IR}={ir / name}")
    assert weight_paths(card) == [ir / "net.xml", ir / "net.bin"]
    assert card.bytes == len(b"<net/>weights")


@pytest.mark.parametrize("name", ["net.xml", "net.bin"])
def test_every_file_of_a_network_is_part_of_its_identity(ir, name):
    before = find_embedder(f"{IR}={ir}/net.xml")
    (ir / name).write_bytes(b"changed")
    with pytest.raises(ModelError, match=f"{name} are damaged"):
        weight_paths(before)
    assert find_embedder(f"{IR}={ir}/net.xml").fingerprint != before.fingerprint


def test_order_of_files_leaves_the_fingerprint_alone(ir):
    card = find_embedder(f"{IR}={ir}/net.xml")
    assert replace(card, files=card.files[::-1]).fingerprint == card.fingerprint


def test_xml_without_bin_is_refused(ir):
    (ir / "net.bin").unlink()
    with pytest.raises(ModelError, match=r"no weights file at .*net\.bin"):
        find_embedder(f"{IR}={ir}/net.xml")


def test_bin_alone_may_be_a_checkpoint_of_torch(ir):
    (ir / "net.xml").unlink()
    assert weight_paths(find_embedder(f"osnet_x1_0={ir}/net.bin")) == [ir / "net.bin"]
