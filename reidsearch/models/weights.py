"""Where weight files are on this machine, and whether they are the right ones."""

from __future__ import annotations

import os
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

import platformdirs

from reidsearch.core import extras
from reidsearch.core.errors import MissingPackageError, ModelError
from reidsearch.core.files import hash_file

if TYPE_CHECKING:
    from reidsearch.models.cards import ModelCard, WeightFile


def cache_folder() -> Path:
    """Where downloads are kept: `REIDSEARCH_MODELS`, or the user's cache folder."""
    return Path(os.environ.get("REIDSEARCH_MODELS") or platformdirs.user_cache_dir("reidsearch"))


def locate(file: WeightFile) -> Path:
    """Where a file is, or will be once it is downloaded.

    Raises:
        MissingPackageError: the package that contains it is not installed.
    """
    if file.url:
        return cache_folder() / file.name
    if file.package and not Path(file.name).is_absolute():
        extras.require([file.package], "reference", f"reading {file.name}")
        return Path(str(files(file.package) / file.name))
    shipped = Path(str(files("reidsearch"))) / "weights"  # in a wheel; beside it in a checkout
    return (shipped if shipped.is_dir() else shipped.parents[1] / "models") / file.name


def is_downloaded(file: WeightFile) -> bool:
    """Whether a file that has a `url` is in the cache folder, whole and unaltered.

    Raises:
        OSError: it cannot be read.
    """
    path = locate(file)
    return path.is_file() and hash_file(path) == file.sha256


def missing_files(card: ModelCard) -> list[WeightFile]:
    """The files of a model that have not been downloaded yet; their hashes are not checked."""
    return [
        file for file in card.files if file.url and not (file.sha256 and locate(file).is_file())
    ]


def weight_paths(card: ModelCard) -> list[Path]:
    """Find the files of a model and check their hashes.

    Raises:
        ModelError: one is missing or not what the card says.
        MissingPackageError: the package that contains it is not installed.
    """
    if not card.files:
        raise ModelError(
            f"the weights of {card.name} are not on this machine",
            hint=f"give them: {card.name}=/path/to/weights",
        )
    return [verified_path(card, file) for file in card.files]


def has_weights(card: ModelCard) -> bool:
    """Whether all files of a model are here, whole and unaltered."""
    try:
        return bool(weight_paths(card))
    except (ModelError, MissingPackageError):
        return False


def weights_path(card: ModelCard) -> Path:
    """The first of `weight_paths`: the only one of all formats but OpenVINO's."""
    return weight_paths(card)[0]


def network_paths(card: ModelCard) -> list[Path]:
    """The files that run by default: the exported network, or else the weights.

    Raises:
        ModelError: see `weight_paths`.
    """
    return weight_paths(card) if card.exported is None else [verified_path(card, card.exported)]


def verify_files(card: ModelCard) -> list[Path]:
    """Check all files of a model, except those of packages that are not installed.

    Raises:
        ModelError: see `weight_paths`.
    """
    optional = [file.package for file in card.files if file.package and card.exported]
    weights = [] if extras.missing(optional) else weight_paths(card)
    return weights if card.exported is None else [verified_path(card, card.exported), *weights]


def verified_path(card: ModelCard, file: WeightFile) -> Path:
    """Find one file of a model and check its hash; raises as `weight_paths` does."""
    path = locate(file)
    hint = "" if Path(file.name).is_absolute() else "reinstall the package that contains it"
    if file.url:
        hint = f"reidsearch models download {card.name}"
        if not (path.is_file() and file.sha256):
            raise ModelError(f"the weights of {card.name} are not on this machine", hint=hint)
    if not path.is_file():
        raise ModelError(f"the weights of {card.name} are missing: {path}", hint=hint)
    try:
        sha256 = hash_file(path)
    except OSError as error:
        raise ModelError(f"cannot read {path}: {error.strerror}") from error
    if sha256 != file.sha256:
        raise ModelError(
            f"the weights of {card.name} in {path} are damaged: their sha256 is not {file.sha256}",
            hint=hint,
        )
    return path
