"""Reads all of a database through Chroma, in a process of its own: broken files can end it."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path

from reidsearch.core.errors import StoreError

_WAIT_S = 3600
_PASSING = ("disk is full", "No space left", "read-only", "readonly", "locked")
_CRASHES = {-signal.SIGABRT, -signal.SIGBUS, -signal.SIGFPE, -signal.SIGILL, -signal.SIGSEGV}


class BrokenChromaError(StoreError):
    """Chroma does not open, or ends its process: its files are broken."""


@dataclass(frozen=True, slots=True)
class Probe:
    """What Chroma has.

    Attributes:
        rows: all that are in the collection.
        damaged: camera and name of a source, and its frames whose rows are not what was stored.
    """

    rows: int
    damaged: list[tuple[str, str, list[int]]]


def probe(folder: Path) -> Probe:
    """Read all rows of a database, whose lock the caller holds, and compare their checksums.

    Raises:
        BrokenChromaError: Chroma's files are broken.
        StoreError: it could not be told whether they are.
    """
    # Isolated, as the current folder may be that of a database, with modules of somebody else.
    command = [sys.executable, "-P", "-m", "reidsearch.database.probe", str(folder.resolve())]
    try:
        done = subprocess.run(  # noqa: S603  # this very module
            command, capture_output=True, text=True, timeout=_WAIT_S, check=False
        )
    except subprocess.TimeoutExpired:
        raise StoreError("Chroma did not answer for an hour") from None
    if done.returncode in _CRASHES:
        raise BrokenChromaError(f"it crashed: {signal.strsignal(-done.returncode)}")
    try:
        fields = json.loads(done.stdout)
    except ValueError:
        last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise StoreError(f"Chroma failed: {last}") from None
    if "broken" in fields:
        raise BrokenChromaError(fields["broken"])
    if "error" in fields:
        raise StoreError(fields["error"])
    return Probe(**fields)


def integrity_error(file: Path) -> str:
    """What SQLite finds wrong with a file of its own, or nothing."""
    uri = f"{file.resolve().as_uri()}?mode=rw"
    try:
        with closing(sqlite3.connect(uri, uri=True)) as connection:
            [(said,), *_] = connection.execute("PRAGMA integrity_check").fetchall()
    except (sqlite3.Error, UnicodeDecodeError) as error:
        said = str(error)
    return "" if said == "ok" else said


def _read(folder: Path) -> Probe:
    import numpy as np

    from reidsearch.core.types import Filter
    from reidsearch.database.chroma_store import open_locked

    with open_locked(folder, writes=False) as store:
        nowhere = np.zeros((1, store.provenance.dimension), np.float32)
        next(store.nearest(nowhere, Filter()), None)  # a broken graph ends the process here
        damaged = []
        for record in store.sources():
            wrong = [n for batch in store.verify(record.info.key) for n in batch.wrong]
            if wrong:
                damaged.append((*record.info.key, wrong))
        return Probe(store.rows, damaged)


def _answer(folder: Path) -> dict[str, object]:
    from reidsearch.core.errors import SchemaError

    try:
        return asdict(_read(folder))
    except (SchemaError, ImportError, MemoryError, KeyboardInterrupt, OSError) as error:
        return {"error": str(error) or repr(error)}
    except BaseException as error:  # panics of Chroma are no Exception
        is_rot = not any(words in str(error) for words in _PASSING)
        return {"broken" if is_rot else "error": str(error)}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(_answer(Path(sys.argv[1]))))
