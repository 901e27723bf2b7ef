"""`reidsearch erase`."""

from __future__ import annotations

import sys
from collections import Counter
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from reidsearch.cli.asking import AskedPerson, asks
from reidsearch.cli.opening import open_db
from reidsearch.cli.options import Json
from reidsearch.cli.output import print_json, print_table, say
from reidsearch.core.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from reidsearch.services.erase import Erasure

NOTHING_TO_ERASE = 3


@asks(AskedPerson)
def erase(
    asked: AskedPerson,
    crop: Annotated[
        list[str] | None,
        typer.Option(metavar="CROP_ID", help="Erase this stored person; may be given again."),
    ] = None,
    max_distance: Annotated[
        float | None,
        typer.Option(
            min=0.0, max=2.0, help="Erase everyone so near to QUERY, --frame or --id, in any frame."
        ),
    ] = None,
    camera: Annotated[
        list[str] | None, typer.Option(help="Erase what this camera took; may be given again.")
    ] = None,
    source: Annotated[
        list[str] | None,
        typer.Option(metavar="[CAMERA/]SOURCE", help="Erase this source; may be given again."),
    ] = None,
    older_than: Annotated[
        str | None,
        typer.Option(
            metavar="AGE",
            help="Erase what is older, by 30d, 12h, 45m or 2w: footage, or its ingest where nobody "
            "knows when it was taken.",
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be erased, and erase nothing.")
    ] = False,
    wait: Annotated[
        bool, typer.Option("--wait", help="Wait while another process uses the database.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    json: Json = False,
) -> None:
    """Erase people, sources, cameras or old footage for good: nothing of them stays in any file.

    What is given together must all hold. The database is written anew, which needs as much room
    again meanwhile. Footage and backups are not touched: footage that is ingested again comes back.
    """
    from reidsearch.services.erase import Age, choose_crops, choose_frames, choose_near

    person = bool(asked.pictures or asked.frame or asked.crop_id)
    _require_both(person=person, near=max_distance is not None)
    narrowed = bool(camera or source or older_than)
    if bool(crop) == (person or narrowed):
        raise UsageError(
            "say what to erase" if not crop else "--crop stands alone",
            hint="--crop, --camera, --source, --older-than, or a person and --max-distance",
        )
    age = None if older_than is None else Age.parse(older_than)
    with open_db(asked.db, asked.models) as database:
        if wait:
            database.wait_until_free()
        with database.read() as gallery:
            if crop:
                erasure = choose_crops(gallery, crop)
            else:
                erasure = choose_frames(gallery, camera or (), source or (), age)
            if max_distance is not None:
                erasure = choose_near(gallery, asked.query(gallery), max_distance, erasure)
        if not json:
            _show(erasure, dry_run=dry_run)
        if erasure and not dry_run:
            _confirm(yes=yes)
            database.erase(erasure, wait=wait)
    if json:
        _print(erasure, is_erased=bool(erasure) and not dry_run)
    if not erasure:
        raise typer.Exit(NOTHING_TO_ERASE)
    if not dry_run:
        _say_erased(asked.db)


def _say_erased(db: Path) -> None:
    say(f"erased from {escape(str(db))}; footage, and backups made before, still show them")


def _require_both(*, person: bool, near: bool) -> None:
    if person and not near:
        raise UsageError(
            "say how near to that person: --max-distance",
            hint="`reidsearch search` shows distances; --crop erases a single sighting",
        )
    if near and not person:
        raise UsageError("--max-distance needs a person: a picture, --frame or --id")


def _show(erasure: Erasure, *, dry_run: bool) -> None:
    if not erasure:
        say("there is nothing to erase")
        return
    from reidsearch.cli.tables import detection_table, erasure_table
    from reidsearch.core.text import count

    if erasure.frames:
        print_table(erasure_table(*_count_by_source(erasure)))
    else:
        print_table(detection_table(erasure.detections))
    with_frames = f" with {count(erasure.frame_count, 'frame')}" if erasure.frames else ""
    people = count(len(erasure.detections), "sighting")
    say(f"{people}{with_frames} {'would' if dry_run else 'will'} go")


def _print(erasure: Erasure, *, is_erased: bool) -> None:
    people, frames = _count_by_source(erasure)
    print_json(
        {
            "erased": is_erased,
            "people": len(erasure.detections),
            "frames": erasure.frame_count,
            "sources": [
                {"source": name, "people": people[name], "frames": frames.get(name, 0)}
                for name in sorted(people | frames)
            ],
        }
        | ({} if erasure.frames else {"ids": sorted(erasure.ids)})
    )


def _count_by_source(erasure: Erasure) -> tuple[Counter[str], dict[str, int]]:
    people = Counter(f"{s.camera}/{s.source}" for s in erasure.detections)
    return people, {"/".join(key): len(numbers) for key, numbers in erasure.frames.items()}


def _confirm(*, yes: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        raise UsageError("nothing was erased: nobody confirmed it", hint="--yes does not ask")
    typer.confirm("Erase this for good?", abort=True, err=True)
