"""A model card that says what the model's distances mean."""

from __future__ import annotations

import tomllib
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import tomli_w

from reidsearch.core.errors import ReidsearchError
from reidsearch.core.files import atomic_write, read_text, require_writable, resolve
from reidsearch.models.catalog import weights_path

if TYPE_CHECKING:
    from pathlib import Path

    from reidsearch.core.calibration import Calibration
    from reidsearch.models.catalog import EmbedderCard

_OF_THE_CATALOGUE = (
    *("name", "path", "package", "url", "url_sha256", "url_bytes", "member"),
    *("exported", "exported_sha256"),
)


def require_card_file(card: EmbedderCard, path: Path) -> None:
    """Check, before any work, that a card can be written there.

    Raises:
        ReidsearchError: the name does not end in `.toml`, there is no such folder, or the file is
            something else or the card of another model.
    """
    require_writable(path, ".toml")
    _read(card, path)


def save_card(card: EmbedderCard, calibration: Calibration, path: Path) -> None:
    """Write a card that `--embedder` takes; one that is there already keeps what else it says.

    Raises:
        ReidsearchError: see `require_card_file`; or the file cannot be written.
    """
    document = _read(card, path)
    table = {key: value for key, value in asdict(card).items() if key not in _OF_THE_CATALOGUE}
    weights, path = resolve(weights_path(card)), resolve(path)
    table["file"] = weights.name if weights.parent == path.parent else str(weights)
    table["calibration"] = asdict(calibration)
    document["embedder"] = document.get("embedder", {}) | table
    try:
        with atomic_write(path) as partial:
            partial.write_text(tomli_w.dumps(document), "utf-8")
    except OSError as error:
        raise ReidsearchError(f"cannot write {path}: {error.strerror}") from error


def _read(card: EmbedderCard, path: Path) -> dict[str, Any]:
    """What the file says so far."""
    if not path.exists():
        return {}
    try:
        document = tomllib.loads(read_text(path))
        sha256 = document["embedder"]["sha256"]
    except OSError as error:
        raise ReidsearchError(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise ReidsearchError(
            f"{path} is not a valid model card", hint="name another file"
        ) from error
    if sha256 != card.sha256:
        raise ReidsearchError(f"{path} is the card of another model", hint="name another file")
    return document
