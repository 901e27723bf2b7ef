"""A model card that says what the model's distances mean."""

from __future__ import annotations

import tomllib
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import tomli_w

from reidsearch.catalog import weights_path
from reidsearch.errors import ReidsearchError
from reidsearch.files import whole_file

if TYPE_CHECKING:
    from pathlib import Path

    from reidsearch.calibration import Calibration
    from reidsearch.catalog import EmbedderCard

_OF_THE_CATALOGUE = ("name", "path", "package", "url", "url_sha256", "url_bytes", "member")


def save_card(card: EmbedderCard, calibration: Calibration, path: Path) -> None:
    """Write a card that `--embedder` takes; one that is there already keeps what else it says.

    Args:
        card: the model.
        calibration: of its distances.
        path: ends in `.toml`.

    Raises:
        ReidsearchError: the file is the card of another model, or cannot be written.
    """
    table = {key: value for key, value in asdict(card).items() if key not in _OF_THE_CATALOGUE}
    weights = weights_path(card).resolve()
    table["file"] = weights.name if weights.parent == path.resolve().parent else str(weights)
    table["calibration"] = asdict(calibration)
    document: dict[str, Any] = {"embedder": {}}
    try:
        if path.exists():
            document = tomllib.loads(path.read_text("utf-8"))
            if document["embedder"]["sha256"] != card.sha256:
                raise ReidsearchError(f"{path} is the card of another model", hint="name another")
        document["embedder"] |= table
        with whole_file(path) as partial:
            partial.write_text(tomli_w.dumps(document), "utf-8")
    except OSError as error:
        raise ReidsearchError(f"cannot write {path}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise ReidsearchError(f"{path} is no model card", hint="name another file") from error
