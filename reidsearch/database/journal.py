"""What was ingested: runs, sources, and each frame with what came of it.

An SQLite file beside Chroma's. Rows in Chroma count once their frames are here, and each frame has
a checksum of its rows, so that what rots in Chroma is found. Frames whose rows are being written or
removed are *pending*: after a kill their rows are swept out of Chroma.
"""

from __future__ import annotations

import json
import sqlite3
import time
import zlib
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict, astuple, dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from reidsearch._version import __version__
from reidsearch.core.errors import StoreError
from reidsearch.core.frame_set import FrameSet
from reidsearch.core.provenance import SourceRecord
from reidsearch.core.store import SnapshotId
from reidsearch.core.types import FileStamp
from reidsearch.database.checksum import checksum_fields, checksum_rows
from reidsearch.database.layout import JOURNAL_FILE, REPAIR_HINT, SCHEMA, require_schema
from reidsearch.database.lock import is_being_written, read_owner
from reidsearch.models.backends import library_versions

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from reidsearch.core.types import Records

    Key = tuple[str, str]

_WAIT_S = 10.0
_TABLES = """
    CREATE TABLE about (
        schema INTEGER NOT NULL, collection TEXT NOT NULL, generation INTEGER NOT NULL,
        crc32 INTEGER NOT NULL
    );
    CREATE TABLE runs (
        id INTEGER PRIMARY KEY, started TEXT NOT NULL, ended TEXT, outcome TEXT,
        version TEXT NOT NULL, precision TEXT NOT NULL, versions TEXT NOT NULL,
        frames INTEGER NOT NULL DEFAULT 0, people INTEGER NOT NULL DEFAULT 0
    );
    CREATE TABLE sources (
        id INTEGER PRIMARY KEY, camera TEXT NOT NULL, name TEXT NOT NULL, record TEXT NOT NULL,
        frames INTEGER NOT NULL, people INTEGER NOT NULL, crc32 INTEGER NOT NULL,
        UNIQUE (camera, name)
    );
    CREATE TABLE frames (
        source INTEGER NOT NULL, number INTEGER NOT NULL, people INTEGER NOT NULL,
        crc32 INTEGER NOT NULL, stored_s REAL NOT NULL,
        size INTEGER, mtime_ns INTEGER, digest TEXT,
        PRIMARY KEY (source, number)
    ) WITHOUT ROWID;
    CREATE TABLE pending (
        source INTEGER NOT NULL, number INTEGER NOT NULL, PRIMARY KEY (source, number)
    ) WITHOUT ROWID;
"""


@dataclass(frozen=True, slots=True)
class Run:
    """One process that wrote.

    Attributes:
        started, ended: local time, ISO 8601; `ended` is None while it runs, or when it was killed.
        outcome: finished, interrupted or failed; None is under way, or killed.
        version: of reidsearch.
        precision, versions: see `Provenance`; here they are those of this process.
        frames, people: what it stored.
    """

    started: str
    ended: str | None
    outcome: str | None
    version: str
    precision: str
    versions: str
    frames: int
    people: int


