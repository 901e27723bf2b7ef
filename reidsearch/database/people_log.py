"""The log of what users said of people: `people.jsonl`, one line for each step, only appended to.

It lies beside the ledger, and is written under the audit log's lock: also while another process
ingests, and never while erased detections are taken out of it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from reidsearch.core.errors import StoreError
from reidsearch.core.files import atomic_write
from reidsearch.core.ids import CropId
from reidsearch.database.audit_log import locked
from reidsearch.database.layout import PEOPLE_FILE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

Line = Mapping[str, Any]
"""A step as JSON has it: the fields of `persons.Step`."""


def read_lines(folder: Path) -> list[dict[str, Any]]:
    """All steps; a last line that was cut off by a kill does not count.

    Raises:
        StoreError: the file cannot be read, or is damaged.
    """
    path = folder / PEOPLE_FILE
    try:
        whole, _, _ = path.read_bytes().rpartition(b"\n")
        return [_parse(line, path) for line in whole.splitlines()]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise StoreError(f"cannot read {path}: {error.strerror}") from error


@contextmanager
def appending(folder: Path) -> Iterator[Callable[[Line], None]]:
    """Keep other processes from adding steps, and give what adds one; it is on the disk then.

    Raises:
        StoreError: the file cannot be written, or others keep it.
    """
    path = folder / PEOPLE_FILE

    def append(line: Line) -> None:
        with path.open("a+b") as file:
            file.seek(0)
            file.truncate(file.read().rfind(b"\n") + 1)
            file.write(_to_line(line))
            file.flush()
            os.fsync(file.fileno())

    try:
        with locked(folder):
            yield append
    except OSError as error:
        raise StoreError(f"cannot write {path}: {error.strerror or error}") from error


def remove_crops(folder: Path, is_gone: Callable[[str], bool]) -> None:
    """Take detections out of all steps; the file is written anew where any names one of them.

    Raises OSError, and StoreError as `read_lines` does. The caller holds the lock.
    """
    lines = read_lines(folder)
    kept = [
        {**line, "crops": [crop for crop in line["crops"] if not is_gone(crop[0])]}
        for line in lines
    ]
    if kept == lines and not _is_cut(folder):
        return
    with atomic_write(folder / PEOPLE_FILE) as partial, partial.open("wb") as file:
        file.writelines(map(_to_line, kept))
        file.flush()
        os.fsync(file.fileno())


def _is_cut(folder: Path) -> bool:
    """Whether a process was killed while it wrote."""
    path = folder / PEOPLE_FILE
    return path.is_file() and not path.read_bytes().endswith(b"\n")


def _to_line(line: Line) -> bytes:
    return json.dumps(line, ensure_ascii=False).encode() + b"\n"


def _parse(text: bytes, path: Path) -> dict[str, Any]:
    try:
        line = json.loads(text)
        texts = [line[name] for name in ("at", "user", "do", "name", "other")]
        crops = [part for id_, hash_ in line["crops"] for part in (id_, hash_)]
        is_whole = all(isinstance(part, str) for part in (*texts, *crops))
        for id_, _ in line["crops"]:
            CropId.parse(id_)
    except (ValueError, TypeError, KeyError, RecursionError):
        is_whole = False
    if not is_whole:
        raise StoreError(
            f"{path} is damaged, or was changed by another program",
            hint="restore a backup, or move it away: names and verdicts are lost then",
        )
    return dict(line)
