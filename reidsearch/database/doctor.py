"""Looking a database over: everything that can rot, and what to do about it."""

from __future__ import annotations

import shutil
from contextlib import ExitStack
from dataclasses import dataclass, replace
from enum import StrEnum
from importlib.metadata import version
from typing import TYPE_CHECKING, Literal

import numpy as np

from reidsearch._version import __version__
from reidsearch.core import extras
from reidsearch.core.errors import ReadOnlyError, ReidsearchError, StoreError
from reidsearch.core.text import count
from reidsearch.core.types import FileStamp
from reidsearch.database.audit_read import verify
from reidsearch.database.index_files import FOLDER, DamagedIndexError
from reidsearch.database.index_store import check_index, read_index_alone
from reidsearch.database.layout import (
    DATABASE_FILE,
    require_database,
    size_on_disk,
)
from reidsearch.database.ledger import open_ledger
from reidsearch.database.ledger_schema import require_own_schema
from reidsearch.database.lock import reading
from reidsearch.database.people_log import read_lines
from reidsearch.database.probe import integrity_error, probe
from reidsearch.database.runs import read_runs
from reidsearch.database.snapshot import read_snapshot
from reidsearch.database.swap import finish_swap
from reidsearch.footage.reread import open_moved
from reidsearch.models.backends import library_versions
from reidsearch.models.catalog import find_detector, find_embedder

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from reidsearch.core.provenance import Provenance, SourceRecord
    from reidsearch.database.index_files import CheckedFile
    from reidsearch.database.probe import Probe
    from reidsearch.models.cards import DetectorCard, EmbedderCard

_CHUNK_ROWS = 50_000
_MOVED = "put it back, or tell `search` and `render` where it is with --root"
_LENGTH_TOLERANCE = 2e-3  # float16 rounds unit vectors by less

State = Literal["good", "warning", "bad"]


class Part(StrEnum):
    """What makes up for the others where one of these is lost."""

    CHROMA = "Chroma"
    LEDGER = "ledger"
    INDEX = "exact index"


