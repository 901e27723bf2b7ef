"""Writing the log: adding to its end, and erasing ids from it."""

from __future__ import annotations

import hashlib
import json
import os
import pwd
import shutil
import socket
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, BinaryIO

from filelock import FileLock, Timeout

from reidsearch._version import __version__
from reidsearch.core.errors import StoreError
from reidsearch.core.files import atomic_write
from reidsearch.database.audit_entry import START, Entry, Head, canonical, seal
from reidsearch.database.layout import AUDIT_FILE, AUDIT_HEAD_FILE, AUDIT_LOCK_FILE
from reidsearch.database.ledger_schema import read_state

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from reidsearch.database.audit_entry import Action

_WAIT_S, _POLL_S = 5.0, 0.005
_TAIL_BYTES = 1 << 14
# No line is before this one: where the head was lost, what follows shows for good that it was.
_LOST = Head(0, "f" * 64)


@dataclass(frozen=True, eq=False)
class Event:
    """Something to record.

    Attributes:
        action: what is done.
        actor: who asks, where that is not who runs the process.
        asked: id of the stored detection asked for.
        vectors: `(Q, D)` float32, what is searched for.
        about: scope and options, values of JSON. No ids: they could not be erased there.
        ids: of the detections shown, or of those erased unless whole frames were.
        collection: that of `Store.state`. Where it is not the database's any more, people may have
            been erased since they were found: then no id is recorded.
    """

    action: Action
    actor: str = ""
    asked: str | None = None
    vectors: NDArray[np.float32] | None = None
    about: Mapping[str, Any] = field(default_factory=dict)
    ids: Iterable[str] = ()
    collection: str | None = None


def record(folder: Path, event: Event) -> None:
    """Add an event to the log of the database in `folder`; on the disk when this returns.

    Raises:
        StoreError: it could not be written.
    """
    asked, ids, about = event.asked, event.ids, dict(event.about)
    query = None
    if event.vectors is not None:
        query = hashlib.sha256(event.vectors.astype("<f2").tobytes()).hexdigest()
    try:
        with locked(folder), (folder / AUDIT_FILE).open("a+b") as file:
            head = _prepare_end(file, folder)
            known = event.collection
            if known is not None and read_state(folder).collection != known:
                asked, ids = None, ()
                about["ids"] = "omitted: some were erased in the meantime"
            entry = Entry(
                number=head.number + 1,
                time=datetime.now().astimezone().isoformat(timespec="milliseconds"),
                user=current_user(),
                actor=event.actor,
                host=socket.gethostname(),
                version=__version__,
                action=event.action,
                query=query,
                asked=None if asked is None else seal(asked),
                about=about,
                ids=[seal(one) for one in ids],
                previous=head.hash,
            )
            entry = replace(entry, hash=entry.digest())
            file.write(entry.to_line() + b"\n")
            _to_disk(file)
            _write_head(folder, entry.head)
    except OSError as error:
        raise explain(error, folder, "written") from error


def redact(folder: Path, is_gone: Callable[[str], bool]) -> int:
    """Erase ids from all lines, and return from how many places; all hashes stay right.

    `is_gone` says of an id whether it goes. A line that is no entry, of which `verify` tells, is
    left as it is.

    Raises:
        StoreError: the log cannot be written; it is then as it was.
    """
    path = folder / AUDIT_FILE
    count = 0
    try:
        if not path.exists():
            return 0
        with (
            locked(folder),
            path.open("rb") as file,
            atomic_write(path) as partial,
            partial.open("wb") as out,
        ):
            for line in file:
                body = line.rstrip(b"\n")
                try:
                    old = Entry.parse(body)
                except ValueError:
                    if body != line:  # an unfinished line is nothing yet, and may have ids
                        out.write(line)
                    continue
                new = old.without(is_gone)
                count += new.erased - old.erased
                out.write(new.to_line() + line[len(body) :])
            _to_disk(out)
            shutil.copymode(path, partial)
    except OSError as error:
        raise explain(error, folder, "written") from error
    return count


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep others from writing the log, who keeps it already may again.

    Raises OSError when others write for seconds, or the log is read-only.
    """
    path = folder.resolve() / AUDIT_LOCK_FILE
    with FileLock(path, _WAIT_S, poll_interval=_POLL_S, is_singleton=True):
        yield


def read_head(folder: Path) -> Head | None:
    """The head file; None if it is missing or not valid."""
    with suppress(FileNotFoundError, ValueError, TypeError, RecursionError):
        text = (folder / AUDIT_HEAD_FILE).read_bytes()
        head = Head(**json.loads(text))
        if type(head.number) is int and isinstance(head.hash, str) and _head_text(head) == text:
            return head
    return None


def explain(error: OSError, folder: Path, done: str) -> StoreError:
    """Say why the log cannot be read or written."""
    reason = error.strerror or str(error)
    if isinstance(error, Timeout):
        reason = f"another process has held {AUDIT_LOCK_FILE} for {_WAIT_S:g} s"
    return StoreError(f"the audit log of {folder} cannot be {done}: {reason}")


def _prepare_end(file: BinaryIO, folder: Path) -> Head:
    """Bring the end in order after a kill or a power cut, and give what the next line follows.

    Where the head and the last line contradict each other, that is the head: the next line then
    fits none, so that `verify` goes on to see that something was changed.
    """
    line, whole, size = _read_end(file)
    head = read_head(folder)
    if head is None:
        head = _LOST if size else START
        if not size:  # written before any line, so that one that is missing was taken away
            _write_head(folder, head)
    last = START
    with suppress(ValueError):
        entry = Entry.parse(line)
        last = entry.head
        if entry.follows(head):  # killed before the head was written
            head = last
            _write_head(folder, head)
    if whole < size:
        if head == last:
            file.truncate(whole)
        else:  # what the head names may only lack its line's end: nothing of it is taken away
            file.write(b"\n")
    return head


def _read_end(file: BinaryIO) -> tuple[bytes, int, int]:
    """The last whole line, without its end; the bytes of all whole lines; and of the file."""
    size = file.seek(0, os.SEEK_END)
    tail, start, step = b"", size, _TAIL_BYTES
    while start and tail.count(b"\n") < 2:
        start, step = max(0, size - step), 4 * step
        file.seek(start)
        tail = file.read(size - start)
    lines, newline, rest = tail.rpartition(b"\n")
    if not newline:
        return b"", 0, size
    return lines.rpartition(b"\n")[2], size - len(rest), size


def _write_head(folder: Path, head: Head) -> None:
    with atomic_write(folder / AUDIT_HEAD_FILE) as partial, partial.open("wb") as file:
        file.write(_head_text(head))
        _to_disk(file)


def _head_text(head: Head) -> bytes:
    return canonical(asdict(head)) + b"\n"


def _to_disk(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def current_user() -> str:
    """By the process's owner: the variables that `getpass` reads may say anything."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # as in containers
        return f"uid {os.getuid()}"
