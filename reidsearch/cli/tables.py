"""Tables for a terminal."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from rich.markup import escape
from rich.table import Table

from reidsearch.core.text import (
    format_bytes,
    format_percent,
    format_probability,
    format_time,
    printable,
)
from reidsearch.models.weights import missing_files

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from rich.console import RenderableType

    from reidsearch.core.provenance import SourceRecord
    from reidsearch.core.types import Detections, Match, StoredDetection
    from reidsearch.database.audit_entry import Entry
    from reidsearch.database.doctor import Finding
    from reidsearch.database.runs import Run
    from reidsearch.ingest.report import StageTimes
    from reidsearch.models.cards import DetectorCard, EmbedderCard, ModelCard
    from reidsearch.research.calibrate import Level


def format_box(box_xyxy: Iterable[float]) -> str:
    """Write a box as `--box` takes it, in whole pixels."""
    return ",".join(f"{edge:.0f}" for edge in box_xyxy)


def match_table(
    matches: Sequence[Match], pictures: Mapping[str, RenderableType] | None = None
) -> Table:
    """Ranked matches, nearest first; with pictures, by detection's id, beside them."""
    calibrated = any(match.probability is not None for match in matches)
    of_passages = any(match.passage is not None for match in matches)
    columns = ("rank", "distance", *(("probability",) if calibrated else ()))
    columns = (*columns, *(_PASSAGE_COLUMNS if of_passages else _DETECTION_COLUMNS))
    table = _new_table(*(() if pictures is None else ("",)), *columns)
    for match in matches:
        picture = () if pictures is None else (pictures[match.detection.id],)
        probability = () if match.probability is None else (_format_sure(match),)
        cells = str(match.rank), f"{match.distance:.4f}", *probability
        cells = (*cells, *_match_cells(match))
        table.add_row(*picture, *map(_as_cell, cells))
    return table


def people_table(rows: Iterable[Mapping[str, Any]]) -> Table:
    """Everybody with a name, and how much was said of them."""
    table = _new_table("name", "confirmed", "rejected")
    for row in rows:
        _add_row(table, row["name"], str(row["confirmed"]), str(row["rejected"]))
    return table


def verdict_table(rows: Iterable[Mapping[str, Any]]) -> Table:
    """What was said of one person."""
    table = _new_table("verdict", "id", "time", "user")
    for row in rows:
        _add_row(table, row["verdict"], row["id"], _format_moment(row["time_s"]), row["user"])
    return table


def proposal_table(rows: Iterable[Mapping[str, Any]]) -> Table:
    """Who may be in footage."""
    table = _new_table(
        "n", "name", "passages", "detections", "cameras", "from", "to", "one of them"
    )
    for row in rows:
        cells = str(row["n"]), row["name"], str(row["passages"]), str(row["detections"])
        times = (_format_moment(row[key]) for key in ("first_s", "last_s"))
        _add_row(table, *cells, ", ".join(row["cameras"]), *times, row["ids"][0])
    return table


def stage_table(stages: Iterable[StageTimes]) -> Table:
    """What the stages of an ingest were doing, in seconds."""
    table = _new_table("stage", *_STAGE_COLUMNS)
    for times in stages:
        seconds = (times.busy_s, times.input_wait_s, times.output_wait_s)
        _add_row(table, times.name, *(f"{s:.1f} s" for s in seconds))
    return table


def detection_table(
    detections: Iterable[StoredDetection], pictures: Mapping[str, RenderableType] | None = None
) -> Table:
    """Stored detections, row by row; with pictures, by id, beside them."""
    table = _new_table(*(() if pictures is None else ("",)), *_DETECTION_COLUMNS)
    for detection in detections:
        picture = () if pictures is None else (pictures[detection.id],)
        table.add_row(*picture, *map(_as_cell, _detection_cells(detection)))
    return table


def scene_table(found: Detections, pictures: Sequence[RenderableType] | None = None) -> Table:
    """Who was found in a picture; with pictures of them beside."""
    table = _new_table(*(() if pictures is None else ("",)), "n", "box", "score")
    people = zip(found.xyxy.tolist(), found.score.tolist(), strict=True)
    for place, (box, score) in enumerate(people):
        picture = () if pictures is None else (pictures[place],)
        table.add_row(*picture, str(place + 1), format_box(box), f"{score:.2f}")
    return table


def source_table(sources: Iterable[SourceRecord]) -> Table:
    """What a database holds of each source."""
    table = _new_table("camera", "source", "frames", "detections", "from", "to", "fps", "path")
    for record in sources:
        info = record.info
        span = [_format_moment(info.time_of(n)) for n in record.span or ()] or ["", ""]
        counts = f"{record.frames}", f"{record.detections}"
        _add_row(table, info.camera, info.name, *counts, *span, f"{info.fps:g}", info.path)
    return table


def reliability_table(curve: Iterable[Level]) -> Table:
    """How often pairs were the same person, beside how often that was said."""
    table = _new_table("predicted", "mean", "observed", "pairs")
    for level in curve:
        shares = (level.predicted, level.observed, level.pairs)
        between = f"{format_percent(level.low)} to {format_percent(level.high)}"
        _add_row(table, between, *(format_percent(share, 2) for share in shares))
    return table


def erasure_table(detections: Mapping[str, int], frames: Mapping[str, int]) -> Table:
    """How much of each source is erased."""
    table = _new_table("source", "frames", "detections")
    for name in sorted({*detections, *frames}):
        _add_row(table, name, str(frames.get(name, 0)), str(detections.get(name, 0)))
    return table


