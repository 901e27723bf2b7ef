"""`reidsearch doctor`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from reidsearch.cli.opening import open_db
from reidsearch.cli.options import DEFAULT_DB, Db, Json
from reidsearch.cli.output import print_json, print_table, say

SOMETHING_IS_WRONG = 1


def doctor(
    db: Db = DEFAULT_DB,
    files: Annotated[
        bool, typer.Option("--files", help="Also check that the footage is there and unchanged.")
    ] = False,
    repair: Annotated[
        bool, typer.Option("--repair", help="Repair what can be repaired, then check.")
    ] = False,
    json: Json = False,
) -> None:
    """Check a database for damage, and suggest what to do.

    The exit code is 1 when something is lost or wrong. Nothing is changed without --repair.
    """
    from reidsearch.cli.tables import finding_table
    from reidsearch.core.text import count

    with open_db(db) as database:
        if repair:
            say(database.repair())
        findings = database.check(footage=files)
    bad = sum(finding.state == "bad" for finding in findings)
    if json:
        print_json({"bad": bad, "findings": [asdict(finding) for finding in findings]})
    else:
        print_table(finding_table(findings))
        say("no check failed" if not bad else f"[bold red]{count(bad, 'check')} failed[/]")
    if bad:
        raise typer.Exit(SOMETHING_IS_WRONG)
