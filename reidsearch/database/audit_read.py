"""Reading the log, and finding what was changed in it."""

from __future__ import annotations

import os
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from filelock import Timeout

from reidsearch.core.text import count
from reidsearch.database.audit_entry import START, Entry
from reidsearch.database.audit_log import explain, locked, read_head
from reidsearch.database.layout import AUDIT_FILE, AUDIT_HEAD_FILE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from reidsearch.database.audit_entry import Head


@dataclass(frozen=True, slots=True)
class Verdict:
    """What checking a log came to.

    Attributes:
        entries: how many lines, from the first on, are as they were written.
        head: hash of the last of them.
        erased: how many ids were erased from them.
        line: number of the first bad line, where it is one that is wrong.
        problem: what is wrong, or empty.
        notes: what is to be known, and no sign of a change.
    """

    entries: int
    head: str
    erased: int
    line: int | None = None
    problem: str = ""
    notes: tuple[str, ...] = ()


def verify(folder: Path, noted: str = "") -> Verdict:
    """Check every line, and that the last one is there.

    Args:
        folder: the database. One that was never searched has a whole log, of no lines.
        noted: what `Verdict.head` was once; it must be in the log.

    Raises:
        StoreError: the log cannot be read.
    """
    head, lines = _snapshot(folder)
    before = last = START
    erased, is_noted, tail = 0, not noted, b""
    for line in lines:
        if not line.endswith(b"\n"):
            tail = line
            break
        problem, entry = _check(line[:-1], last)
        if entry is None:
            return Verdict(last.number, last.hash, erased, last.number + 1, problem)
        before, last = last, entry.head
        erased += entry.erased
        is_noted = is_noted or entry.hash == noted
    if head is None and (tail or last != START):
        problem = f"{AUDIT_HEAD_FILE} is missing or damaged"
        return Verdict(last.number, last.hash, erased, None, problem)
    if head is not None and head.number > last.number:
        problem = f"it is missing: {AUDIT_HEAD_FILE} counts {count(head.number, 'entry')}"
        return Verdict(last.number, last.hash, erased, last.number + 1, problem)
    problem = ""
    if head not in (None, last, before):
        problem = f"{AUDIT_HEAD_FILE} does not match any of the last lines"
    elif not is_noted:
        problem = f"no line has the hash {noted}: lines were removed, or the log was rewritten"
    notes = _notes(tail, is_behind=head == before != last)
    return Verdict(last.number, last.hash, erased, None, problem, notes)


def read_entries(folder: Path, last: int | None = None) -> list[Entry]:
    """Read the log, or its last lines, oldest first; without what is no entry.

    Raises:
        StoreError: it cannot be read.
    """
    _, lines = _snapshot(folder)
    entries = []
    for line in deque((one for one in lines if one.endswith(b"\n")), last):
        with suppress(ValueError):
            entries.append(Entry.parse(line[:-1]))
    return entries


def _check(line: bytes, last: Head) -> tuple[str, Entry | None]:
    """The entry after `last`, or what is wrong with that line."""
    try:
        entry = Entry.parse(line)
    except ValueError:
        return "it is not a valid entry", None
    if entry.digest() != entry.hash:
        return "its hash does not match", None
    if entry.number != last.number + 1:
        return f"it is entry {entry.number}: lines were removed, added or moved", None
    if entry.previous != last.hash:
        return "it does not follow the previous line: that one was changed, or this one added", None
    return "", entry


def _notes(tail: bytes, *, is_behind: bool) -> tuple[str, ...]:
    notes = []
    if tail:
        notes.append(
            f"the log ends in an unfinished line of {count(len(tail), 'byte')}, as a power cut "
            "leaves it; the next event replaces it"
        )
    if is_behind:
        notes.append(
            f"{AUDIT_HEAD_FILE} is one line behind, as a kill leaves it; the next event corrects it"
        )
    return tuple(notes)


def _snapshot(folder: Path) -> tuple[Head | None, Iterator[bytes]]:
    """The head, and the lines that were there at that moment, while others go on to write."""
    path = folder / AUDIT_FILE
    try:
        try:
            with locked(folder):
                return read_head(folder), _lines(path)
        except Timeout:
            raise
        except OSError:  # it is not for us to write; nobody writes a read-only medium
            return read_head(folder), _lines(path)
    except OSError as error:
        raise explain(error, folder, "read") from error


def _lines(path: Path) -> Iterator[bytes]:
    """The lines that a file has now, each with its end."""
    if not path.exists():
        return iter(())
    file = path.open("rb")
    size = os.fstat(file.fileno()).st_size

    def read() -> Iterator[bytes]:
        left = size
        with file:
            while left and (line := file.readline(left)):
                left -= len(line)
                yield line

    return read()
