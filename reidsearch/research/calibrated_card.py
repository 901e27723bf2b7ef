"""A model card that says what the model's distances mean."""

from __future__ import annotations

import tomllib
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import tomli_w

from reidsearch.core.errors import ReidsearchError
from reidsearch.core.files import atomic_write, read_text, require_writable, resolve
from reidsearch.models.weights import weight_paths

if TYPE_CHECKING:
    from pathlib import Path

    from reidsearch.core.calibration import Calibration
    from reidsearch.models.cards import EmbedderCard


def require_card_file(card: EmbedderCard, path: Path) -> None:
    """Check, before any work, that a card can be written there.

    Raises:
        ReidsearchError: the name does not end in `.toml`, there is no such folder, or the file is
            something else or the card of another model.
    """
    require_writable(path, ".toml", force=True)  # what else it says is kept
    _read(card, path)


def save_card(card: EmbedderCard, calibration: Calibration, path: Path) -> dict[str, Any] | None:
    """Write a card that `--embedder` takes; one that is there already keeps what else it says.

    Returns:
        The calibration that was there, as the file had it.

    Raises:
        ReidsearchError: see `require_card_file`; or the file cannot be written.
    """
    document = _read(card, path)
    path = resolve(path)
    table = asdict(card) | {
        "files": [
            {"name": _from(path.parent, found), "sha256": file.sha256, "bytes": file.bytes}
            for file, found in zip(card.files, map(resolve, weight_paths(card)), strict=True)
        ],
        "calibration": asdict(calibration),
    }
    del table["name"], table["exported"]
    before = document.get("embedder", {})
    document["embedder"] = before | table
    try:
        with atomic_write(path) as partial:
            partial.write_text(tomli_w.dumps(document), "utf-8")
    except OSError as error:
        raise ReidsearchError(f"cannot write {path}: {error.strerror}") from error
    replaced = before.get("calibration")
    return replaced if isinstance(replaced, dict) else None


def _from(folder: Path, file: Path) -> str:
    return file.name if file.parent == folder else str(file)


def _read(card: EmbedderCard, path: Path) -> dict[str, Any]:
    """What the file says so far."""
    if not path.exists():
        return {}
    try:
        document = tomllib.loads(read_text(path))
        hashes = {file["sha256"] for file in document["embedder"]["files"]}
    except OSError as error:
        raise ReidsearchError(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise ReidsearchError(
            f"{path} is not a valid model card", hint="name another file"
        ) from error
    if hashes != {file.sha256 for file in card.files}:
        raise ReidsearchError(f"{path} is the card of another model", hint="name another file")
    return document
