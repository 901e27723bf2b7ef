"""`reidsearch inspect`."""

from __future__ import annotations

from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from reidsearch.cli.opening import open_db
from reidsearch.cli.options import DEFAULT_DB, Db, Force, Json, Root
from reidsearch.cli.output import print_fields, print_json, print_table, say, warn
from reidsearch.core.errors import ReidsearchError, UsageError
from reidsearch.core.files import PICTURES, require_writable
from reidsearch.core.text import iso_time

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from reidsearch.core.provenance import SourceRecord
    from reidsearch.core.store import Store
    from reidsearch.core.types import StoredDetection
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
            help="The database, its sources, a frame, a stored detection, or all ingests."
        ),
    ] = What.DATABASE,
    address: Annotated[
        str | None,
        typer.Argument(
            metavar="ADDRESS", help="[CAMERA/]SOURCE:N of a frame, or the id of a crop."
        ),
    ] = None,
    preview: Annotated[
        bool, typer.Option("--preview", help="Show the frame and its detections in the terminal.")
    ] = False,
    sheet: Annotated[
        Path | None,
        typer.Option(metavar="FILE.jpg", help="Draw the frame with its detections, numbered."),
    ] = None,
    force: Force = False,
    root: Root = None,
    db: Db = DEFAULT_DB,
    json: Json = False,
) -> None:
    """Show what a database holds, and what it was made with."""
    if (address is not None) != (what in (What.FRAME, What.CROP)):
        raise UsageError(
            f"inspect {what} takes {'no' if address is not None else 'an'} address",
            hint="inspect, inspect sources, inspect runs, inspect frame SOURCE:N, inspect crop ID",
        )
    if (preview or sheet) and (what != What.FRAME or (preview and json)):
        raise UsageError(
            "--preview and --sheet go with inspect frame, and --preview without --json"
        )
    with open_db(db) as database, database.read() as gallery:
        store = gallery.store
        if sheet is not None:
            require_writable(sheet, *PICTURES, force=force, protected=gallery.footage_paths())
        match what:
            case What.DATABASE:
                _show_database(store, database.size(), json=json)
            case What.SOURCES:
                _show_sources(store, json=json)
            case What.FRAME:
                _show_frame(store, str(address), sheet, root, preview=preview, json=json)
            case What.CROP:
                _show_crop(store, str(address), json=json)
            case What.RUNS:
                _show_runs(database.runs(), json=json)


def _show_database(store: Store, size: int, *, json: bool) -> None:
    from reidsearch.cli.tables import source_table
    from reidsearch.core.provenance import name_finders
    from reidsearch.core.text import format_bytes

    sources, provenance = store.sources(), store.provenance
    fields: dict[str, Any] = {
        "detections": len(store),
        "frames": sum(record.frames for record in sources),
        "cameras": sorted({record.info.camera for record in sources}),
        "bytes": size,
        "models": {
            "detector": ", ".join(name_finders(provenance, sources)),
            "embedder": provenance.embedder,
        },
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


def _show_frame(
    store: Store, address: str, sheet: Path | None, root: Path | None, *, preview: bool, json: bool
) -> None:
    from reidsearch.core.types import Filter
    from reidsearch.search.query import find_frame
    from reidsearch.services.export import detection_row

    record, frame = find_frame(store, address)
    detections = store.detections(Filter(sources=(record.info.key,), frame=frame))
    if json:
        time_s = record.info.time_of(frame)
        fields = {"camera": record.info.camera, "source": record.info.name, "frame": frame}
        fields |= {"time_s": time_s, "time": iso_time(time_s)}
        print_json(fields | {"detections": [detection_row(one) for one in detections]})
    elif detections:
        _print_frame(detections, root, preview=preview)
    else:
        say("no detection in this frame")
    if sheet is not None and detections:
        from reidsearch.render.numbered import write_numbered

        write_numbered(_read_frame(detections[0], root), _boxes(detections), sheet)
        say(f"picture: {escape(str(sheet))}")


def _print_frame(
    detections: Sequence[StoredDetection], root: Path | None, *, preview: bool
) -> None:
    from reidsearch.cli.tables import detection_table

    pictures = None
    if preview:
        from reidsearch.cli.preview import show_crops, show_frame
        from reidsearch.render.numbered import draw_numbered

        image = _read_frame(detections[0], root)
        print_table(show_frame(draw_numbered(image, _boxes(detections))))
        pictures, _ = show_crops(detections, root)
    print_table(detection_table(detections, pictures))


def _boxes(detections: Iterable[StoredDetection]) -> dict[int, tuple[float, float, float, float]]:
    return {detection.index: detection.box_xyxy for detection in detections}


def _read_frame(detection: StoredDetection, root: Path | None) -> NDArray[np.uint8]:
    from reidsearch.footage.reread import read_frames

    found = next(read_frames([detection], root))
    if found.image is None:
        raise ReidsearchError(found.problem, hint="if it was moved, use --root DIR")
    if found.problem:
        warn(found.problem)
    return found.image


def _show_crop(store: Store, crop_id: str, *, json: bool) -> None:
    from reidsearch.cli.tables import format_box
    from reidsearch.search.query import query_crop
    from reidsearch.services.export import detection_row

    query = query_crop(store, crop_id)
    fields = detection_row(query.detection)
    if json:
        print_json({**fields, "embedding": query.vectors[0].tolist()})
    else:
        print_fields({**fields, "box_xyxy": format_box(fields["box_xyxy"])})


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
    from_s, to_s = (None if n is None else record.info.time_of(n) for n in (first, last))
    return {
        "source": name,
        **info,
        "frames": record.frames,
        "detections": record.detections,
        "first_frame": first,
        "last_frame": last,
        "from_s": from_s,
        "from_time": None if from_s is None else iso_time(from_s),
        "to_s": to_s,
        "to_time": None if to_s is None else iso_time(to_s),
        "settings": asdict(record.settings),
    }
