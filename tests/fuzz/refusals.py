"""What may go wrong with a file that is not what it should be."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def may_refuse(kind: type[Exception], name: str) -> Iterator[None]:
    """End quietly at an error of this kind whose message names the file."""
    try:
        yield
    except kind as error:
        if name not in str(error):
            raise
