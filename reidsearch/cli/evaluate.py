"""`reidsearch evaluate`."""

from __future__ import annotations

import math
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from reidsearch.cli.calibrate import calibrate
from reidsearch.cli.options import (
    Backend,
    Json,
    OwnEmbedder,
    PersonMap,
    Precision,
    SkipUnchanged,
)
from reidsearch.cli.output import print_fields, print_json, say, warn
from reidsearch.cli.progress import Bar
from reidsearch.core import defaults
from reidsearch.core.errors import ReidsearchError, UsageError
from reidsearch.core.files import resolve
from reidsearch.core.text import count, format_percent

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reidsearch.research.market1501 import Market1501Result

_RANKS = (1, 5, 10, 20)
_PICTURE_RANKS = 10

app = typer.Typer(help="Measure models against ground truth.", no_args_is_help=True)
app.command()(calibrate)


@app.command()
def market1501(
    dataset: Annotated[
        Path, typer.Argument(metavar="DIR", help="Folder with query/ and bounding_box_test/.")
    ],
    embedder: OwnEmbedder = None,
    rerank: Annotated[
        bool, typer.Option("--rerank", help="Also rank by k-reciprocal re-ranking.")
    ] = False,
    pictures: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Folder for pictures: each query, its 10 nearest crops."),
    ] = None,
    backend: Backend = "auto",
    precision: Precision = "f32",
    json: Json = False,
) -> None:
    """Rank labelled crops under Market-1501's protocol: mAP and CMC.

    Each query is compared with every crop of bounding_box_test by exact L2 distance. Crops of its
    own identity and camera and junk (-1) do not count; distractors (0000) count as wrong.
    """
    from reidsearch.models.catalog import default_embedder, find_embedder
    from reidsearch.models.embedders import load_embedder
    from reidsearch.research.market1501 import evaluate_market1501

    if pictures is not None and resolve(dataset) in resolve(pictures / "x").parents:
        raise UsageError("--pictures must not be in the data set", hint="name another folder")
    network = load_embedder(find_embedder(embedder or default_embedder()), backend, precision)
    with Bar() as progress:
        result = evaluate_market1501(dataset, network, progress, rerank=rerank)
    if result.shared_pids:
        some = ", ".join(map(str, result.shared_pids[:10]))
        warn(f"{len(result.shared_pids)} identities are in the training folder too: {some}")
    quality = result.quality
    fields = {"mAP": quality.mean_ap}
    fields |= {f"rank{k}": float(quality.cmc[k - 1]) for k in _RANKS}
    fields |= {"queries": quality.queries, "gallery": len(result.gallery)}
    if json:
        print_json(_rounded(fields) | {"answers": _answers(result)})
    else:
        print_fields(_as_percent(fields))
    if pictures is not None:
        _draw(result, pictures)


