"""Where pictures, videos and pages are written to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reidsearch.errors import ReidsearchError

if TYPE_CHECKING:
    from pathlib import Path


PICTURES = (".jpg", ".jpeg", ".png", ".webp")


def require_writable(out: Path, *suffixes: str, other_than: str = "") -> None:
    """Check a file's name and folder before the work begins.

    Raises:
        ReidsearchError: the ending is none of these, there is no such folder, or it is the file
            that it shall be other than.
    """
    if out.suffix.lower() not in suffixes or out.is_dir():
        raise ReidsearchError(
            f"cannot write to {out}", hint=f"use a name ending in {' or '.join(suffixes)}"
        )
    if not out.resolve().parent.is_dir():
        raise ReidsearchError(f"there is no folder {out.resolve().parent} to write {out.name} to")
    if other_than and out.exists() and out.samefile(other_than):
        raise ReidsearchError(f"{out} is the footage itself", hint="write to another file")