class Journal:
    """The journal of one database; made by `open_journal`.

    Attributes:
        precision: what the networks of this process compute in, for the record of its run.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.precision = "f32"
        self._db = connection
        self._opened = _now()
        self._run: int | None = None

    @property
    def state(self) -> SnapshotId:
        """Raise StoreError where it cannot be believed."""
        return _read_state(self._db)

    def sources(self) -> dict[Key, SourceRecord]:
        """All sources; raises StoreError where what is here contradicts itself."""
        try:
            return self._read_sources()
        except (ValueError, TypeError) as error:
            raise StoreError(f"the journal is damaged: {error}", hint=REPAIR_HINT) from error

    def _read_sources(self) -> dict[Key, SourceRecord]:
        found = {}
        for source, camera, name, record, frames, people, crc32 in self._db.execute(
            "SELECT id, camera, name, record, frames, people, crc32 FROM sources"
        ).fetchall():
            numbers = self._numbers("frames", source)
            [(have,)] = self._db.execute(
                "SELECT TOTAL(people) FROM frames WHERE source = ?", (source,)
            )
            if (len(numbers), have) != (frames, people) or crc32 != checksum_fields(
                camera, name, record, frames, people
            ):
                raise StoreError(
                    f"what the journal says of {camera}/{name} is damaged", hint=REPAIR_HINT
                )
            known = SourceRecord.from_json(record)
            found[camera, name] = replace(known, frames=FrameSet(numbers), people=people)
        return found

    def stamps(self, key: Key) -> Iterator[tuple[int, FileStamp]]:
        """Frames of a source, with what their files were, where that is known."""
        rows = self._db.execute(
            "SELECT number, size, mtime_ns, digest FROM frames WHERE source = ? "
            "AND size IS NOT NULL ORDER BY number",
            (self._id(key),),
        )
        return ((number, FileStamp(*stamp)) for number, *stamp in rows)

    def restamp(self, key: Key, stamps: Mapping[int, FileStamp]) -> None:
        """Remember what files are now."""
        source = self._id(key)
        with self._db:
            self._db.executemany(
                "UPDATE frames SET size = ?, mtime_ns = ?, digest = ? "
                "WHERE source = ? AND number = ?",
                ((*astuple(stamp), source, number) for number, stamp in stamps.items()),
            )

    def checksums(self, key: Key, first: int, last: int) -> dict[int, tuple[int, int]]:
        """Of the rows of frames `first` to `last`; see `checksum_rows`."""
        rows = self._db.execute(
            "SELECT number, people, crc32 FROM frames WHERE source = ? AND number BETWEEN ? AND ?",
            (self._id(key), first, last),
        )
        return {number: (people, crc32) for number, people, crc32 in rows}

    def runs(self) -> list[Run]:
        """All that wrote, oldest first."""
        rows = self._db.execute(
            "SELECT started, ended, outcome, version, precision, versions, frames, people "
            "FROM runs ORDER BY id"
        )
        return [Run(*row) for row in rows]

    def written(self) -> tuple[int, int]:
        """How many frames and people this process has confirmed."""
        rows = self._db.execute("SELECT frames, people FROM runs WHERE id = ?", (self._run,))
        return next(((frames, people) for frames, people in rows), (0, 0))

    def pending(self) -> dict[Key, list[int]]:
        """Frames whose rows are to be swept out of Chroma."""
        rows = self._db.execute("SELECT id, camera, name FROM sources").fetchall()
        frames = {(camera, name): self._numbers("pending", id_) for id_, camera, name in rows}
        return {key: numbers for key, numbers in frames.items() if numbers}

    def begin(self, source: SourceRecord, frames: Iterable[int]) -> None:
        """Say that rows of these frames are about to be written; a new source is recorded."""
        self._begin_run()
        info = source.info
        record = json.dumps({"info": asdict(info), "settings": asdict(source.settings)})
        with self._db:
            self._db.execute(
                "INSERT INTO sources (camera, name, record, frames, people, crc32) "
                "VALUES (?, ?, ?, 0, 0, 0) ON CONFLICT DO UPDATE SET record = excluded.record",
                (info.camera, info.name, record),
            )
            self._count(info.key, 0, 0)
            rows = ((self._id(info.key), number) for number in frames)
            self._db.executemany("INSERT OR IGNORE INTO pending VALUES (?, ?)", rows)

    def confirm(self, key: Key, frames: Mapping[int, FileStamp | None], records: Records) -> int:
        """Let pending frames and their rows count, and return the new generation."""
        source, sums = self._id(key), checksum_rows(key, frames, records)
        with self._db:
            self._db.execute(
                "UPDATE runs SET frames = frames + ?, people = people + ? WHERE id = ?",
                (len(frames), len(records), self._run),
            )
            now_s = time.time()
            self._db.executemany(
                "INSERT INTO frames VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    (source, number, *sums[number], now_s, *_stamp_row(stamp))
                    for number, stamp in frames.items()
                ),
            )
            self._settle(source, frames)
            self._count(key, len(frames), len(records))
            return self._next_generation()

    def withdraw(self, key: Key, frames: Iterable[int]) -> int:
        """Let frames count no more, until they are swept; return the new generation."""
        rows = [(self._id(key), number) for number in frames]
        with self._db:
            lost = 0
            for row in rows:
                [(people,)] = self._db.execute(
                    "DELETE FROM frames WHERE source = ? AND number = ? RETURNING people", row
                ).fetchall()
                lost += people
            self._db.executemany("INSERT OR IGNORE INTO pending VALUES (?, ?)", rows)
            self._count(key, -len(rows), -lost)
            return self._next_generation()

    def swept(self, key: Key, frames: Iterable[int]) -> None:
        """Chroma has no rows of these frames any more."""
        with self._db:
            self._settle(self._id(key), frames)

    def take_history(self, folder: Path) -> None:
        """Take over the runs of another journal, and what it knows of our frames' files."""
        self._db.execute("ATTACH ? AS old", (str(folder / JOURNAL_FILE),))
        with self._db:
            self._run = None
            self._db.execute("DELETE FROM runs")
            self._db.execute("INSERT INTO runs SELECT * FROM old.runs")
            self._db.execute("""
                UPDATE frames SET (stored_s, size, mtime_ns, digest) = (
                    SELECT f.stored_s, f.size, f.mtime_ns, f.digest FROM sources s
                    JOIN old.sources o ON (o.camera, o.name) = (s.camera, s.name)
                    JOIN old.frames f ON (f.source, f.number) = (o.id, frames.number)
                    WHERE s.id = frames.source
                )
            """)
        self._db.execute("DETACH old")

    def end_run(self, outcome: str) -> None:
        """Say how this process ended, if it wrote."""
        if self._run is not None:
            with self._db:
                self._db.execute(
                    "UPDATE runs SET ended = ?, outcome = ? WHERE id = ?",
                    (_now(), outcome, self._run),
                )

    def end_others(self, outcome: str) -> None:
        """Say how another process ended, if it has not said it: in a copy it never will."""
        with self._db:
            self._db.execute(
                "UPDATE runs SET outcome = ? WHERE outcome IS NULL AND id = "
                "(SELECT MAX(id) FROM runs)",
                (outcome,),
            )

    def _begin_run(self) -> None:
        if self._run is not None:
            return
        with self._db:
            run = self._db.execute(
                "INSERT INTO runs (started, version, precision, versions) VALUES (?, ?, ?, ?)",
                (self._opened, __version__, self.precision, library_versions()),
            ).lastrowid
        self._run = run

    def _id(self, key: Key) -> int | None:
        row = self._db.execute("SELECT id FROM sources WHERE camera = ? AND name = ?", key)
        return next((int(source) for (source,) in row), None)

    def _numbers(self, table: str, source: int) -> list[int]:
        query = f"SELECT number FROM {table} WHERE source = ? ORDER BY number"  # noqa: S608
        return [number for (number,) in self._db.execute(query, (source,))]

    def _settle(self, source: int | None, frames: Iterable[int]) -> None:
        self._db.executemany(
            "DELETE FROM pending WHERE source = ? AND number = ?",
            ((source, number) for number in frames),
        )

    def _count(self, key: Key, frames: int, people: int) -> None:
        """Add to what a source has, and seal what is said of it."""
        [(record, *have)] = self._db.execute(
            "SELECT record, frames, people FROM sources WHERE camera = ? AND name = ?", key
        ).fetchall()
        now = have[0] + frames, have[1] + people
        self._db.execute(
            "UPDATE sources SET frames = ?, people = ?, crc32 = ? WHERE camera = ? AND name = ?",
            (*now, checksum_fields(*key, record, *now), *key),
        )

    def _next_generation(self) -> int:
        state = self.state
        _write_state(self._db, replace(state, generation=state.generation + 1))
        return state.generation + 1


