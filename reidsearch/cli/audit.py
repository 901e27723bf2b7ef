"""`reidsearch audit`."""

from __future__ import annotations

import re
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from reidsearch.cli.opening import open_db
from reidsearch.cli.options import DEFAULT_DB, Db, Json
from reidsearch.cli.output import print_fields, print_json, print_table, say, warn
from reidsearch.core.errors import UsageError

if TYPE_CHECKING:
    from reidsearch.database.audit_entry import Entry
    from reidsearch.database.audit_read import Verdict

NOT_WHOLE = 1

app = typer.Typer(help="Show who searched for whom in a database, and when.", no_args_is_help=True)


@app.command()
def verify(
    db: Db = DEFAULT_DB,
    head: Annotated[
        str | None,
        typer.Option(metavar="HASH", help="A head noted earlier, which must still be in the log."),
    ] = None,
    json: Json = False,
) -> None:
    """Check that nothing in the audit log was changed, and show its head.

    Note the head where those who may write the database cannot: --head tells later whether
    somebody made the whole log again. The exit code is 1 when something was changed.
    """
    noted = (head or "").lower()
    if head is not None and not re.fullmatch(r"[0-9a-f]{64}", noted):
        raise UsageError(
            f"{head!r} is not a valid head",
            hint="copy the 64 hexadecimal digits that `audit verify` showed",
        )
    with open_db(db) as database:
        verdict = database.verify_audit(noted)
    if json:
        print_json({"whole": not verdict.problem, **asdict(verdict)})
    else:
        _print(verdict)
    if verdict.problem:
        raise typer.Exit(NOT_WHOLE)


@app.command()
def show(
    db: Db = DEFAULT_DB,
    last: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Show only the last N entries.")
    ] = None,
    json: Json = False,
) -> None:
    """Show searches, exports and erasures, oldest first."""
    with open_db(db) as database:
        entries, verdict = database.audit(last), database.verify_audit()
    if verdict.problem:
        warn("the audit log was tampered with: see `reidsearch audit verify`")
    if json:
        print_json({"entries": [_to_json(entry) for entry in entries]})
    elif not entries:
        say("nothing is recorded yet")
    else:
        from reidsearch.cli.tables import audit_table

        print_table(audit_table(entries))


def _print(verdict: Verdict) -> None:
    whole = "whole_entries" if verdict.problem else "entries"
    print_fields({whole: verdict.entries, "head": verdict.head, "ids_erased": verdict.erased})
    for note in verdict.notes:
        say(f"note: {note}")
    where = "" if verdict.line is None else f"line {verdict.line}: "
    if verdict.problem:
        say(f"[bold red]the audit log was tampered with:[/] {where}{verdict.problem}")
    else:
        say("the audit log is intact")


def _to_json(entry: Entry) -> dict[str, Any]:
    """Ids without their salts; that of an erased person is "erased"."""
    return asdict(entry) | {"asked": entry.asked_id, "ids": entry.shown_ids}
