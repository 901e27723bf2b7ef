"""The models that reidsearch knows, and where their weights are; proven by their hashes."""

from __future__ import annotations

import hashlib
import json
import math
import os
import tomllib
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

import platformdirs

from reidsearch.core import extras
from reidsearch.core.calibration import Calibration
from reidsearch.core.errors import ModelError
from reidsearch.core.files import hash_file, read_text, resolve

_Card = TypeVar("_Card", bound="ModelCard")
_Made = TypeVar("_Made", "EmbedderCard", Calibration)

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
_MOST_PX = 1 << 14
_REINSTALL = "reinstall the package that holds them"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCard:
    """One model: who made it, and where its weights are.

    Attributes:
        name: as the command line takes it; `NAME=PATH` for weights of the user's own.
        sha256, bytes: of the weights; empty and 0 while nobody has fetched them.
        path: the user's own weights file.
        file, package: a file in models/, or in an installed package when that is given.
        url, url_sha256, url_bytes, member: an archive to fetch, and the weights' name in it.
        exported, exported_sha256: a zip in models/ with the network as OpenVINO reads it, and its
            hash; made by `scripts/export.py`. Without one it is converted when it is first used.
        license, data_license: of the code and weights; of the data they were trained on.
    """

    name: str
    about: str = ""
    sha256: str = ""
    bytes: int = 0
    path: str = ""
    file: str = ""
    package: str = ""
    url: str = ""
    url_sha256: str = ""
    url_bytes: int = 0
    member: str = ""
    exported: str = ""
    exported_sha256: str = ""
    license: str = ""
    data_license: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectorCard(ModelCard):
    """A TensorFlow Object Detection API frozen graph.

    Attributes:
        person_class: the class id of "person".
        min_score: the score from which its boxes are trusted, in `[0, 1]`.
        input_px: the height, in pixels, to which the graph brings what it is given.
        keeps_aspect_ratio: whether it does so without squashing the picture into a square.
    """

    person_class: int
    min_score: float
    input_px: int
    keeps_aspect_ratio: bool = False

    @property
    def needs(self) -> tuple[str, ...]:
        """Packages of the extra `reference`: only TensorFlow runs what keeps the aspect."""
        return extras.TENSORFLOW if self.keeps_aspect_ratio else ()

    @property
    def input_size(self) -> str:
        """What it brings pictures to, for people to read."""
        return (
            f"{self.input_px} px" if self.keeps_aspect_ratio else f"{self.input_px}x{self.input_px}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbedderCard(ModelCard):
    """A network and the input it was trained on.

    Attributes:
        architecture: torchreid's name of it, or `openvino_ir`.
        dimension: D of its vectors.
        input_hw: height and width of its input.
        mean, std: per RGB channel, of values in `[0, 1]`.
        calibration: what its distances mean, if that was measured.
    """

    architecture: str
    dimension: int
    input_hw: tuple[int, int]
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    calibration: Calibration | None = None

    @property
    def needs(self) -> tuple[str, ...]:
        """Packages of the extra `reference`: torch exports what is not exported yet."""
        return () if self.exported or self.architecture == "openvino_ir" else extras.TORCH

    @property
    def input_size(self) -> str:
        """What it brings crops to, for people to read."""
        height, width = self.input_hw
        return f"{height}x{width}"

    @property
    def fingerprint(self) -> str:
        """Names the vector space: sha256 over all that decides a vector, weights and input."""
        space = {
            "weights": self.sha256,
            "architecture": self.architecture,
            "input_hw": list(self.input_hw),
            "mean": list(self.mean),
            "std": list(self.std),
            "pixels": "RGB, Pillow bilinear, L2-normalised output",
        }
        return hashlib.sha256(json.dumps(space, sort_keys=True).encode()).hexdigest()


def default_detector() -> str:
    """Name of the detector that is used when none is named."""
    return str(_catalog()["defaults"]["detector"])


def default_embedder() -> str:
    """Name of the embedder that is used when none is named."""
    return str(_catalog()["defaults"]["embedder"])


def find_detector(spec: str) -> DetectorCard:
    """Look a detector up.

    Args:
        spec: a name in the catalogue, or `NAME=PATH` to use that card with a frozen graph on disk.

    Raises:
        ModelError: the name is unknown, or there is no file at PATH.
    """
    name, path = _split(spec)
    known = _catalog()["detector"]
    if name not in known:
        raise _unknown("detector", name, known)
    card = DetectorCard(name=name, **known[name])
    if path is None:
        return _if_fetched(card)
    own = replace(card, **_own_weights(name, path))
    return own if own.sha256 == card.sha256 else _without_export(own)


def find_embedder(spec: str) -> EmbedderCard:
    """Look an embedder up.

    Args:
        spec: a name in the catalogue; `NAME=PATH` to use that card, or torchreid's architecture
            of that name, with a checkpoint on disk; or the path of a card that `reidsearch train`
            wrote, which ends in `.toml`.

    Raises:
        ModelError: the name is unknown, or there is no file at PATH.
    """
    card = _find_embedder(spec)
    for name, table in _catalog()["embedder"].items():
        if "exported" not in table or _embedder_card(name, table).fingerprint != card.fingerprint:
            continue  # whatever it is called, the fingerprint tells
        exported, sha256 = table["exported"], table["exported_sha256"]
        return replace(card, exported=exported, exported_sha256=sha256)
    return _without_export(card)


def _find_embedder(spec: str) -> EmbedderCard:
    if spec.endswith(".toml"):
        return _read_card(Path(spec))
    name, path = _split(spec)
    known = _catalog()["embedder"]
    architectures = _catalog()["architectures"]
    if name in known:
        card = _embedder_card(name, known[name])
        return replace(card, **_own_weights(name, path)) if path is not None else _if_fetched(card)
    if name not in architectures["names"]:
        raise _unknown("embedder", name, [*known, *(f"{a}=PATH" for a in architectures["names"])])
    if path is None:
        raise ModelError(
            f"{name} is an architecture without weights",
            hint=f"--embedder {name}=/path/to/checkpoint.pth.tar",
        )
    return EmbedderCard(
        architecture=name,
        dimension=architectures["dimension"],
        input_hw=tuple(architectures["input_hw"]),
        **_own_weights(name, path),
    )


def weights_path(card: ModelCard) -> Path:
    """Find a model's weights and check their hash.

    Raises:
        ModelError: they are not on this machine, or are not the ones that the catalogue names.
        MissingPackageError: the package that holds them is not installed.
    """
    if card.url and not card.path:
        raise ModelError(
            f"the weights of {card.name} are not on this machine",
            hint=f"reidsearch models download {card.name}",
        )
    if not (card.file or card.path):
        raise ModelError(
            f"the weights of {card.name} are not on this machine",
            hint=f"give them: {card.name}=/path/to/weights",
        )
    path = Path(card.path) if card.path else _packaged_path(card)
    hint = "" if card.path else _REINSTALL
    if card.url:
        hint = f"reidsearch models download {card.name}"
    return _verified(path, card, card.sha256, hint)


def network_path(card: ModelCard) -> Path:
    """Find what runs by default: the exported network, or the weights it has to be made of.

    Raises:
        ModelError: see `weights_path`.
    """
    if not card.exported:
        return weights_path(card)
    return _verified(_models_folder() / card.exported, card, card.exported_sha256, _REINSTALL)


def verify_files(card: ModelCard) -> list[Path]:
    """Check the hashes of all files of a model that are here; raises as `weights_path` does."""
    paths = [network_path(card)]
    if card.exported and (card.path or not extras.missing([card.package] if card.package else [])):
        paths.append(weights_path(card))
    return paths


def cache_folder() -> Path:
    """Where weights are kept: `REIDSEARCH_MODELS`, or the user's cache folder."""
    return Path(os.environ.get("REIDSEARCH_MODELS") or platformdirs.user_cache_dir("reidsearch"))


def cached_path(card: ModelCard) -> Path:
    """Where fetched weights are kept."""
    return cache_folder() / f"{card.name}{Path(card.member or card.url).suffix}"


def record_path(card: ModelCard) -> Path:
    """Beside fetched weights: their own sha256 and, after a blank, that of what was fetched."""
    path = cached_path(card)
    return path.with_name(f"{path.name}.sha256")


def all_cards() -> list[DetectorCard | EmbedderCard]:
    """Every model of the catalogue, with where its weights are if they are here."""
    known = _catalog()
    return [
        *(find_detector(name) for name in known["detector"]),
        *(find_embedder(name) for name in known["embedder"]),
    ]


def hash_weights(path: Path) -> str:
    """sha256 of all files of a network: an OpenVINO `.bin` has its `.xml` beside it.

    Raises:
        ModelError: one of them cannot be read.
    """
    described = path.with_suffix(".xml")
    try:
        if path.suffix != ".bin" or not described.is_file():
            return hash_file(path)
        return hashlib.sha256(f"{hash_file(described)} {hash_file(path)}".encode()).hexdigest()
    except OSError as error:
        raise ModelError(f"cannot read {path}: {error.strerror}") from error


def _verified(path: Path, card: ModelCard, sha256: str, hint: str) -> Path:
    if not path.is_file():
        raise ModelError(f"the weights of {card.name} are missing: {path}", hint=hint)
    if hash_weights(path) != sha256:
        raise ModelError(
            f"the weights of {card.name} in {path} are damaged: their sha256 is not {sha256}",
            hint=hint,
        )
    return path


@cache
def _catalog() -> dict[str, Any]:
    return tomllib.loads((files("reidsearch.models") / "catalog.toml").read_text("utf-8"))


def _split(spec: str) -> tuple[str, str | None]:
    name, separator, path = spec.partition("=")
    return name, path if separator else None


def _embedder_card(name: str, table: dict[str, Any]) -> EmbedderCard:
    fields = table | {key: tuple(table[key]) for key in ("input_hw", "mean", "std") if key in table}
    if "calibration" in table:
        coefficients = tuple(table["calibration"]["coefficients"])
        calibration = Calibration(**table["calibration"] | {"coefficients": coefficients})
        fields["calibration"] = _validated(calibration)
    card = _validated(EmbedderCard(name=name, **fields))
    if not all(0 < size <= _MOST_PX for size in (card.dimension, *card.input_hw)):
        raise ValueError(f"no network makes {card.dimension} numbers of {card.input_size} pixels")
    return card


def _validated(made: _Made) -> _Made:
    """A dataclass of numbers and texts, checked, as TOML may hold anything; or ValueError."""
    for name, kind in get_type_hints(type(made)).items():
        value = getattr(made, name)
        if get_origin(kind) is tuple:
            kinds = get_args(kind)
            fits = len(value) == len(kinds) and all(map(_has_type, value, kinds))
        else:
            fits = _has_type(value, kind)
        if not fits:
            raise ValueError(f"its {name} is {value!r}")
    return made


def _has_type(value: object, kind: Any) -> bool:
    if kind is float:
        return type(value) is int or (type(value) is float and math.isfinite(value))
    return isinstance(value, kind) and not isinstance(value, bool)


def _read_card(path: Path) -> EmbedderCard:
    """Read the card of a network trained here; its weights lie beside it."""
    try:
        path = _expand(path)
        table = tomllib.loads(read_text(path))["embedder"]
        card = _embedder_card(str(path), table)
        return replace(card, path=str(path.parent / card.file), file="")
    except OSError as error:
        raise ModelError(f"cannot read the model card {path}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, OverflowError) as error:
        raise ModelError(
            f"{path} is no model card: {error}", hint="`reidsearch train` writes one"
        ) from error


def _if_fetched(card: _Card) -> _Card:
    """The card with its weights, when `models download` has brought them."""
    path, record = cached_path(card), record_path(card)
    if not (card.url and path.is_file() and record.is_file()):
        return card
    sha256, _, url_sha256 = record.read_text("utf-8").partition(" ")
    if url_sha256 != card.url_sha256:  # fetched by a release that knew another file
        return card
    return replace(card, path=str(path), sha256=sha256, bytes=path.stat().st_size)


def _without_export(card: _Card) -> _Card:
    return replace(card, exported="", exported_sha256="")


def _expand(path: str | Path) -> Path:
    """A user's path in full; `Path.expanduser` raises RuntimeError for a user who is not there."""
    return resolve(Path(os.path.expanduser(path)))  # noqa: PTH111


def _own_weights(name: str, path: str) -> dict[str, Any]:
    """Fields of a card whose weights are the user's own file."""
    file = _expand(path)
    if not file.is_file():
        raise ModelError(
            f"there is no weights file at {path!r}", hint=f"where is it? {name}=/path/to/it"
        )
    return {
        "name": f"{name}={file}",
        "path": str(file),
        "sha256": hash_weights(file),
        "bytes": file.stat().st_size,
        "url": "",
        "license": "",
        "data_license": "",
    }


def _unknown(task: str, name: str, known: Any) -> ModelError:
    return ModelError(f"unknown {task} {name!r}", hint=f"known are: {', '.join(known)}")


def _packaged_path(card: ModelCard) -> Path:
    if card.package:
        extras.require([card.package], "reference", f"the original network of {card.name}")
        return Path(str(files(card.package) / card.file))
    return _models_folder() / card.file


def _models_folder() -> Path:
    packaged = Path(str(files("reidsearch"))) / "weights"  # in a wheel; beside it in a checkout
    return packaged if packaged.is_dir() else packaged.parents[1] / "models"
