"""`reidsearch erase`."""

from __future__ import annotations

import sys
from collections import Counter
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from reidsearch.cli.asking import AskedPerson, asks
from reidsearch.cli.options import Json
from reidsearch.cli.output import print_json, print_table, say, warn
from reidsearch.cli.progress import working
from reidsearch.core.errors import UsageError

if TYPE_CHECKING:
    from reidsearch.services.erase import Erasure
    from reidsearch.services.gallery import Gallery

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
    from reidsearch.services import erase as erasing

    person = bool(asked.pictures or asked.frame or asked.crop_id)
    _require_both(person=person, near=max_distance is not None)
    narrowed = bool(camera or source or older_than)
    if bool(crop) == (person or narrowed):
        raise UsageError(
            "say what to erase" if not crop else "--crop stands alone",
            hint="--crop, --camera, --source, --older-than, or a person and --max-distance",
        )
    age_s = None if older_than is None else erasing.parse_age(older_than)
    if wait:
        erasing.wait_for_others(asked.db, warn)
    with asked.open() as gallery:
        seen = gallery.store.state
        if crop:
            erasure = _choose_crops(gallery, crop)
        else:
            window = gallery.window(cameras=camera or (), sources=source or ())
            chosen = window.choose(gallery.store.sources())
            erasure = erasing.choose_frames(gallery.store, asked.db, chosen, age_s)
            if person:
                older = f" older than {older_than}" if older_than else ""
                scope = f"all frames{window}{older}, to erase"
                erasure = _choose_near(asked, gallery, erasure, max_distance or 0.0, scope)
    is_nothing = not (erasure.detections or erasure.frames)
    if not json:
        _show(erasure, dry_run=dry_run)
    elif dry_run or is_nothing:
        _print(erasure, is_erased=False)
    if is_nothing:
        raise typer.Exit(NOTHING_TO_ERASE)
    if dry_run:
        return
    _confirm(yes=yes)
    about: dict[str, Any] = {
        "camera": camera,
        "source": source,
        "older_than": older_than,
        "max_distance": max_distance,
        "people": len(erasure.detections),
        "frames": erasure.frame_count,
    }
    given = {name: value for name, value in about.items() if value is not None}
    with working("erasing") as step:
        erasing.erase(asked.db, seen, erasure, given, step, wait=wait, on_note=warn)
    if json:
        _print(erasure, is_erased=True)
    say(f"erased from {escape(str(asked.db))}; footage, and backups made before, still show them")


def _require_both(*, person: bool, near: bool) -> None:
    if person and not near:
        raise UsageError(
            "say how near to that person: --max-distance",
            hint="`reidsearch search` shows distances; --crop erases a single sighting",
        )
    if near and not person:
        raise UsageError("--max-distance needs a person: a picture, --frame or --id")


def _choose_crops(gallery: Gallery, crops: list[str]) -> Erasure:
    from reidsearch.search.query import query_crop
    from reidsearch.services.erase import Erasure

    people = [query_crop(gallery.store, crop_id).detection for crop_id in dict.fromkeys(crops)]
    return Erasure(people)


def _choose_near(
    asked: AskedPerson, gallery: Gallery, among: Erasure, max_distance: float, scope: str
) -> Erasure:
    """Those among the chosen who are near to the person asked for; their frames stay known."""
    from reidsearch.core.types import Filter
    from reidsearch.services.erase import Erasure, choose_people

    if not among.frames:
        return Erasure([])
    query = asked.query(gallery)
    wanted = Filter(sources=tuple(among.frames))
    allowed = among.ids
    near = choose_people(gallery.store, [query], max_distance, wanted)
    people = [sighting for sighting in near if sighting.id in allowed]
    ids = [sighting.id for sighting in people]
    asked.record(gallery, query, ids, scope=scope, max_distance=max_distance)
    return Erasure(people)


def _show(erasure: Erasure, *, dry_run: bool) -> None:
    if not (erasure.detections or erasure.frames):
        say("there is nothing to erase")
        return
    from reidsearch.cli.tables import erasure_table, sighting_table
    from reidsearch.core.text import count

    if erasure.frames:
        print_table(erasure_table(*_count_by_source(erasure)))
    else:
        print_table(sighting_table(erasure.detections))
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
