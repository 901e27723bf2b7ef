"""A database in one file, with checksums."""

from __future__ import annotations

import hashlib
import json
import lzma
import shutil
import sqlite3
import zipfile
import zlib
from contextlib import ExitStack, suppress
from datetime import datetime
from pathlib import PurePosixPath
from typing import IO, TYPE_CHECKING, Any

from reidsearch._version import __version__
from reidsearch.core.errors import DatabaseBusyError, ReadOnlyError, StoreError
from reidsearch.core.files import (
    atomic_write,
    copy_sqlite,
    require_regular,
    resolve,
    working_folder,
)
from reidsearch.core.progress import SILENT
from reidsearch.core.text import count
from reidsearch.database.audit_log import locked
from reidsearch.database.index_files import DamagedIndexError
from reidsearch.database.layout import (
    AUDIT_FILE,
    AUDIT_HEAD_FILE,
    AUDIT_LOCK_FILE,
    DATABASE_FILE,
    LEDGER_FILE,
    LOCK_FILE,
    OWNER_FILE,
    PEOPLE_FILE,
    SQLITE_ENDS,
    explain,
    foreign_collections,
    has_database,
    require_database,
)
from reidsearch.database.ledger_schema import read_state
from reidsearch.database.lock import reading
from reidsearch.database.probe import BrokenChromaError, probe
from reidsearch.database.rebuild import copy_live
from reidsearch.database.swap import finish_swap

if TYPE_CHECKING:
    from pathlib import Path

    from reidsearch.core.progress import Progress

_LIST = "backup.json"
_FORMAT = "reidsearch backup 1"
_LEFT_OUT = {LOCK_FILE, OWNER_FILE, AUDIT_LOCK_FILE}
_README = "README.md"
_PIECE_BYTES = 1 << 20
_MOST_LIST_BYTES = 1 << 24
# What zipfile raises, and the list's reader; RuntimeError is of encryption and odd compression.
_NO_BACKUP = (
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, RuntimeError),
    *(ValueError, KeyError, TypeError, OverflowError),
)


def write_backup(folder: Path, out: Path, progress: Progress = SILENT) -> int:
    """Copy a database, which others may read or write meanwhile; return the file's size in bytes.

    Beside a writer, what it has confirmed is rewritten and packed, as Chroma's files change; and
    so is what lies in a folder that is read-only, as Chroma could not be kept from changing it.

    Args:
        folder: the database.
        out: the file to write.
        progress: told of a database that is rewritten, and warned when what was copied is
            damaged, or not all there is.

    Raises:
        StoreError: there is no database, it is damaged, or the file cannot be written.
        DatabaseBusyError: another process writes the database, and it has no index yet.
    """
    finish_swap(folder)
    require_database(folder)
    read_state(folder)
    path = out.resolve()
    if path.is_relative_to(folder.resolve()):
        raise StoreError(f"{out} is inside the database", hint="name a file outside it")
    try:
        with (
            working_folder(path.with_name(f".backing-up-{path.name}")) as work,
            atomic_write(path) as partial,
            ExitStack() as held,
        ):
            try:
                held.enter_context(reading(folder))
            except (DatabaseBusyError, ReadOnlyError) as error:
                try:
                    _pack_live(folder, partial, work, progress)
                except DamagedIndexError:
                    raise error from None
                if others := foreign_collections(folder):
                    progress.warn(
                        f"the backup omits {', '.join(others)}, which other programs created"
                    )
            else:
                _pack(folder, partial, work)
                if problem := _find_damage(folder):
                    progress.warn(problem)
            return partial.stat().st_size
    except sqlite3.Error as error:
        raise explain(error, folder) from error
    except OSError as error:
        raise StoreError(f"cannot back {folder} up to {out}: {error.strerror}") from error


def restore_backup(backup: Path, folder: Path) -> int:
    """Make a database of a backup, and return how many bytes it has.

    Nothing is there before all of it was read and its checksums were right.

    Raises:
        StoreError: the file is no backup, is damaged, or the folder holds something already.
    """
    if has_database(folder) or (folder.is_dir() and _is_in_use(folder)):
        raise StoreError(f"{folder} is not empty", hint="restore to a new --db")
    try:
        target = resolve(folder)
        require_regular(backup)
        target.parent.mkdir(parents=True, exist_ok=True)
        with (
            working_folder(target.with_name(f".restoring-{target.name}")) as work,
            zipfile.ZipFile(backup) as archive,
        ):
            made = work / "database"
            size = _unpack(archive, made)
            require_database(made)
            if (target / _README).exists():
                shutil.copy2(target / _README, made)
            if target.exists():  # with nothing else of anybody's in it
                target.rename(work / "old")
            made.rename(target)
            return size
    except _NO_BACKUP as error:
        raise StoreError(f"{backup} is not a backup, or it is damaged: {error}") from error
    except OSError as error:
        raise StoreError(f"cannot restore {backup}: {error.strerror or error}") from error


