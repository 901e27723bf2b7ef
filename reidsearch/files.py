"""Files that are whole or not there."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from reidsearch.errors import ReidsearchError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

PICTURES = (".jpg", ".jpeg", ".png", ".webp")
PAGES = (".html", ".htm")
VIDEOS = (".mp4",)


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Give a path to write to; it takes the place of `path` when all went well, or is removed."""
    partial = path.with_name(f".partial-{path.name}")
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


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
    path = out.resolve()
    if not path.parent.is_dir():
        raise ReidsearchError(f"there is no folder {path.parent} to write {out.name} to")
    for footage in (one.resolve() for one in kept):
        if path == footage or (path.exists() and footage == path.parent):
            raise ReidsearchError(f"{out} is footage", hint="write to another file")
