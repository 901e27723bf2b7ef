"""`reidsearch erase`."""

from __future__ import annotations

import sys
from collections import Counter
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from reidsearch.cli.opening import open_db
from reidsearch.cli.options import Json
from reidsearch.cli.output import NOTHING_MATCHED, print_json, print_table, say
from reidsearch.cli.query_options import QueryOptions, with_options
from reidsearch.core.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from reidsearch.services.erase import Erasure


@with_options(QueryOptions)
def erase(
    options: QueryOptions,
    crop: Annotated[
        list[str] | None,
        typer.Option(metavar="CROP_ID", help="Erase this stored detection; repeatable."),
    ] = None,
    max_distance: Annotated[
        float | None,
        typer.Option(
            min=0.0,
            max=2.0,
            help="Erase everyone within this distance of QUERY, --frame or --id, in any frame.",
        ),
    ] = None,
    camera: Annotated[
        list[str] | None, typer.Option(help="Erase everything from this camera; repeatable.")
    ] = None,
    source: Annotated[
        list[str] | None,
        typer.Option(metavar="[CAMERA/]SOURCE", help="Erase this source; repeatable."),
    ] = None,
    older_than: Annotated[
        str | None,
        typer.Option(
            metavar="AGE",
            help="Erase what is older than 30d, 12h, 45m or 2w; footage without a known start is "
            "as old as its ingest.",
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be erased, without erasing it.")
    ] = False,
    wait: Annotated[
        bool, typer.Option("--wait", help="Wait while another process uses the database.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Skip the confirmation.")] = False,
    json: Json = False,
) -> None:
    """Erase people, sources, cameras or old footage from every file of the database.

    Options combine: only what matches all of them is erased. The database is rewritten, which needs
    as much free disk space as it takes. Footage and backups are not touched.
    """
    from reidsearch.services.erase import Age, choose_crops, choose_frames, choose_near

    person = bool(options.pictures or options.frame or options.crop_id)
    _require_both(person=person, near=max_distance is not None)
    narrowed = bool(camera or source or older_than)
    if bool(crop) == (person or narrowed):
        raise UsageError(
            "nothing to erase was named" if not crop else "--crop excludes other options",
            hint="give --crop, --camera, --source, --older-than, or a person and --max-distance",
        )
    age = None if older_than is None else Age.parse(older_than)
    with open_db(options.db, options.models) as database:
        if wait:
            database.wait_until_free()
        with database.read() as gallery:
            if crop:
                erasure = choose_crops(gallery, crop)
            else:
                erasure = choose_frames(gallery, camera or (), source or (), age)
            if max_distance is not None:
                erasure = choose_near(gallery, options.query(gallery), max_distance, erasure)
        if not json:
            _show(erasure, dry_run=dry_run)
        if erasure and not dry_run:
            _confirm(yes=yes)
            database.erase(erasure, wait=wait)
    if json:
        _print(erasure, is_erased=bool(erasure) and not dry_run)
    if not erasure:
        raise typer.Exit(NOTHING_MATCHED)
    if not dry_run:
        _say_erased(options.db)


def _say_erased(db: Path) -> None:
    say(f"erased from {escape(str(db))}; footage, and backups made before, still show them")


def _require_both(*, person: bool, near: bool) -> None:
    if person and not near:
        raise UsageError(
            "a person needs --max-distance",
            hint="`reidsearch search` shows distances; --crop erases a single detection",
        )
    if near and not person:
        raise UsageError("--max-distance needs a person: give a picture, --frame or --id")


def _show(erasure: Erasure, *, dry_run: bool) -> None:
    if not erasure:
        say("nothing matches: there is nothing to erase")
        return
    from reidsearch.cli.tables import detection_table, erasure_table
    from reidsearch.core.text import count

    if erasure.frames:
        print_table(erasure_table(*_count_by_source(erasure)))
    else:
        print_table(detection_table(erasure.detections))
    with_frames = f" with {count(erasure.frame_count, 'frame')}" if erasure.frames else ""
    detections = count(len(erasure.detections), "detection")
    say(f"{detections}{with_frames} {'would' if dry_run else 'will'} be erased")


def _print(erasure: Erasure, *, is_erased: bool) -> None:
    detections, frames = _count_by_source(erasure)
    print_json(
        {
            "erased": is_erased,
            "detections": len(erasure.detections),
            "frames": erasure.frame_count,
            "sources": [
                {"source": name, "detections": detections[name], "frames": frames.get(name, 0)}
                for name in sorted(detections | frames)
            ],
        }
        | ({} if erasure.frames else {"ids": sorted(erasure.ids)})
    )


def _count_by_source(erasure: Erasure) -> tuple[Counter[str], dict[str, int]]:
    detections = Counter(f"{s.camera}/{s.source}" for s in erasure.detections)
    return detections, {"/".join(key): len(numbers) for key, numbers in erasure.frames.items()}


def _confirm(*, yes: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        raise UsageError("nothing was erased: there was no confirmation", hint="--yes skips it")
    typer.confirm("Erase this permanently?", abort=True, err=True)
