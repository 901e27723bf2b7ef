"""Reading and writing files safely: regular files only, and replaced as a whole."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import sqlite3
import stat
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from reidsearch.core.errors import ReidsearchError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

PICTURES = (".jpg", ".jpeg", ".png", ".webp")
PAGES = (".html", ".htm")
VIDEOS = (".mp4",)


def require_regular(path: Path) -> os.stat_result:
    """Check that reading a file will end: a pipe may block, and a device may never end.

    Raises:
        OSError: it is missing, or not a regular file.
    """
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "it is not a regular file", str(path))
    return status


def hash_file(path: Path) -> str:
    """sha256 of a file, in hexadecimal; raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_text(path: Path) -> str:
    """Read a regular file of UTF-8; raises OSError and UnicodeDecodeError."""
    require_regular(path)
    return path.read_text("utf-8-sig")


def resolve(path: Path) -> Path:
    """Follow all links; a loop raises OSError, which Python itself does only from 3.13 on."""
    real = Path(os.path.realpath(path))
    if real.is_symlink():
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
    return real


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Yield a path to write to, which replaces `path` on success and is removed otherwise."""
    partial = path.with_name(f".partial-{path.name}")
    partial.unlink(missing_ok=True)  # left by a killed process, or a link planted by another user
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def new_file(out: Path) -> Iterator[Path]:
    """Yield a path to write to, which becomes an output file on success, and is removed otherwise.

    Raises:
        ReidsearchError: the file cannot be written.
    """
    try:
        with atomic_write(out.resolve()) as partial:
            yield partial
    except OSError as error:
        raise ReidsearchError(f"cannot write {out}: {error.strerror or error}") from error


@contextmanager
def working_folder(path: Path) -> Iterator[Path]:
    """Yield an empty folder, removed at the end, or by the next caller after a kill."""
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir()
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def copy_sqlite(path: Path, to: Path) -> None:
    """Copy a consistent state of a SQLite file, even while others read or write it.

    An interrupted transaction is rolled back first; raises sqlite3.Error.
    """
    with (
        closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=rw", uri=True)) as source,
        closing(sqlite3.connect(to)) as copy,
    ):
        source.backup(copy)


def is_stdout(out: Path) -> bool:
    """Whether an output is stdout: `-`, perhaps with an ending that names its format."""
    return out.stem == "-" and out.parent == Path()


def require_writable(
    out: Path, *suffixes: str, force: bool, protected: Sequence[Path] = ()
) -> None:
    """Check an output file's name and folder before the work begins.

    Args:
        out: the file.
        suffixes: the endings that its name may have.
        force: whether it may replace a file that exists.
        protected: files and folders of footage, which must not be replaced in any case.

    Raises:
        ReidsearchError: the ending is another, the folder does not exist, or the file does.
    """
    if out.suffix.lower() not in suffixes or out.is_dir():
        raise ReidsearchError(
            f"cannot write to {out}", hint=f"use a name ending in {' or '.join(suffixes)}"
        )
    path = resolve(out)
    if not path.parent.is_dir():
        raise ReidsearchError(f"cannot write to {out}: there is no folder {path.parent}")
    for footage in map(resolve, protected):
        if path == footage or (path.exists() and footage == path.parent):
            raise ReidsearchError(f"{out} is footage", hint="write to another file")
    if path.exists() and not force:
        raise ReidsearchError(f"{out} exists", hint="name another file, or replace it with --force")