@app.command()
def footage(
    source: Annotated[Path, typer.Argument(metavar="SOURCE", help="Folder of frames, or video.")],
    truth: Annotated[Path, typer.Argument(metavar="GT", help="Ground truth, MOTChallenge.")],
    person_map: PersonMap = None,
    detector: Annotated[
        str | None, typer.Option(metavar="CARD[=PATH]", help="Default: the built-in one.")
    ] = None,
    embedder: OwnEmbedder = None,
    tiles: Annotated[str, typer.Option(metavar="auto|off|CxR", help="As for ingest.")] = "auto",
    min_score: Annotated[
        float | None, typer.Option(min=0.0, max=1.0, help="Default: the detector's own.")
    ] = None,
    every: Annotated[int, typer.Option(min=1, help="Take every Nth frame.")] = 1,
    skip_unchanged: SkipUnchanged = False,
    backend: Backend = "auto",
    precision: Precision = "f32",
    json: Json = False,
) -> None:
    """Detect and search people in footage with ground truth.

    Who counts follows TrackEval: pedestrians whose flag is not 0; distractors are ignored.

    Detection: average precision at IoU 0.5 over all scores; recall and precision from --min-score
    on. Search: each person's first detection is searched for in all later frames; a match is right
    when its box overlaps that person by IoU 0.5; mAP; mAP_all, in which sightings that were not
    detected count as never found; mAP_by_tracklet, the same of a search for passages; and how often
    rank 1 is right.

    Linking: HOTA and IDF1 as TrackEval has them, how pure the tracklets are, and F1 of the pairs of
    detections that `people propose` would group.
    """
    from reidsearch.core.provenance import DetectionSettings
    from reidsearch.footage import SourceOptions, open_source
    from reidsearch.models.catalog import (
        default_detector,
        default_embedder,
        find_detector,
        find_embedder,
    )
    from reidsearch.models.detectors import load_detector
    from reidsearch.models.embedders import load_embedder
    from reidsearch.research.footage import evaluate_footage
    from reidsearch.research.mot import read_mot

    people = read_mot(truth, person_map)
    frames = open_source(source, SourceOptions(every=every))
    card = find_detector(detector or default_detector())
    every_score = DetectionSettings(
        0.0, defaults.MIN_HEIGHT_PX, tiles, skip_unchanged=skip_unchanged
    )
    with Bar() as progress:
        quality = evaluate_footage(
            frames,
            people.frames,
            load_detector(card, every_score, backend, precision),
            load_embedder(find_embedder(embedder or default_embedder()), backend, precision),
            card.min_score if min_score is None else min_score,
            progress,
        )
    for reason in quality.failures:
        warn(reason)
    found, searched = quality.detection, quality.search
    counts = {"frames": quality.frames, "detections": quality.detections}
    detection = {"ap50": found.ap50, "recall": found.recall, "precision": found.precision}
    search = {
        "mAP": searched.mean_ap,
        "mAP_all": searched.mean_ap_all,
        "mAP_by_tracklet": searched.mean_ap_by_tracklet,
        "rank1": searched.rank1,
        "queries": searched.queries,
    }
    linking = asdict(quality.linking)
    if json:
        document = {
            **counts,
            "left_out": dict(people.left_out),
            "detection": _rounded(detection) | {"ignored": found.ignored},
            "search": _rounded(search)
            | {"answers": [asdict(answer) for answer in searched.answers]},
            "linking": _rounded(linking),
            "people": _rounded({"f1": quality.people_f1}),
        }
        print_json(document)
        return
    named = {f"detection {name}": value for name, value in detection.items()}
    named |= {f"search {name}": value for name, value in search.items()}
    named |= {f"linking {name}": value for name, value in linking.items() if name != "fragments"}
    named["people F1"] = quality.people_f1
    a_person = quality.linking.fragments
    fragments = {"fragments a person": "-" if math.isnan(a_person) else f"{a_person:.2f}"}
    print_fields(_as_percent(counts | named) | fragments)
    if people.left_out:
        rows = ", ".join(f"{what} ({number})" for what, number in people.left_out.items())
        say(f"rows of the ground truth that were left out: {escape(rows)}")
    if found.ignored:
        say(f"{found.ignored} detections of distractors were left out")


def _answers(result: Market1501Result) -> list[dict[str, object]]:
    rows = zip(result.query.paths, result.answers, strict=True)
    return [{"query": path.name, **asdict(answer)} for path, answer in rows]


def _rounded(fields: Mapping[str, float]) -> dict[str, float | None]:
    """Fractions for JSON, which knows no NaN."""
    return {k: None if math.isnan(v) else round(v, 6) for k, v in fields.items()}


def _as_percent(fields: Mapping[str, float]) -> dict[str, str]:
    return {k: _percent(v) if isinstance(v, float) else str(v) for k, v in fields.items()}


def _percent(fraction: float) -> str:
    return "not measurable" if math.isnan(fraction) else format_percent(fraction, 1)


def _draw(result: Market1501Result, folder: Path) -> None:
    from reidsearch.render.ranked import draw_ranked

    try:
        folder.mkdir(parents=True, exist_ok=True)
        for row, order in enumerate(result.orders):
            query = result.query.paths[row]
            first = order[:_PICTURE_RANKS]
            draw_ranked(
                query,
                [result.gallery.paths[i] for i in first],
                (result.gallery.pids[first] == result.query.pids[row]).tolist(),
                folder / f"{query.stem}.jpg",
            )
    except OSError as error:
        raise ReidsearchError(f"cannot write to {folder}: {error.strerror}") from error
    say(f"{count(len(result.orders), 'picture')} in {escape(str(folder))}")