class Fix(StrEnum):
    """What to do about what is lost."""

    REPAIR = "the same command with --repair"
    RESTORE = "`reidsearch restore` a backup, or ingest the footage into a new --db"


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check came to.

    Attributes:
        check: what was looked at.
        state: `bad` is something lost or wrong; `warning` something to know.
        found: one sentence.
        remedy: what to do, or empty.
    """

    check: str
    state: State
    found: str
    remedy: str = ""


_UNREAD = Finding(
    Part.CHROMA,
    "warning",
    "not read: Chroma writes to its folder, and this one is read-only",
    "check a copy of the folder",
)


def examine(folder: Path, *, files: bool = False) -> list[Finding]:
    """Check everything about a database, and change none of it.

    In a folder that is read-only, Chroma's part is not read, and no writer is kept out.

    Args:
        folder: the database.
        files: also look whether the footage is where it was, and what it was.

    Raises:
        StoreError: there is no database.
        SchemaError: another version of reidsearch made it.
        DatabaseBusyError: another process writes it.
    """
    finish_swap(folder)
    require_database(folder)
    require_own_schema(folder)
    with ExitStack() as held:
        can_write = True
        try:
            held.enter_context(reading(folder))
        except ReadOnlyError:
            can_write = False
        findings = [_check_sqlite(folder)]
        ledger, records, provenance = _check_ledger(folder)
        findings.append(ledger)
        if provenance is None:
            findings.append(_look_at_index(folder))
        else:
            recorded = sum(record.detections for record in records)
            findings += _check_chroma(folder, recorded) if can_write else [_UNREAD]
            findings += [
                *_check_index(folder),
                *_check_models(provenance),
                _check_precision(provenance, folder),
                _check_versions(provenance),
            ]
        findings += [_check_audit(folder), _check_people(folder), _check_disk(folder)]
        if files and records:
            with open_ledger(folder) as known:
                findings += [_check_footage(one, known.stamps(one.info.key)) for one in records]
    return findings if _can_be_repaired(findings) else [*map(_without_repair, findings)]


def _can_be_repaired(findings: Sequence[Finding]) -> bool:
    """Chroma, the ledger and the index make up for each other, if no two are lost."""
    bad = {finding.check for finding in findings if finding.state == "bad"}
    return len(bad & {*Part}) < 2


def _without_repair(finding: Finding) -> Finding:
    return replace(finding, remedy=Fix.RESTORE) if finding.remedy is Fix.REPAIR else finding


def _check_sqlite(folder: Path) -> Finding:
    if error := integrity_error(folder / DATABASE_FILE):
        return Finding("database file", "bad", f"SQLite: {error}", Fix.REPAIR)
    return Finding("database file", "good", "intact")


def _check_ledger(
    folder: Path,
) -> tuple[Finding, tuple[SourceRecord, ...], Provenance | None]:
    """Also gives what the ledger says of sources and models, where it can be believed."""
    try:
        with open_ledger(folder) as ledger:
            ledger.require_consistent()
            sources, pending = ledger.sources(), ledger.pending()
            provenance = ledger.provenance
        runs = read_runs(folder)
    except ReidsearchError as error:
        return Finding(Part.LEDGER, "bad", str(error), Fix.REPAIR), (), None
    records = tuple(sources[key] for key in sorted(sources))
    frames = count(sum(record.frames for record in records), "frame")
    detections = count(sum(record.detections for record in records), "detection")
    found = f"{count(len(runs), 'run')}, {frames} with {detections}"
    if not pending:
        return Finding(Part.LEDGER, "good", found), records, provenance
    left = count(sum(map(len, pending.values())), "frame")
    finding = Finding(
        Part.LEDGER,
        "warning",
        f"{found}; {left} being written when a process was killed",
        "ingest the same footage again: it continues where it stopped",
    )
    return finding, records, provenance


def _check_chroma(folder: Path, recorded: int) -> Iterator[Finding]:
    try:
        seen = probe(folder)
    except StoreError as error:
        yield Finding(Part.CHROMA, "bad", str(error), Fix.REPAIR)
    else:
        yield from _check_rows(seen, recorded)


def _check_rows(seen: Probe, recorded: int) -> Iterator[Finding]:
    for camera, name, frames in seen.damaged:
        found = f"{count(len(frames), 'frame')} not as stored; the first is {frames[0]}"
        yield Finding(f"rows of {camera}/{name}", "bad", found, Fix.REPAIR)
    if seen.rows > recorded:
        found = f"{count(seen.rows, 'row')}, {seen.rows - recorded} of unconfirmed frames"
        yield Finding(Part.CHROMA, "warning", found, "the next ingest removes them")
    elif not seen.damaged:
        yield Finding(Part.CHROMA, "good", f"{count(seen.rows, 'row')}, all as stored")


def _check_index(folder: Path) -> Iterator[Finding]:
    try:
        files = check_index(folder / FOLDER, read_snapshot(folder))
    except DamagedIndexError as error:
        yield Finding(Part.INDEX, "bad", str(error), Fix.REPAIR)
        return
    yield Finding(Part.INDEX, "good", f"{count(len(files.rows), 'row')}, all checksums match")
    yield _check_vectors(files.vectors)


def _look_at_index(folder: Path) -> Finding:
    """Whether there is an index, where no ledger says what it should be."""
    try:
        rows = count(len(read_index_alone(folder / FOLDER).files.rows), "row")
    except DamagedIndexError as error:
        return Finding(Part.INDEX, "bad", str(error), Fix.REPAIR)
    return Finding(Part.INDEX, "warning", f"{rows}, not verified: the ledger is damaged")


def _check_vectors(vectors: CheckedFile) -> Finding:
    wrong = 0
    for start in range(0, len(vectors), _CHUNK_ROWS):
        lengths = np.linalg.norm(vectors[start : start + _CHUNK_ROWS].astype(np.float32), axis=1)
        wrong += int((~(np.abs(lengths - 1) < _LENGTH_TOLERANCE)).sum())
    if wrong:
        return Finding("vectors", "bad", f"{wrong} do not have length 1", "ingest into a new --db")
    return Finding("vectors", "good", "all have length 1")


def _check_people(folder: Path) -> Finding:
    try:
        steps = count(len(read_lines(folder)), "step")
    except StoreError as error:
        return Finding("people", "bad", str(error), Fix.RESTORE)
    return Finding("people", "good", f"{steps} of naming and judging")


def _check_models(provenance: Provenance) -> Iterator[Finding]:
    for kind, name in (("embedder", provenance.embedder), ("detector", provenance.detector)):
        try:
            card: DetectorCard | EmbedderCard
            if kind == "embedder":
                card = embedder = find_embedder(name)
                is_same = embedder.fingerprint == provenance.fingerprint
            else:
                card = find_detector(name)
                is_same = card.sha256 == provenance.detector_sha256
        except ReidsearchError as error:
            yield Finding(kind, "warning", str(error), error.hint)
            continue
        if is_same and (missing := extras.missing(card.needs)):
            found = f"{name} needs {', '.join(missing)}"
            yield Finding(kind, "warning", found, extras.install_hint("reference"))
        elif is_same:
            yield Finding(kind, "good", f"{name}, unchanged")
        else:
            yield Finding(
                kind,
                "warning",
                f"the weights of {name} changed or are missing",
                "put the old weights back, to search for pictures and to ingest",
            )


def _check_audit(folder: Path) -> Finding:
    try:
        verdict = verify(folder)
    except StoreError as error:
        return Finding("audit log", "bad", str(error))
    if verdict.problem:
        where = "" if verdict.line is None else f"line {verdict.line}: "
        return Finding(
            "audit log",
            "bad",
            f"{where}{verdict.problem}",
            "`reidsearch audit verify`; to begin a new log, move audit.jsonl and audit.head away",
        )
    return Finding("audit log", "good", f"{count(verdict.entries, 'entry')}, intact")


def _check_disk(folder: Path) -> Finding:
    size, free = size_on_disk(folder), shutil.disk_usage(folder).free
    found = f"{size / 1e6:.0f} MB used, {free / 1e6:.0f} MB free"
    if free < max(size // 10, 100_000_000):
        return Finding("disk", "warning", found, "free some space before the next ingest")
    return Finding("disk", "good", found)


def _check_precision(provenance: Provenance, folder: Path) -> Finding:
    made = provenance.precision
    others = [run.precision for run in read_runs(folder) if run.precision != made]
    if made == "f32" and not others:
        return Finding("precision", "good", "f32, the same answers on every processor")
    found = f"made in {made}, which not every processor supports"
    if others:
        found = (
            f"made in {made}, but {count(len(others), 'run')} in {' or '.join(sorted({*others}))}"
        )
    remedy = "for the same distances everywhere, ingest into a new --db without --precision"
    return Finding("precision", "warning", found, remedy)


def _check_versions(provenance: Provenance) -> Finding:
    made, now = provenance.package_version, __version__
    found = f"made by reidsearch {made}; this is {now} with chromadb {version('chromadb')}"
    libraries = library_versions()
    if provenance.versions != libraries:
        found += f"; made with {provenance.versions}, here are {libraries}"
    return Finding("versions", "good", found)


def _check_footage(record: SourceRecord, stamps: Iterable[tuple[int, FileStamp]]) -> Finding:
    """Compare all files of a source with what they were."""
    check, path = f"footage {record.info}", record.info.path
    try:
        source = open_moved(record)
    except ReidsearchError as error:
        return Finding(check, "warning", str(error), _MOVED)
    same, others = 0, []
    for number, known in stamps:
        now = source.stamp(number, known)
        if isinstance(now, FileStamp) and now.digest == known.digest:
            same += 1
        else:
            others.append(number)
    if others:
        found = f"{count(len(others), 'frame')} of {path} changed or gone; the first is {others[0]}"
        return Finding(check, "warning", found, "`ingest --refresh` processes changed frames again")
    if unknown := record.frames - same:
        found = f"{count(unknown, 'frame')} of {path} cannot be compared: the ledger was lost"
        return Finding(check, "warning", found)
    return Finding(check, "good", f"{count(same, 'frame')} of {path}, unchanged")
