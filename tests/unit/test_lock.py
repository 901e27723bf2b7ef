"""The lock: whose it is, who is named, and those who may not ask."""

import errno
import json
import os
from collections.abc import Callable
from dataclasses import asdict
from itertools import chain, repeat
from pathlib import Path
from typing import Any

import pytest

from reidsearch.core.errors import DatabaseBusyError, ReadOnlyError
from reidsearch.database import lock, opening
from reidsearch.database.chroma_store import open_chroma
from reidsearch.database.layout import LOCK_FILE, OWNER_FILE, explain
from reidsearch.database.lock import Owner, is_being_written, read_owner, reading, writing
from reidsearch.database.snapshot import read_snapshot
from tests.conftest import Warnings
from tests.unit.builders import (
    PROVENANCE,
    make_detection,
    make_frames,
    make_info,
    make_records,
    make_source_record,
)

DEAD = Owner("here", 4242, "2026-01-01 00:00:00+00:00", "reidsearch ingest")


def write(folder: Path) -> None:
    with writing(folder):
        pass


@pytest.mark.parametrize("take", [write, is_being_written])
def test_lock_has_the_rights_of_other_files(tmp_path: Path, take: Callable[[Path], Any]) -> None:
    """Of a group that shares a folder, others than the first may take it."""
    before = os.umask(0o002)
    try:
        take(tmp_path)
    finally:
        os.umask(before)
    assert (tmp_path / LOCK_FILE).stat().st_mode & 0o777 == 0o664


def test_dead_writer_is_not_named_for_those_who_read(tmp_path: Path) -> None:
    (tmp_path / OWNER_FILE).write_text(json.dumps(asdict(DEAD)))
    with reading(tmp_path), pytest.raises(DatabaseBusyError) as refused, writing(tmp_path):
        pass
    assert "4242" not in str(refused.value)
    warnings = Warnings()
    with writing(tmp_path, progress=warnings):
        own = read_owner(tmp_path)
        assert own is not None
        with pytest.raises(DatabaseBusyError, match=f"process {own.pid}"), reading(tmp_path):
            pass
    assert "4242" in warnings.texts[0]
    assert "died while writing" in warnings.texts[0]


@pytest.mark.parametrize("text", ["[" * 100_000, "{}", '{"pid": 1}', "\ud800", ""])
def test_note_of_somebody_else(tmp_path: Path, text: str) -> None:
    (tmp_path / OWNER_FILE).write_text(text, "utf-8", errors="surrogatepass")
    assert read_owner(tmp_path) is None
    with writing(tmp_path):
        assert read_owner(tmp_path) is not None


def test_note_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_path: Path) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(lock, "atomic_write", refuse)
    with pytest.raises(ReadOnlyError), writing(tmp_path):
        pass
    assert not is_being_written(tmp_path)


def test_disk_that_is_read_only(tmp_path: Path) -> None:
    error = OSError(errno.EROFS, os.strerror(errno.EROFS))
    assert isinstance(explain(error, tmp_path), ReadOnlyError)
    assert not isinstance(explain(OSError(errno.ENOSPC, "full"), tmp_path), ReadOnlyError)


def test_reader_looks_again_where_files_were_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between two looks of a reader the index is made anew, and the files that it knew are gone."""
    with open_chroma(tmp_path, PROVENANCE) as store:
        info = make_info()
        records = make_records([make_detection(info, 1)], [30])
        store.add(records, make_source_record(info), make_frames(info, 1))
    before = read_snapshot(tmp_path)
    with open_chroma(tmp_path, rebuild_index=True):
        pass
    snapshots = chain([before], repeat(read_snapshot(tmp_path)))
    monkeypatch.setattr(opening, "read_snapshot", lambda _folder: next(snapshots))
    assert len(opening.open_index(tmp_path)) == 1
