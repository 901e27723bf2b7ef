"""`reidsearch evaluate calibrate`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from reidsearch.cli.options import Backend, Json, OwnEmbedder, PersonMap
from reidsearch.cli.output import print_fields, print_json, print_table, say, warn
from reidsearch.cli.progress import Bar
from reidsearch.core.errors import UsageError
from reidsearch.core.text import format_percent


def calibrate(
    data: Annotated[
        list[Path],
        typer.Argument(
            metavar="DIR...|SOURCE",
            help="Sets of crops in Market-1501's layout, each of other people; or footage.",
        ),
    ],
    truth: Annotated[
        Path | None,
        typer.Option(metavar="GT", help="Ground truth of the footage, in MOTChallenge's format."),
    ] = None,
    person_map: PersonMap = None,
    apart: Annotated[
        float,
        typer.Option(min=0.0, help="Least seconds between boxes of one person, with --truth."),
    ] = 10.0,
    every: Annotated[
        int | None,
        typer.Option(
            min=1, help="Take every Nth frame, with --truth. Default: 200 frames at most."
        ),
    ] = None,
    prior: Annotated[
        float,
        typer.Option(min=0.0001, max=0.9, help="Assumed share of detections that show the query."),
    ] = 0.05,
    save: Annotated[
        Path | None,
        typer.Option(metavar="CARD.toml", help="Write the model's card, with the result."),
    ] = None,
    embedder: OwnEmbedder = None,
    backend: Backend = "auto",
    json: Json = False,
) -> None:
    """Measure how probable it is, at each distance, that two crops show the same person.

    Fitted on all people; how true it is, is measured on each half of them by a fit on the other.
    """
    from reidsearch.cli.tables import reliability_table
    from reidsearch.footage import SourceOptions, open_source
    from reidsearch.models.catalog import default_embedder, find_embedder
    from reidsearch.models.embedders import load_embedder
    from reidsearch.research import calibrate as calibration
    from reidsearch.research.calibrated_card import require_card_file, save_card
    from reidsearch.research.mot import read_mot

    if truth is None and every is not None:
        raise UsageError("--every is for footage", hint="name its ground truth: --truth GT")
    if truth is not None and len(data) > 1:
        raise UsageError("--truth is of one source", hint="name one, or sets of crops without it")
    card = find_embedder(embedder or default_embedder())
    if save is not None:
        require_card_file(card, save)
    network = load_embedder(card, backend)
    with Bar() as progress:
        if truth is None:
            sets = [calibration.read_market1501(path, network, progress) for path in data]
        else:
            people = read_mot(truth, person_map).frames
            every = every or calibration.choose_every(len(open_source(data[0])))
            footage = open_source(data[0], SourceOptions(every=every))
            sets = [calibration.read_footage(footage, people, network, apart, progress)]
    names = ", ".join(path.resolve().name for path in data)
    result = calibration.calibrate(sets, prior=prior, data=names)
    fitted, likely = result.calibration, result.calibration.likely_distance
    if save is not None:
        replaced = save_card(card, fitted, save)
        if replaced is not None:
            was = ", ".join(f"{name} {replaced[name]}" for name in sorted(replaced))
            say(f"{escape(str(save))} had a calibration, which this one replaces: {escape(was)}")
    if result.is_weak:
        warn(
            f"this rests on {result.people} people only: for others, probabilities may "
            "be wrong by more than the error says"
        )
    counts = {
        **({} if every is None else {"every": every}),
        "people": result.people,
        "same_pairs": result.same_pairs,
        "different_pairs": result.different_pairs,
    }
    if json:
        curve = [asdict(level) for level in result.curve]
        print_json({**asdict(fitted), "likely_distance": likely, **counts, "curve": curve})
        return
    print_table(reliability_table(result.curve))
    right, wrong = (format_percent(share, 1) for share in (fitted.prior, fitted.error))
    print_fields(
        {
            "likely up to": f"distance {likely:.3f}, if {right} of people are the one",
            "calibration error": f"{wrong} on people that were not fitted on",
            **counts,
        }
    )
