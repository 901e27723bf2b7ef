"""`reidsearch inspect`."""

from __future__ import annotations

from dataclasses import asdict
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from reidsearch.cli.opening import open_db
from reidsearch.cli.options import DEFAULT_DB, Db, Json
from reidsearch.cli.output import print_fields, print_json, print_table, say
from reidsearch.core.errors import UsageError

if TYPE_CHECKING:
    from reidsearch.core.provenance import SourceRecord
    from reidsearch.core.store import Store
    from reidsearch.database.runs import Run


class What(StrEnum):
    """What to show."""

    DATABASE = "database"
    SOURCES = "sources"
    FRAME = "frame"
    CROP = "crop"
    RUNS = "runs"


def inspect(
    what: Annotated[
        What,
        typer.Argument(
            help="The database, its sources, a frame, a stored detection, or the runs that wrote."
        ),
    ] = What.DATABASE,
    address: Annotated[
        str | None,
        typer.Argument(
            metavar="ADDRESS", help="[CAMERA/]SOURCE:N of a frame, or the id of a crop."
        ),
    ] = None,
    db: Db = DEFAULT_DB,
    json: Json = False,
) -> None:
    """Show what a database holds, and what it was made with."""
    if (address is not None) != (what in (What.FRAME, What.CROP)):
        raise UsageError(
            f"inspect {what} takes {'no' if address is not None else 'an'} address",
            hint="inspect, inspect sources, inspect runs, inspect frame SOURCE:N, inspect crop ID",
        )
    with open_db(db) as database, database.read() as gallery:
        store = gallery.store
        match what:
            case What.DATABASE:
                _show_database(store, database.size(), json=json)
            case What.SOURCES:
                _show_sources(store, json=json)
            case What.FRAME:
                _show_frame(store, str(address), json=json)
            case What.CROP:
                _show_crop(store, str(address), json=json)
            case What.RUNS:
                _show_runs(database.runs(), json=json)


def _show_database(store: Store, size: int, *, json: bool) -> None:
    from reidsearch.cli.tables import source_table
    from reidsearch.core.text import format_bytes

    sources, provenance = store.sources(), store.provenance
    fields: dict[str, Any] = {
        "detections": len(store),
        "frames": sum(record.frames for record in sources),
        "cameras": sorted({record.info.camera for record in sources}),
        "bytes": size,
        "models": {"detector": provenance.detector, "embedder": provenance.embedder},
        "dimension": provenance.dimension,
        "fingerprint": provenance.fingerprint,
        "precision": provenance.precision,
        "versions": provenance.versions,
        "package_version": provenance.package_version,
    }
    if json:
        print_json({**fields, "sources": [_source_fields(record) for record in sources]})
        return
    models = fields.pop("models")
    print_fields(
        {
            **fields,
            "cameras": ", ".join(fields["cameras"]),
            "bytes": format_bytes(fields["bytes"]),
            **models,
        }
    )
    if sources:
        print()
        print_table(source_table(sources))


def _show_sources(store: Store, *, json: bool) -> None:
    from reidsearch.cli.tables import source_table

    if json:
        print_json([_source_fields(record) for record in store.sources()])
    else:
        print_table(source_table(store.sources()))


def _show_frame(store: Store, address: str, *, json: bool) -> None:
    from reidsearch.cli.tables import detection_table
    from reidsearch.core.types import Filter
    from reidsearch.search.query import find_frame

    record, frame = find_frame(store, address)
    detections = store.detections(Filter(sources=(record.info.key,), frame=frame))
    if json:
        time_s = record.info.time_of(frame)
        fields = {"camera": record.info.camera, "source": record.info.name, "frame": frame}
        print_json({**fields, "time_s": time_s, "detections": [asdict(one) for one in detections]})
    elif detections:
        print_table(detection_table(detections))
    else:
        say("no detection in this frame")


def _show_crop(store: Store, crop_id: str, *, json: bool) -> None:
    from reidsearch.cli.tables import format_box
    from reidsearch.search.query import query_crop

    query = query_crop(store, crop_id)
    detection = query.detection
    if json:
        print_json({**asdict(detection), "embedding": query.vectors[0].tolist()})
    else:
        print_fields({**asdict(detection), "box_xyxy": format_box(detection)})


def _show_runs(runs: list[Run], *, json: bool) -> None:
    from reidsearch.cli.tables import run_table

    if json:
        print_json([asdict(run) for run in runs])
    else:
        print_table(run_table(runs))


def _source_fields(record: SourceRecord) -> dict[str, Any]:
    """A source as JSON has it; times are those of its first and last frame."""
    info = asdict(record.info)
    name = info.pop("name")
    first, last = record.span or (None, None)
    return {
        "source": name,
        **info,
        "frames": record.frames,
        "detections": record.detections,
        "first_frame": first,
        "last_frame": last,
        "from_s": None if first is None else record.info.time_of(first),
        "to_s": None if last is None else record.info.time_of(last),
        "settings": asdict(record.settings),
    }
