"""Files that can be read to their end, and files that are whole or not there."""

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
    """Check that a file can be read: a pipe would keep us waiting, and a device may never end.

    Raises:
        OSError: it is missing, or no regular file.
    """
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "it is no regular file", str(path))
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
    """Follow all links; where they lead round it is an OSError, as in no Python before 3.13."""
    real = Path(os.path.realpath(path))
    if real.is_symlink():
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
    return real


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Give a path to write to; it takes the place of `path` when all went well, or is removed."""
    partial = path.with_name(f".partial-{path.name}")
    partial.unlink(missing_ok=True)  # of a process that was killed, or a link of somebody else
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def working_folder(path: Path) -> Iterator[Path]:
    """Give an empty folder that is removed at the end, or by the next who is given it."""
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir()
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def copy_sqlite(path: Path, to: Path) -> None:
    """Copy a SQLite file as it is at one moment, while others read or write it.

    What a killed writer left half done is played back first; raises sqlite3.Error.
    """
    with (
        closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=rw", uri=True)) as source,
        closing(sqlite3.connect(to)) as copy,
    ):
        source.backup(copy)


def require_writable(out: Path, *suffixes: str, kept: Sequence[Path] = ()) -> None:
    """Check a file's name and folder before the work begins.

    Args:
        out: the file.
        suffixes: what its name may end in.
        kept: files and folders of footage, which shall stay as they are.

    Raises:
        ReidsearchError: the ending is none of these, there is no such folder, or the file is
            footage.
    """
    if out.suffix.lower() not in suffixes or out.is_dir():
        raise ReidsearchError(
            f"cannot write to {out}", hint=f"use a name ending in {' or '.join(suffixes)}"
        )
    path = resolve(out)
    if not path.parent.is_dir():
        raise ReidsearchError(f"there is no folder {path.parent} to write {out.name} to")
    for footage in map(resolve, kept):
        if path == footage or (path.exists() and footage == path.parent):
            raise ReidsearchError(f"{out} is footage", hint="write to another file")