@contextmanager
def open_journal(folder: Path) -> Iterator[Journal]:
    """Open the journal of a database, which its writer's lock keeps for this process.

    How the context ends becomes the outcome of the run.

    Raises:
        StoreError: it is missing, or damaged.
    """
    with _connected(folder) as connection:
        journal = Journal(connection)
        try:
            connection.execute("PRAGMA journal_mode = TRUNCATE")  # a sixth of the time of DELETE
            _require_whole(connection)
            yield journal
        except BaseException as error:
            with suppress(sqlite3.Error):  # what is damaged or full cannot be told
                journal.end_run("interrupted" if isinstance(error, KeyboardInterrupt) else "failed")
            raise
        journal.end_run("finished")


def create_journal(path: Path, collection: str, generation: int = 0) -> None:
    """Make an empty journal for a collection."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executescript(_TABLES)
        _write_state(connection, SnapshotId(SCHEMA, collection, generation))


def read_state(folder: Path) -> SnapshotId:
    """Which state a database is in, without opening more of it.

    Raises:
        StoreError: its journal is missing, or damaged.
    """
    with _connected(folder) as connection:
        return _read_state(connection)


def require_own_schema(folder: Path) -> None:
    """Raise SchemaError where a database says that another version of reidsearch made it."""
    try:
        state = read_state(folder)
    except StoreError:
        return
    require_schema(state.schema, folder)


def read_runs(folder: Path) -> list[Run]:
    """All that wrote a database, oldest first; raises as `read_state` does."""
    with _connected(folder) as connection:
        runs = Journal(connection).runs()
    owner = read_owner(folder) if is_being_written(folder) else None

    def outcome(run: Run) -> str:
        is_its = owner is not None and run.started >= owner.started
        return run.outcome or ("under way" if is_its else "killed")

    return [replace(run, outcome=outcome(run)) for run in runs]


def read_stored_before(folder: Path, key: Key, time_s: float) -> set[int]:
    """Frames of a source that were stored before an epoch time; raises as `read_state` does."""
    with _connected(folder) as connection:
        rows = connection.execute(
            "SELECT number FROM frames JOIN sources ON id = source "
            "WHERE camera = ? AND name = ? AND stored_s < ?",
            (*key, time_s),
        )
        return {number for (number,) in rows}


@contextmanager
def _connected(folder: Path) -> Iterator[sqlite3.Connection]:
    path = folder / JOURNAL_FILE
    if not path.is_file():
        raise StoreError(f"the database {folder} has no journal", hint=REPAIR_HINT)
    try:
        # Written to also by readers: they play back what a killed writer left half done.
        uri = f"{path.resolve().as_uri()}?mode=rw"
        with closing(sqlite3.connect(uri, timeout=_WAIT_S, uri=True)) as connection:
            connection.execute("PRAGMA trusted_schema = OFF")
            # Others may have made the file: a view could be read without an end.
            kinds = connection.execute("SELECT DISTINCT type FROM sqlite_master").fetchall()
            if {kind for (kind,) in kinds} - {"table", "index"}:
                raise StoreError(f"the journal of {folder} is not one of reidsearch's")
            yield connection
    except (sqlite3.Error, UnicodeDecodeError) as error:  # the latter of its own messages
        raise _explain(folder, error) from error


def _require_whole(connection: sqlite3.Connection) -> None:
    [(said,), *_] = connection.execute("PRAGMA quick_check").fetchall()
    if said != "ok":
        raise sqlite3.DatabaseError(said)


def _explain(folder: Path, error: Exception) -> StoreError:
    # Others are that it is full, locked or read-only.
    is_damaged = not isinstance(error, sqlite3.OperationalError) or "no such" in str(error)
    hint = REPAIR_HINT if is_damaged else ""
    return StoreError(f"the journal of {folder} cannot be used: {error}", hint=hint)


def _read_state(connection: sqlite3.Connection) -> SnapshotId:
    rows = connection.execute("SELECT schema, collection, generation, crc32 FROM about").fetchall()
    if len(rows) != 1 or rows[0][3] != _checksum_state(*rows[0][:3]):
        raise StoreError("the journal's first page is damaged", hint=REPAIR_HINT)
    return SnapshotId(*rows[0][:3])


def _write_state(connection: sqlite3.Connection, state: SnapshotId) -> None:
    fields = astuple(state)
    connection.execute("DELETE FROM about")
    connection.execute("INSERT INTO about VALUES (?, ?, ?, ?)", (*fields, _checksum_state(*fields)))


def _checksum_state(*fields: object) -> int:
    """The same in all schemas, so that a database of another can say that it is one."""
    return zlib.crc32(repr(fields).encode())


def _stamp_row(stamp: FileStamp | None) -> tuple[int | str | None, ...]:
    return (None, None, None) if stamp is None else astuple(stamp)


def _now() -> str:
    return datetime.now().astimezone().isoformat(" ", "seconds")
