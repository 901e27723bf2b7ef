"""`reidsearch models`."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlsplit

import typer
from rich.markup import escape

from reidsearch.cli.options import Json
from reidsearch.cli.output import print_fields, print_json, print_table, say
from reidsearch.cli.progress import receiving
from reidsearch.core.text import format_bytes, printable

if TYPE_CHECKING:
    from reidsearch.models.cards import ModelCard, WeightFile

app = typer.Typer(help="List, download and verify models.", no_args_is_help=True)

_Name = Annotated[str, typer.Argument(metavar="NAME", help="Name from `models list`.")]


@app.command(name="list")
def list_models(json: Json = False) -> None:
    """List every model, its licence, and where its weights are."""
    from reidsearch.cli.tables import model_table
    from reidsearch.models.catalog import all_cards, recommended_pair

    cards, recommended = all_cards(), recommended_pair()
    if json:
        print_json([_fields(card) | {"recommended": card in recommended} for card in cards])
    else:
        print_table(model_table(cards, recommended))


@app.command()
def show(name: _Name, json: Json = False) -> None:
    """Show everything about one model."""
    card = _find(name)
    fields = _fields(card)
    if json:
        print_json(fields)
    else:
        fields["input_hw"] = card.input_size
        weights = [*fields.pop("files"), *filter(None, [fields.pop("exported")])]
        fields |= {f"file {number}": file for number, file in enumerate(weights, start=1)}
        print_fields({key: _as_text(value) for key, value in fields.items() if value})


@app.command()
def download(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="NAME", help="Default: the recommended detector and embedder."),
    ] = None,
) -> None:
    """Download models, resuming an interrupted download.

    New databases are made with the recommended models once they are on this machine.
    """
    from reidsearch.models.catalog import recommended_pair
    from reidsearch.models.downloads import download as fetch
    from reidsearch.models.weights import network_paths

    cards = [_find(name) for name in names or [card.name for card in recommended_pair()]]
    for card in cards:
        say(escape(_announce(card)))
    with receiving() as on_bytes:
        fetch(*cards, on_bytes=on_bytes)
    for card in cards:
        for path in network_paths(_find(card.name)):  # whose hashes are known now
            print(path)


@app.command()
def verify(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="NAME", help="Default: every model on this machine."),
    ] = None,
) -> None:
    """Verify the hashes of weights."""
    from reidsearch.core.errors import ModelError
    from reidsearch.models.catalog import all_cards
    from reidsearch.models.weights import missing_files, verify_files

    wanted = [_find(name) for name in names or ()]
    bad = []
    for card in wanted or [c for c in all_cards() if c.files and not missing_files(c)]:
        try:
            for path in verify_files(card):
                print(f"good  {card.name}: {path}")
        except ModelError as error:
            print(f"bad   {printable(str(error))}")
            bad.append(card)
    if bad:
        names = [card.name for card in bad]
        raise ModelError(
            f"missing or damaged: {', '.join(names)}",
            hint=f"`reidsearch models download {' '.join(names)}`"
            if all(file.url for card in bad for file in card.files)
            else "download them again, or reinstall the package that holds them",
        )


def _announce(card: ModelCard) -> str:
    hosts = sorted({urlsplit(file.url).netloc for file in card.files if file.url})
    size = format_bytes(card.bytes) if card.bytes else "size not known"
    where = f"{size} from {' and '.join(hosts)}" if hosts else "in the package"
    return f"{card.name}: {where}; {card.license}; trained on data: {card.data_license}"


def _find(name: str) -> ModelCard:
    from reidsearch.core.errors import ModelError
    from reidsearch.models.catalog import all_cards

    for card in all_cards():
        if card.name == name:
            return card
    raise ModelError(f"unknown model {name!r}", hint="see `reidsearch models list`")


def _fields(card: ModelCard) -> dict[str, Any]:
    """A card as JSON has it; the path of a file that is missing or damaged is null."""
    return {
        **asdict(card),
        "files": [_file_fields(card, file) for file in card.files],
        "exported": card.exported and _file_fields(card, card.exported),
    }


def _file_fields(card: ModelCard, file: WeightFile) -> dict[str, Any]:
    from reidsearch.core.errors import MissingPackageError, ModelError
    from reidsearch.models.weights import verified_path

    try:
        path = str(verified_path(card, file))
    except (ModelError, MissingPackageError):
        path = None
    return {**asdict(file), "path": path}


def _as_text(value: Any) -> str:
    if isinstance(value, dict):
        return "; ".join(f"{key} {_as_text(part)}" for key, part in value.items() if part)
    if isinstance(value, tuple | list):
        return ", ".join(map(_as_text, value))
    return f"{value:g}" if isinstance(value, float) else str(value)