def _find_damage(folder: Path) -> str:
    try:
        damaged = probe(folder).damaged
    except BrokenChromaError as error:
        return f"the backup is as damaged as the database: {error}"
    except StoreError as error:
        return f"the backup could not be verified: {error}"
    some = ", ".join(f"{count(len(frames), 'frame')} of {c}/{n}" for c, n, frames in damaged)
    return some and f"the backup is as damaged as the database: {some}"


def _is_in_use(folder: Path) -> bool:
    return any(path.name not in {*_LEFT_OUT, _README} for path in folder.iterdir())


def _pack_live(folder: Path, out: Path, work: Path, progress: Progress) -> None:
    """Pack what a writer has confirmed, as long as nobody of it is erased meanwhile."""
    made = work / "database"
    made.mkdir()
    state = copy_live(folder, made, progress)
    _copy_logs(folder, made)
    _pack(made, out, work)
    if read_state(folder).collection != state.collection:
        raise StoreError(f"{folder} was rewritten in the meantime", hint="try again")


def _pack(folder: Path, out: Path, work: Path) -> None:
    files: list[dict[str, Any]] = []
    copies = work / "copies"
    copies.mkdir()
    copied = _copy_changing(folder, copies)
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for path in sorted(folder.rglob("*")):
            name = path.relative_to(folder).as_posix()
            is_left_over = name.startswith(".") or name.endswith(SQLITE_ENDS)
            if not path.is_file() or name in _LEFT_OUT or is_left_over:
                continue
            with (
                copied.get(name, path).open("rb") as file,
                archive.open(f"database/{name}", "w", force_zip64=True) as entry,
            ):
                size, sha256 = _copy(file, entry)
            files.append({"name": name, "size": size, "sha256": sha256})
        written = datetime.now().astimezone().isoformat(" ", "seconds")
        about = {"format": _FORMAT, "reidsearch": __version__, "written": written, "files": files}
        archive.writestr(_LIST, json.dumps(about, indent=1))


def _copy_changing(folder: Path, temporary: Path) -> dict[str, Path]:
    """Copy what cannot be read as it lies there, by name."""
    for name in (DATABASE_FILE, LEDGER_FILE):
        copy_sqlite(folder / name, temporary / name)
    _copy_logs(folder, temporary)
    return {path.name: path for path in temporary.iterdir()}


def _copy_logs(folder: Path, to: Path) -> None:
    """Copy the logs as they are at one moment: searches go on."""
    with ExitStack() as held:
        with suppress(OSError):  # nobody writes to a folder that is read-only
            held.enter_context(locked(folder))
        for name in (AUDIT_FILE, AUDIT_HEAD_FILE, PEOPLE_FILE):
            if (folder / name).exists():
                shutil.copyfile(folder / name, to / name)


def _unpack(archive: zipfile.ZipFile, folder: Path) -> int:
    with archive.open(_LIST) as file:
        about = json.loads(file.read(_MOST_LIST_BYTES))
    if about["format"] != _FORMAT:
        raise ValueError(f"its format is {about['format']}")
    total = 0
    for file in about["files"]:
        name = PurePosixPath(file["name"])
        if name.is_absolute() or ".." in name.parts or not name.parts:
            raise ValueError(f"it has a file {file['name']!r}")
        path = folder.joinpath(*name.parts)
        path.parent.mkdir(parents=True, exist_ok=True)
        with archive.open(f"database/{file['name']}") as entry, path.open("wb") as out:
            size, sha256 = _copy(entry, out, int(file["size"]))
        if (size, sha256) != (file["size"], file["sha256"]):
            raise ValueError(f"{file['name']} does not match its checksum")
        total += size
    return total


def _copy(source: IO[bytes], target: IO[bytes], most: int | None = None) -> tuple[int, str]:
    """Copy a file, and give its size and sha256; no more of it than it may have."""
    size, digest = 0, hashlib.sha256()
    while piece := source.read(_PIECE_BYTES):
        size += len(piece)
        if most is not None and size > most:
            break
        digest.update(piece)
        target.write(piece)
    return size, digest.hexdigest()
