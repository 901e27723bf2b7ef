"""Looking a database over: everything that can rot, and what to do about it."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Literal

import numpy as np

from reidsearch import __version__
from reidsearch.catalog import find_detector, find_embedder
from reidsearch.errors import ReidsearchError
from reidsearch.render.footage import open_moved
from reidsearch.store.index_file import FOLDER, DamagedIndexError, map_vectors, read_manifest
from reidsearch.store.layout import COLLECTION, DATABASE_FILE, require_database, size_on_disk
from reidsearch.store.lock import reading
from reidsearch.store.opening import read_records, read_stamp

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from reidsearch.provenance import Provenance, SourceRecord
    from reidsearch.store.index_file import Manifest

_CHROMA_WAIT_S = 300
_CHUNK_ROWS = 50_000
_LENGTH_TOLERANCE = 2e-3  # float16 rounds unit vectors by less

# Chroma runs in a process of its own: where its files are broken it may end the process.
_OPEN_CHROMA = f"""
import json, sys, chromadb
from chromadb.config import Settings
settings = Settings(_env_file=None, anonymized_telemetry=False)
with chromadb.PersistentClient(sys.argv[1], settings) as client:
    people = client.get_collection({COLLECTION!r}, embedding_function=None)
    rows = people.count()
    found = people.query(query_embeddings=[[0.0] * int(sys.argv[2])], n_results=1) if rows else None
    print(json.dumps(rows))
"""

State = Literal["good", "warning", "bad"]


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


def examine(folder: Path, *, files: bool = False) -> list[Finding]:
    """Check everything about a database, and change none of it.

    Args:
        folder: the database.
        files: also look whether the footage is where it was, and what it was.

    Raises:
        StoreError: there is no database.
        DatabaseBusyError: another process writes it.
    """
    require_database(folder)
    with reading(folder):
        sqlite = _check_sqlite(folder)
        if sqlite.state == "bad":
            return [sqlite, _check_disk(folder)]
        provenance, records = read_records(folder)
        recorded = sum(record.people for record in records)
        findings = [
            sqlite,
            _check_chroma(folder, provenance.dimension, recorded),
            *_check_index(folder, recorded),
            *_check_models(provenance),
            _check_disk(folder),
            _check_versions(provenance),
        ]
    return [*findings, *(map(_check_footage, records) if files else ())]


def _check_sqlite(folder: Path) -> Finding:
    uri = f"{(folder / DATABASE_FILE).resolve().as_uri()}?mode=ro"
    try:
        with closing(sqlite3.connect(uri, uri=True)) as connection:
            [(said,), *_] = connection.execute("PRAGMA integrity_check").fetchall()
    except sqlite3.Error as error:
        said = str(error)
    if said == "ok":
        return Finding("database file", "good", "SQLite finds it whole")
    return Finding("database file", "bad", f"SQLite: {said}", "restore a backup")


def _check_chroma(folder: Path, dimension: int, recorded: int) -> Finding:
    """Open Chroma, ask its graph one question, and count."""
    command = [sys.executable, "-c", _OPEN_CHROMA, str(folder), str(dimension)]
    try:
        done = subprocess.run(  # noqa: S603  # what runs is written above
            command, capture_output=True, text=True, timeout=_CHROMA_WAIT_S, check=False
        )
    except subprocess.TimeoutExpired:
        return Finding("Chroma", "bad", "it does not answer", "restore a backup")
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        return Finding("Chroma", "bad", f"it does not open: {last}", "restore a backup")
    rows = json.loads(done.stdout)
    if rows == recorded:
        return Finding("Chroma", "good", f"{rows} rows, as recorded")
    if rows > recorded:
        return Finding(
            "Chroma",
            "warning",
            f"{rows} rows, {rows - recorded} of frames that are not confirmed",
            "ingest the same footage again: it goes on where it was stopped",
        )
    return Finding(
        "Chroma", "bad", f"{rows} rows of {recorded} that were recorded", "restore a backup"
    )


def _check_index(folder: Path, recorded: int) -> Iterator[Finding]:
    try:
        manifest = read_manifest(folder / FOLDER, is_thorough=True)
    except DamagedIndexError as error:
        yield Finding("exact index", "bad", str(error), "reidsearch doctor --repair")
        return
    collection, _, generation = read_stamp(folder)
    if (manifest.collection, manifest.generation) != (collection, generation):
        yield Finding("exact index", "bad", "not in step with Chroma", "reidsearch doctor --repair")
        return
    if manifest.rows != recorded:
        found = f"{manifest.rows} rows of {recorded} that were recorded"
        yield Finding("exact index", "bad", found, "reidsearch doctor --repair")
        return
    yield Finding("exact index", "good", f"{manifest.rows} rows, checksums are right")
    yield _check_vectors(folder / FOLDER, manifest)


def _check_vectors(folder: Path, manifest: Manifest) -> Finding:
    vectors, wrong = map_vectors(folder, manifest), 0
    for start in range(0, len(vectors), _CHUNK_ROWS):
        lengths = np.linalg.norm(vectors[start : start + _CHUNK_ROWS].astype(np.float32), axis=1)
        wrong += int((~(np.abs(lengths - 1) < _LENGTH_TOLERANCE)).sum())
    if wrong:
        return Finding("vectors", "bad", f"{wrong} are not of length 1", "ingest into a new --db")
    return Finding("vectors", "good", "all of length 1")


def _check_models(provenance: Provenance) -> Iterator[Finding]:
    for kind, name in (("embedder", provenance.embedder), ("detector", provenance.detector)):
        try:
            if kind == "embedder":
                is_same = find_embedder(name).fingerprint == provenance.fingerprint
            else:
                is_same = find_detector(name).sha256 == provenance.detector_sha256
        except ReidsearchError as error:
            yield Finding(kind, "warning", str(error), error.hint)
            continue
        if is_same:
            yield Finding(kind, "good", f"{name}, the same weights")
        else:
            yield Finding(
                kind,
                "warning",
                f"{name} has other weights now, or none",
                "pictures cannot be searched for, nor footage added, before the old ones are back",
            )


def _check_disk(folder: Path) -> Finding:
    size, free = size_on_disk(folder), shutil.disk_usage(folder).free
    found = f"{size / 1e6:.0f} MB used, {free / 1e6:.0f} MB free"
    if free < max(size // 10, 100_000_000):
        return Finding("disk", "warning", found, "make room before the next ingest")
    return Finding("disk", "good", found)


def _check_versions(provenance: Provenance) -> Finding:
    made, now = provenance.package_version, __version__
    found = f"made by reidsearch {made}; this is {now} with chromadb {version('chromadb')}"
    return Finding("versions", "good", found)


def _check_footage(record: SourceRecord) -> Finding:
    check = f"footage {record.info}"
    try:
        open_moved(record)
    except ReidsearchError as error:
        return Finding(check, "warning", str(error), error.hint)
    return Finding(check, "good", f"is at {record.info.path}")
