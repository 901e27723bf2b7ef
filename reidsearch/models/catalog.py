"""The models that reidsearch knows by name, and how users name their own."""

from __future__ import annotations

import os
import tomllib
from dataclasses import replace
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from reidsearch.core.errors import ModelError
from reidsearch.core.files import hash_file, read_text, resolve
from reidsearch.models.cards import DetectorCard, EmbedderCard, ModelCard, WeightFile
from reidsearch.models.validation import parse_as
from reidsearch.models.weights import has_weights, locate

if TYPE_CHECKING:
    from collections.abc import Iterable

_Card = TypeVar("_Card", DetectorCard, EmbedderCard)
_MAX_PX = 1 << 14


def default_detector() -> str:
    """Name of the detector that is used unless another is named."""
    return _default("detector", recommended_pair()[0])


def default_embedder() -> str:
    """Name of the embedder that is used unless another is named."""
    return _default("embedder", recommended_pair()[1])


def recommended_pair() -> tuple[DetectorCard, EmbedderCard]:
    """The networks that are used by default once they have been downloaded."""
    names = _catalog()["recommended"]
    return find_detector(names["detector"]), find_embedder(names["embedder"])


def all_cards() -> list[DetectorCard | EmbedderCard]:
    """Every model of the catalogue."""
    return [
        *(find_detector(name) for name in _catalog()["detector"]),
        *(find_embedder(name) for name in _catalog()["embedder"]),
    ]


def find_detector(spec: str) -> DetectorCard:
    """Look a detector up.

    Args:
        spec: a name in the catalogue, or `NAME=PATH` to use that card with a file of one's own.

    Raises:
        ModelError: the name is unknown, or there is no file at PATH.
    """
    name, path = _split(spec)
    tables = _catalog()["detector"]
    if name not in tables:
        raise _unknown("detector", name, tables)
    card: DetectorCard = parse_as(DetectorCard, tables[name] | {"name": name}, name)
    if path is None:
        return _with_recorded_hashes(card)
    own = replace(card, **_own_weights(name, path))
    return own if own.sha256 == card.sha256 else replace(own, exported=None)


def find_embedder(spec: str) -> EmbedderCard:
    """Look an embedder up.

    Args:
        spec: a name in the catalogue; `NAME=PATH` to use that card, or torchreid's architecture
            of that name, with a checkpoint of one's own; or the path of a card that
            `reidsearch train` wrote, which ends in `.toml`.

    Raises:
        ModelError: the name is unknown, or there is no file at PATH.
    """
    card = _find_embedder(spec)
    for name, table in _catalog()["embedder"].items():
        if "exported" in table:
            known = _embedder_card(name, table)
            if known.fingerprint == card.fingerprint:  # under whatever name
                return replace(card, exported=known.exported)
    return replace(card, exported=None)


def archive_record(file: WeightFile) -> Path:
    """Lies beside a file that was unpacked: its sha256 and, after a blank, the archive's."""
    path = locate(file)
    return path.with_name(f"{path.name}.sha256")


def _default(task: str, recommended: ModelCard) -> str:
    return recommended.name if has_weights(recommended) else str(_catalog()["built_in"][task])


@cache
def _catalog() -> dict[str, Any]:
    return tomllib.loads((files("reidsearch.models") / "catalog.toml").read_text("utf-8"))


def _find_embedder(spec: str) -> EmbedderCard:
    if spec.endswith(".toml"):
        return _read_card(Path(spec))
    name, path = _split(spec)
    tables = _catalog()["embedder"]
    architectures = _catalog()["architectures"]
    if name in tables:
        card = _embedder_card(name, tables[name])
        if path is None:
            return _with_recorded_hashes(card)
        return replace(card, **_own_weights(name, path))
    if name not in architectures["names"]:
        raise _unknown("embedder", name, [*tables, *(f"{a}=PATH" for a in architectures["names"])])
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


def _embedder_card(name: str, table: dict[str, Any]) -> EmbedderCard:
    card: EmbedderCard = parse_as(EmbedderCard, table | {"name": name}, name)
    if not all(0 < size <= _MAX_PX for size in (card.dimension, *card.input_hw)):
        raise ValueError(f"dimension {card.dimension} or input {card.input_size} is out of range")
    return card


def _read_card(path: Path) -> EmbedderCard:
    """Read the card of a network trained here; names of files are relative to it."""
    try:
        path = _expand(path)
        card = _embedder_card(str(path), tomllib.loads(read_text(path))["embedder"])
        own = (
            WeightFile(name=str(path.parent / file.name), sha256=file.sha256, bytes=file.bytes)
            for file in card.files
        )
        return replace(card, files=tuple(own))
    except OSError as error:
        raise ModelError(f"cannot read the model card {path}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, OverflowError) as error:
        raise ModelError(
            f"{path} is not a valid model card: {error}", hint="`reidsearch train` writes one"
        ) from error


def _with_recorded_hashes(card: _Card) -> _Card:
    return replace(card, files=tuple(map(_with_recorded_hash, card.files)))


def _with_recorded_hash(file: WeightFile) -> WeightFile:
    """Take the hash of an unpacked file from its record; the catalogue has only the archive's."""
    if not file.member or not locate(file).is_file() or not archive_record(file).is_file():
        return file
    sha256, _, archive_sha256 = archive_record(file).read_text("utf-8").partition(" ")
    if archive_sha256 != file.archive_sha256:  # of a version that knew another archive
        return file
    return replace(file, sha256=sha256, bytes=locate(file).stat().st_size)


def _own_weights(name: str, path: str) -> dict[str, Any]:
    """Fields of a card whose weights are the user's own; an `.xml` and a `.bin` belong together."""
    file = _expand(path)
    paths = [file]
    if file.suffix == ".xml" or (file.suffix == ".bin" and file.with_suffix(".xml").is_file()):
        paths = [file.with_suffix(".xml"), file.with_suffix(".bin")]
    for path_ in paths:
        if not path_.is_file():
            raise ModelError(
                f"there is no weights file at {str(path_)!r}",
                hint=f"the file's path goes behind the name: {name}=/path/to/weights",
            )
    try:
        weights = tuple(
            WeightFile(name=str(p), sha256=hash_file(p), bytes=p.stat().st_size) for p in paths
        )
    except OSError as error:
        raise ModelError(f"cannot read {error.filename}: {error.strerror}") from error
    return {"name": f"{name}={file}", "files": weights, "license": "", "data_license": ""}


def _split(spec: str) -> tuple[str, str | None]:
    name, separator, path = spec.partition("=")
    return name, path if separator else None


def _expand(path: str | Path) -> Path:
    """A user's path in full; `Path.expanduser` raises RuntimeError for a user who is not there."""
    return resolve(Path(os.path.expanduser(path)))  # noqa: PTH111


def _unknown(task: str, name: str, known: Iterable[str]) -> ModelError:
    return ModelError(f"unknown {task} {name!r}", hint=f"known are: {', '.join(known)}")
