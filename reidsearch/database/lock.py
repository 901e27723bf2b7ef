"""One writer, many readers: who may use a database, across processes.

The lock itself ends with its process, however that ends. A writer leaves a note of who it is beside
it, for others to read; one that is still there when the lock is free is that of a writer that died.
"""

from __future__ import annotations

import json
import math
import os
import socket
import sqlite3
import sys
import time
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from filelock import ReadWriteLock, Timeout

from reidsearch.core.errors import DatabaseBusyError, StoreError
from reidsearch.core.files import atomic_write
from reidsearch.core.progress import SILENT
from reidsearch.database.layout import LOCK_FILE, OWNER_FILE, explain

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reidsearch.core.progress import Progress

WAIT_S = 1.0
FOREVER = math.inf
_MOMENT_S = 0.25
_OWN_PROGRAMS = ("reidsearch", "__main__.py")
_WATCH = "--watch"


@dataclass(frozen=True, slots=True)
class Owner:
    """A process that writes, or wrote, a database.

    Attributes:
        started: local time, ISO 8601.
        command: its name, and whether it ends by itself.
    """

    host: str
    pid: int
    started: str
    command: str

    def __str__(self) -> str:
        return f"{self.command} (process {self.pid} on {self.host}, since {self.started})"


@contextmanager
def reading(folder: Path) -> Iterator[None]:
    """Keep writers out; raises as `writing` does."""
    with _held(folder, "read", WAIT_S):
        yield


@contextmanager
def writing(folder: Path, wait_s: float = WAIT_S, progress: Progress = SILENT) -> Iterator[None]:
    """Keep all others out.

    Args:
        folder: the database.
        wait_s: how long to wait for those who are in; `FOREVER` waits until they have gone.
        progress: warned when it waits, or when the last writer died at its work.

    Raises:
        DatabaseBusyError: others are in.
        ReadOnlyError: this user may not write to the folder.
        StoreError: the lock file is not valid.
    """
    with _held(folder, "write", wait_s, progress):
        last = read_owner(folder)
        if last is not None:
            progress.warn(f"{last} died while writing {folder}; everything it had stored is kept")
        note = folder / OWNER_FILE
        try:
            with atomic_write(note) as partial:
                partial.write_text(json.dumps(asdict(this_process())), "utf-8")
        except OSError as error:
            raise explain(error, folder) from error
        try:
            yield
        finally:
            note.unlink(missing_ok=True)


def is_being_written(folder: Path) -> bool:
    """Whether another process keeps readers out; not where nobody may write."""
    try:
        with _lock_of(folder).read_lock(0):
            return False
    except Timeout:
        return True
    except (OSError, sqlite3.Error):  # a folder that may not be written
        return False


def _lock_of(folder: Path) -> ReadWriteLock:
    path = folder / LOCK_FILE
    if not path.exists():
        path.touch()  # with the rights of our other files: SQLite's would be this user's alone
    return ReadWriteLock(path, is_singleton=False)


@contextmanager
def _held(
    folder: Path,
    mode: Literal["read", "write"],
    wait_s: float,
    progress: Progress = SILENT,
) -> Iterator[None]:
    with ExitStack() as held:
        try:
            _acquire(held, folder, mode, wait_s, progress)
        except (OSError, sqlite3.OperationalError) as error:
            raise explain(error, folder) from error
        except sqlite3.Error as error:
            raise StoreError(
                f"{folder / LOCK_FILE} is not a valid lock file: {error}",
                hint="delete it if no other reidsearch uses this database",
            ) from error
        yield


def _acquire(
    held: ExitStack,
    folder: Path,
    mode: Literal["read", "write"],
    wait_s: float,
    progress: Progress,
) -> None:
    """Wait for moments only, between which Ctrl-C is heard: SQLite waits deaf to it."""
    lock = _lock_of(folder)
    take = lock.read_lock if mode == "read" else lock.write_lock
    began, is_said = time.monotonic(), False
    while True:
        with suppress(Timeout):
            held.enter_context(take(min(wait_s, _MOMENT_S)))
            return
        if time.monotonic() - began >= wait_s:
            raise _busy(folder)
        if wait_s == FOREVER and not is_said:
            progress.warn(f"waiting for {_read_writer(folder) or 'readers'}")
            is_said = True


def this_process() -> Owner:
    """Who this process is, to others."""
    program = Path(sys.argv[0]).name
    words = ["Python", program]
    if program in _OWN_PROGRAMS:
        words = ["reidsearch", *sys.argv[1:2], *(w for w in sys.argv[2:] if w == _WATCH)]
    command = " ".join(words)
    started = datetime.now().astimezone().isoformat(" ", "seconds")
    return Owner(socket.gethostname(), os.getpid(), started, command)


def read_owner(folder: Path) -> Owner | None:
    """Who writes; where nobody does, who died at it."""
    with suppress(OSError, ValueError, TypeError, RecursionError):
        return Owner(**json.loads((folder / OWNER_FILE).read_text("utf-8")))
    return None


def _read_writer(folder: Path) -> Owner | None:
    """Who writes, of those who are in: the others may have come after a writer that died."""
    return read_owner(folder) if is_being_written(folder) else None


def _busy(folder: Path) -> DatabaseBusyError:
    owner = _read_writer(folder)
    hint = "wait for it to finish (ingest and erase do with --wait), or stop it"
    if owner is not None and owner.command.endswith(_WATCH):
        hint = "it does not end by itself: stop it with Ctrl-C or `kill`"
    return DatabaseBusyError(
        f"another reidsearch is using the database {folder}{f': {owner}' if owner else ''}",
        hint=f"{hint}; what it has stored is kept",
    )