def run_table(runs: Iterable[Run]) -> Table:
    """Who wrote a database, and how that ended."""
    table = _new_table("started", "took", "outcome", "frames", "detections", "command", "sources")
    for run in runs:
        counts = str(run.frames), str(run.detections)
        began = datetime.fromisoformat(run.started)
        ended = None if run.ended is None else datetime.fromisoformat(run.ended)
        took = "" if ended is None else format_time((ended - began).total_seconds())
        what = run.command, ", ".join(run.sources)
        _add_row(table, f"{began:%Y-%m-%d %H:%M}", took, run.outcome or "", *counts, *what)
    return table


def finding_table(findings: Iterable[Finding]) -> Table:
    """What doctor came to."""
    table = _new_table("check", "state", "found", "what to do")
    for finding in findings:
        _add_row(table, finding.check, finding.state, finding.found, finding.remedy)
    return table


def audit_table(entries: Iterable[Entry]) -> Table:
    """Who asked for whom."""
    table = _new_table("entry", "at", "user", "action", "asked for", "where and how", "results")
    for entry in entries:
        asked = entry.asked_id or ""
        pictures = entry.about.get("pictures", "")
        _add_row(
            table,
            str(entry.number),
            entry.time.replace("T", " ").partition(".")[0],
            f"{entry.actor or entry.user}@{entry.host}",
            entry.action,
            asked or _as_words(pictures),
            _describe(entry.about),
            str(entry.about.get("detections", len(entry.ids))),
        )
    return table


def model_table(
    cards: Iterable[DetectorCard | EmbedderCard], recommended: Sequence[ModelCard]
) -> Table:
    """The catalogue."""
    table = _new_table("name", "size", "input", "weights", "measured", "licence", "data", "needs")
    for card in cards:
        _add_row(
            table,
            card.name,
            format_bytes(card.bytes) if card.bytes else "",
            card.input_size,
            f"{_describe_weights(card)}{', recommended' * (card in recommended)}",
            card.measured,
            card.license,
            card.data_license,
            ", ".join(card.needs),
        )
    return table


def _describe_weights(card: ModelCard) -> str:
    if not card.files:
        return "yours"
    if not any(file.url for file in card.files):
        return "packaged"
    return "to download" if missing_files(card) else "downloaded"


_DETECTION_COLUMNS = ("camera", "source", "frame", "n", "time", "box", "score")
_PASSAGE_COLUMNS = ("camera", "source", "from", "to", "detections", "nearest")
_STAGE_COLUMNS = ("busy", "waited for input", "waited for the next")
_RIGHT = {
    *(
        "rank",
        "distance",
        "confirmed",
        "rejected",
        "passages",
        "frame",
        "frames",
        "detections",
        "n",
        "time",
        "score",
        "fps",
        "size",
    ),
    *("probability", "mean", "observed", "pairs", "detections", "from", "to"),
    *("entry", "results", "took"),
    *_STAGE_COLUMNS,
}
# Texts that may be folded; all other cells stay in one line.
_TEXTS = {
    "path",
    "found",
    "what to do",
    "asked for",
    "where and how",
    "sources",
    "measured",
    "licence",
    "data",
}
# What `scope` says in words, and what has a column of its own.
_IN_SCOPE = {"scope", "camera", "source", "after", "before", "between", "min_score"}
_MOST_WORDS = 3
_IN_COLUMNS = {"pictures", "detections"}


def _describe(about: Mapping[str, Any]) -> str:
    """What an entry of the audit log is about: the scope, and options that are not in it."""
    left_out = _IN_COLUMNS | (_IN_SCOPE if "scope" in about else set())
    options = [_as_option(*pair) for pair in about.items() if pair[0] not in left_out]
    return ", ".join([*map(str, filter(None, [about.get("scope")])), *options])


def _as_option(name: str, value: object) -> str:
    """Write `gap 5 s` or `box 250,218,283,309`, of names with a unit or an order of edges."""
    if name.endswith("_xyxy") and isinstance(value, list):
        return f"{name[:-5]} {','.join(map(_as_number, value))}"
    if name.endswith("_s"):
        return f"{name[:-2]} {_as_number(value)} s"
    words = name.replace("_", " ")
    return words if value is True else f"{words} {_as_words(value)}"


def _as_number(value: object) -> str:
    return f"{value:g}" if isinstance(value, int | float) else str(value)


def _as_words(value: object) -> str:
    if not isinstance(value, list):
        return _as_number(value)
    more = [f"and {len(value) - _MOST_WORDS} more"] if len(value) > _MOST_WORDS else []
    return ", ".join([*map(str, value[:_MOST_WORDS]), *more])


def _detection_cells(detection: StoredDetection) -> tuple[str, ...]:
    return (
        detection.camera,
        detection.source,
        str(detection.frame),
        str(detection.index),
        _format_moment(detection.time_s),
        format_box(detection.box_xyxy),
        f"{detection.score:.2f}",
    )


def _format_sure(match: Match) -> str:
    return "confirmed" if match.is_confirmed else format_probability(match.probability or 0.0)


def _match_cells(match: Match) -> tuple[str, ...]:
    detection, passage = match.detection, match.passage
    if passage is None:
        return _detection_cells(detection)
    return (
        detection.camera,
        detection.source,
        _format_moment(passage.first_s),
        _format_moment(passage.last_s),
        str(passage.count),
        f"{detection.frame}:{detection.index}",
    )


def _format_moment(time_s: float) -> str:
    return format_time(time_s, zone=False)


def _new_table(*columns: str) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in columns:
        table.add_column(
            column,
            justify="right" if column in _RIGHT else "left",
            overflow="fold",
            no_wrap=column not in _TEXTS,
        )
    return table


def _add_row(table: Table, *cells: str) -> None:
    table.add_row(*map(_as_cell, cells))


def _as_cell(text: str) -> str:
    """Names may hold what rich would read as markup, or a terminal as a command."""
    return escape(printable(text))
