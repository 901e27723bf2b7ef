"""`reidsearch people`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from reidsearch.cli.opening import open_db, read_db
from reidsearch.cli.options import DEFAULT_DB, Db, Json, Root
from reidsearch.cli.output import NOTHING_MATCHED, print_json, print_table, say
from reidsearch.core.errors import UsageError
from reidsearch.core.text import count, format_probability

if TYPE_CHECKING:
    from pathlib import Path

    from reidsearch.core.types import Match
    from reidsearch.people.persons import Do, Step
    from reidsearch.services.gallery import Gallery

app = typer.Typer(
    help="Give people names, and say which detections show them.", no_args_is_help=True
)

_Name = Annotated[str, typer.Argument(metavar="NAME", help="Of the person.")]
_Crops = Annotated[
    list[str], typer.Argument(metavar="CROP_ID...", help="Stored detections, by id.")
]
_MOST = 50


@app.command()
def new(
    name: _Name,
    crop_ids: Annotated[
        list[str] | None,
        typer.Argument(metavar="[CROP_ID]...", help="Stored detections that show the person."),
    ] = None,
    frame: Annotated[
        str | None,
        typer.Option(metavar="[CAMERA/]SOURCE:N", help="A stored frame with the person."),
    ] = None,
    person: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Which detection of --frame. Default: the first."),
    ] = None,
    db: Db = DEFAULT_DB,
    json: Json = False,
) -> None:
    """Name somebody, whom a stored detection shows."""
    with read_db(db) as gallery:
        crops = gallery.people.find(crop_ids or ())
        if frame is not None or person is not None:
            query = gallery.find_query(frame=frame, person=person)
            crops += [one for one in (query.detection,) if one is not None]
        gallery.people.judge("new", name, crops)
    _finish(db, name, json=json)


@app.command()
def confirm(name: _Name, crop_ids: _Crops, db: Db = DEFAULT_DB, json: Json = False) -> None:
    """Say that stored detections, and so their passages, show a person."""
    _judge("confirm", name, crop_ids, db, json=json)


@app.command()
def reject(name: _Name, crop_ids: _Crops, db: Db = DEFAULT_DB, json: Json = False) -> None:
    """Say that stored detections, and so their passages, show somebody else."""
    _judge("reject", name, crop_ids, db, json=json)


@app.command(name="list")
def list_people(db: Db = DEFAULT_DB, json: Json = False) -> None:
    """List everybody with a name."""
    from reidsearch.cli.tables import people_table

    with open_db(db) as database:
        persons = database.people().all()
    rows = [
        {"name": name, "confirmed": len(one.confirmed), "rejected": len(one.rejected)}
        for name, one in sorted(persons.items())
    ]
    if json:
        print_json(rows)
    elif rows:
        print_table(people_table(rows))
    else:
        say("nobody has a name yet: `reidsearch people new`")


@app.command()
def show(name: _Name, db: Db = DEFAULT_DB, json: Json = False) -> None:
    """Show what was said of a person, and by whom."""
    from reidsearch.cli.tables import verdict_table
    from reidsearch.people.persons import find_person
    from reidsearch.services.export import detection_row

    with read_db(db) as gallery:
        person = find_person(gallery.people.all(), name)
        judged = gallery.people.judged(name)
    rows = [
        {**detection_row(one), "verdict": verdict, "user": said[one.id][1]}
        for verdict, found, said in (
            ("confirmed", judged.confirmed, person.confirmed),
            ("rejected", judged.rejected, person.rejected),
        )
        for one in found
    ]
    if json:
        print_json({"name": name, "verdicts": rows, "stale": judged.stale})
        return
    if rows:
        print_table(verdict_table(rows))
    elif not judged.stale:
        say(f"nothing was said of {escape(name)} yet: `reidsearch people confirm`")
    if judged.stale:
        say(f"{count(judged.stale, 'more verdict')} of detections that changed or are gone")


@app.command()
def rename(
    name: _Name,
    new_name: Annotated[str, typer.Argument(metavar="NEW_NAME", help="What it is to be.")],
    db: Db = DEFAULT_DB,
    json: Json = False,
) -> None:
    """Give a person another name."""
    _say("rename", name, new_name, db)
    _finish(db, new_name, json=json)


@app.command()
def merge(
    name: _Name,
    into: Annotated[str, typer.Argument(metavar="INTO", help="The person who stays.")],
    db: Db = DEFAULT_DB,
    json: Json = False,
) -> None:
    """Say that two people are one: INTO gets all that was said of NAME."""
    _say("merge", name, into, db)
    _finish(db, into, json=json)


@app.command()
def split(
    name: _Name,
    new_name: Annotated[str, typer.Argument(metavar="NEW_NAME", help="Of the other person.")],
    crop_ids: _Crops,
    db: Db = DEFAULT_DB,
    json: Json = False,
) -> None:
    """Say that some confirmed detections show another person, who gets a name of their own."""
    with read_db(db) as gallery:
        gallery.people.judge("split", name, gallery.people.find(crop_ids), new_name)
    _finish(db, new_name, json=json)


@app.command()
def forget(name: _Name, db: Db = DEFAULT_DB, json: Json = False) -> None:
    """Forget a person and what was said; the detections stay, and `undo` brings the name back."""
    _say("forget", name, "", db)
    if json:
        print_json({"name": name, "forgotten": True})
    else:
        say(f"{escape(name)} is forgotten")


@app.command()
def undo(db: Db = DEFAULT_DB, json: Json = False) -> None:
    """Take back the last thing that you said."""
    with open_db(db) as database:
        step = database.people().say("undo")
    if json:
        print_json({"undone": step.do, "name": step.name, "crops": [one.id for one in step.crops]})
        return
    _say_undone(step)


@app.command()
def propose(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="Names the person of --accept.")
    ] = None,
    source: Annotated[
        list[str] | None,
        typer.Option(metavar="[CAMERA/]SOURCE", help="Only of this source; repeatable."),
    ] = None,
    min_detections: Annotated[
        int, typer.Option(min=1, help="Leave out passages with fewer detections.")
    ] = 5,
    max_distance: Annotated[
        float | None,
        typer.Option(min=0.0, max=2.0, help="Of two groups that become one. Default: 0.87."),
    ] = None,
    overlapping: Annotated[
        bool,
        typer.Option("--overlapping", help="Two cameras may see somebody at the same time."),
    ] = False,
    accept: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Name the N-th of them, and confirm the passages."),
    ] = None,
    db: Db = DEFAULT_DB,
    json: Json = False,
) -> None:
    """Group all passages into people: who is here, and how many are they?

    Nobody is in two places at once, and what was confirmed or rejected is kept to. It is a
    proposal: people in similar clothes become one, and who changes looks becomes two.
    """
    from reidsearch.cli.tables import proposal_table
    from reidsearch.people.proposals import SAME_DISTANCE
    from reidsearch.services.proposals import propose_people

    if (name is None) != (accept is None):
        raise UsageError("NAME and --accept go together")
    with read_db(db) as gallery:
        found = propose_people(
            gallery,
            gallery.find_sources(source or ()),
            min_detections=min_detections,
            overlapping=overlapping,
            max_distance=SAME_DISTANCE if max_distance is None else max_distance,
        )
        if accept is not None and name is not None:
            if accept > len(found.people):
                raise UsageError(
                    f"there are {len(found.people)} people",
                    hint="`reidsearch people propose` lists them",
                )
            crops = [passage.best for passage in found.people[accept - 1].passages]
            gallery.people.judge("new", name, crops)
    if accept is not None and name is not None:
        _finish(db, name, json=json)
        return
    rows = [
        {
            "n": n,
            "name": one.name,
            "passages": len(one.passages),
            "detections": sum(passage.count for passage in one.passages),
            "cameras": sorted({passage.key.camera for passage in one.passages}),
            "first_s": one.passages[0].first_s,
            "last_s": max(passage.last_s for passage in one.passages),
            "ids": [passage.best.id for passage in one.passages],
        }
        for n, one in enumerate(found.people, start=1)
    ]
    if json:
        print_json({"people": rows, "fewest": found.fewest, "most": found.most})
    if not rows:
        say("there is no passage as long as that")
        raise typer.Exit(NOTHING_MATCHED)
    if json:
        return
    print_table(proposal_table(rows))
    about = f"about {len(rows)} people" if len(rows) > 1 else "1 person"
    say(f"{about}, {found.fewest} to {found.most} where looks are judged otherwise")


@app.command()
def judge(name: _Name, root: Root = None, db: Db = DEFAULT_DB) -> None:
    """Show one likely passage after the other, and ask whether it is the person.

    Answers are y (yes), n (no), s (skip), u (undo the last one) and q (quit). After each, the
    search is made anew: what was confirmed helps to find the rest.
    """
    with read_db(db) as gallery:
        skipped: set[str] = set()
        judged = 0
        while (match := _next(gallery, name, skipped)) is not None:
            answer = _ask(match, root)
            if answer == "q":
                break
            if answer == "s":
                skipped.add(match.detection.id)
                continue
            if answer == "u" and judged:
                _say_undone(gallery.people.say("undo"))
                judged -= 1
            elif answer == "u":
                say("nothing was said yet: `reidsearch people undo` goes back further")
            else:
                gallery.people.judge(
                    "confirm" if answer == "y" else "reject", name, [match.detection]
                )
                judged += 1
    say(f"{count(judged, 'verdict')}; `reidsearch search --who {escape(repr(name))}` shows them")
    if not judged:
        raise typer.Exit(NOTHING_MATCHED)


def _next(gallery: Gallery, name: str, skipped: set[str]) -> Match | None:
    """The most probable passage that is not judged yet, as long as it is likely."""
    from reidsearch.search.grouping import Grouping

    query = gallery.find_person(name)
    result = gallery.search(query, grouping=Grouping(_MOST + len(query.confirmed)))
    for match in result.matches:
        if not match.is_confirmed and match.detection.id not in skipped:
            return match if match.is_likely or result.calibration is None else None
    return None


def _ask(match: Match, root: Path | None) -> str:
    from reidsearch.cli.preview import show_crops
    from reidsearch.cli.tables import match_table

    pictures, _ = show_crops([match.detection], root) if sys.stdout.isatty() else (None, set())
    print_table(match_table([match], pictures))
    sure = "" if match.probability is None else f" ({format_probability(match.probability)})"
    while True:
        answer = typer.prompt(f"the same person{sure}? y/n/s/u/q", err=True).strip().lower()[:1]
        if answer in "ynsuq" and answer:
            return str(answer)


def _say(do: Do, name: str, other: str, db: Path) -> None:
    with open_db(db) as database:
        database.people().say(do, name, other)


def _judge(do: Do, name: str, crop_ids: list[str], db: Path, *, json: bool) -> None:
    with read_db(db) as gallery:
        gallery.people.judge(do, name, gallery.people.find(crop_ids))
    _finish(db, name, json=json)


def _say_undone(step: Step) -> None:
    crops = f" {count(len(step.crops), 'detection')}" if step.crops else ""
    say(f"undone: {step.do} {escape(step.name)}{crops}")


def _finish(db: Path, name: str, *, json: bool) -> None:
    """Say how much is known of somebody now."""
    from reidsearch.people.persons import find_person

    with open_db(db) as database:
        person = find_person(database.people().all(), name)
    confirmed, rejected = len(person.confirmed), len(person.rejected)
    if json:
        print_json({"name": name, "confirmed": confirmed, "rejected": rejected})
        return
    say(f"{escape(name)}: {count(confirmed, 'detection')} confirmed, {rejected} rejected")
