"""What was ingested: sources, and each frame with what came of it.

An SQLite file beside Chroma's. Rows in Chroma count once their frames are here, and each frame has
a checksum of its rows, so that what rots in Chroma is found. Frames whose rows are being written or
removed are *pending*: after a kill their rows are swept out of Chroma. Here too stands which part
of the exact index counts, so that one transaction confirms frames in both.
"""

from __future__ import annotations

import sqlite3
import time
from contextlib import contextmanager, suppress
from dataclasses import astuple, replace
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from reidsearch.core.errors import StoreError
from reidsearch.core.ids import SourceKey
from reidsearch.core.store import LAST
from reidsearch.core.types import FileStamp, StoredFrame
from reidsearch.database.checksum import checksum_fields
from reidsearch.database.index_manifest import clear_manifest, read_manifest, save_manifest
from reidsearch.database.layout import REPAIR_HINT
from reidsearch.database.ledger_schema import (
    SOURCE_FIELDS,
    connected,
    provenance_of,
    sources_of,
    state_of,
    write_provenance,
    write_state,
)
from reidsearch.database.runs import CurrentRun

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from reidsearch.core.provenance import Provenance, SourceRecord
    from reidsearch.core.store import SnapshotId
    from reidsearch.database.index_files import Manifest


class Ledger:
    """The ledger of one database; made by `open_ledger`.

    Attributes:
        run: of this process.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.run = CurrentRun(connection)
        self._db = connection

    @property
    def state(self) -> SnapshotId:
        """Raise StoreError where it cannot be believed."""
        return state_of(self._db)

    @property
    def provenance(self) -> Provenance:
        """Raise StoreError where it cannot be believed."""
        return provenance_of(self._db)

    @property
    def manifest(self) -> Manifest | None:
        """Of the exact index; raises as `read_manifest` does."""
        return read_manifest(self._db)

    def set_provenance(self, provenance: Provenance) -> None:
        """Say which models are behind every row; there must be none yet."""
        with self._db:
            write_provenance(self._db, provenance)

    def numbered_sources(self) -> dict[int, SourceRecord]:
        """All sources by their numbers, which frames refer to; raises as `sources_of` does."""
        return sources_of(self._db)

    def sources(self) -> dict[SourceKey, SourceRecord]:
        """All sources; raises StoreError where what is here contradicts itself."""
        return {source.info.key: source for source in self.numbered_sources().values()}

    def source_id(self, key: SourceKey) -> int:
        """The number of a source; -1, which none has, where there is no such source."""
        row = self._db.execute("SELECT id FROM sources WHERE camera = ? AND name = ?", key)
        return next((int(source) for (source,) in row), -1)

    def frames(self, key: SourceKey, first: int = 0, last: int = LAST) -> NDArray[np.int64]:
        """See `Store.frames`."""
        rows = self._db.execute(
            "SELECT number FROM frames WHERE source = ? AND number BETWEEN ? AND ? ORDER BY number",
            (self.source_id(key), first, last),
        )
        return np.fromiter((number for (number,) in rows), np.int64)

    def frame_checksums(self, key: SourceKey) -> NDArray[np.int64]:
        """See `Store.frame_checksums`."""
        rows = self._db.execute(
            "SELECT number, crc32 FROM frames WHERE source = ? ORDER BY number",
            (self.source_id(key),),
        )
        return np.array(rows.fetchall(), np.int64).reshape(-1, 2)

    def has_frame(self, key: SourceKey, number: int) -> bool:
        """Whether a frame is confirmed."""
        return bool(len(self.frames(key, number, number)))

    def entries(self, key: SourceKey, numbers: Sequence[int]) -> list[StoredFrame]:
        """What is known of frames, ascending, which are all confirmed."""
        if not numbers:
            return []
        rows = self._db.execute(
            "SELECT number, time_s, path, size, mtime_ns, digest FROM frames "
            "JOIN files ON files.id = file "
            "WHERE source = ? AND number BETWEEN ? AND ? ORDER BY number",
            (self.source_id(key), numbers[0], numbers[-1]),
        )
        chosen = set(numbers)
        return [
            StoredFrame(number, time_s, path, None if stamp[0] is None else FileStamp(*stamp))
            for number, time_s, path, *stamp in rows
            if number in chosen
        ]

    def stamps(
        self, key: SourceKey, first: int = 0, last: int = LAST
    ) -> Iterator[tuple[int, FileStamp]]:
        """See `WritableStore.stamps`."""
        rows = self._db.execute(
            "SELECT number, size, mtime_ns, digest FROM frames JOIN files ON files.id = file "
            "WHERE source = ? AND number BETWEEN ? AND ? AND size IS NOT NULL ORDER BY number",
            (self.source_id(key), first, last),
        )
        return ((number, FileStamp(*stamp)) for number, *stamp in rows)

    def restamp(self, key: SourceKey, stamps: Mapping[int, FileStamp]) -> None:
        """Remember what files are now: those of the frames named, and of others in them."""
        source = self.source_id(key)
        with self._db:
            self._db.executemany(
                "UPDATE files SET size = ?, mtime_ns = ?, digest = ? WHERE id = "
                "(SELECT file FROM frames WHERE source = ? AND number = ?)",
                ((*astuple(stamp), source, number) for number, stamp in stamps.items()),
            )

    def checksums(self, key: SourceKey, first: int, last: int) -> dict[int, tuple[int, int]]:
        """Of the rows of frames `first` to `last`; see `checksum_rows`."""
        rows = self._db.execute(
            "SELECT number, detections, crc32 FROM frames "
            "WHERE source = ? AND number BETWEEN ? AND ?",
            (self.source_id(key), first, last),
        )
        return {number: (detections, crc32) for number, detections, crc32 in rows}

    def pending(self) -> dict[SourceKey, list[int]]:
        """Frames whose rows are to be swept out of Chroma."""
        frames: dict[SourceKey, list[int]] = {}
        for camera, name, number in self._db.execute(
            "SELECT camera, name, number FROM pending JOIN sources ON id = source "
            "ORDER BY source, number"
        ):
            frames.setdefault(SourceKey(camera, name), []).append(number)
        return frames

    def require_new(self, key: SourceKey, frames: Sequence[StoredFrame]) -> None:
        """Check that frames, ascending, are not known, and that times rise with them.

        Raises:
            ValueError: they do not.
        """
        source = self.source_id(key)
        for before, after in pairwise(frames):
            if not (before.number < after.number and before.time_s < after.time_s):
                raise ValueError(f"frame {after.number} of {key} is not later than the one before")
        for frame in frames:
            before, after = (
                self._db.execute(
                    "SELECT number, time_s FROM frames WHERE source = ? "  # noqa: S608
                    f"AND number {relation} ? ORDER BY number {order} LIMIT 1",
                    (source, frame.number),
                ).fetchone()
                for relation, order in (("<=", "DESC"), (">", "ASC"))
            )
            if before and before[0] == frame.number:
                raise ValueError(f"frame {frame.number} of {key} is stored already")
            if (before and before[1] >= frame.time_s) or (after and after[1] <= frame.time_s):
                raise ValueError(
                    f"the time of frame {frame.number} of {key} must rise with its number"
                )

    def begin_run(self, keys: Iterable[SourceKey]) -> None:
        """Record that this process reads sources, also where it will store nothing of them."""
        with self._db:
            self.run.begin()
            for key in keys:
                self.run.read(self.source_id(key))

    def announce(self, source: SourceRecord, frames: Iterable[int]) -> bool:
        """Say that rows of these frames are about to be written.

        Returns:
            Whether the source was not known, or not as it is now.
        """
        with self._db:
            self.run.begin()
        with self._db:
            is_changed = self._record(source)
            number = self.source_id(source.info.key)
            self.run.read(number)
            rows = ((number, frame) for frame in frames)
            self._db.executemany("INSERT OR IGNORE INTO pending VALUES (?, ?)", rows)
        return is_changed

    def commit(
        self,
        key: SourceKey,
        frames: Sequence[StoredFrame],
        sums: Mapping[int, tuple[int, int]],
        index: tuple[Manifest | None, Manifest | None] = (None, None),
    ) -> None:
        """Let pending frames and their rows count.

        Args:
            key: of the source.
            frames: ascending.
            sums: of their rows; see `checksum_rows`.
            index: the manifest as it was, and as it is with these rows.
        """
        source = self.source_id(key)
        detections = sum(sums[frame.number][0] for frame in frames)
        with self._db:
            self.run.count(len(frames), detections)
            self._insert(source, frames, sums, time.time())
            self._purge(source, (frame.number for frame in frames))
            self._count(source, len(frames), detections)
            save_manifest(self._db, *index)
            self._next_generation()

    def mark_deleted(
        self,
        key: SourceKey,
        frames: Collection[int],
        index: tuple[Manifest | None, Manifest | None] = (None, None),
    ) -> None:
        """Let frames count no more, until they are purged; see `commit`."""
        source = self.source_id(key)
        with self._db:
            lost = [
                self._db.execute(
                    "DELETE FROM frames WHERE source = ? AND number = ? RETURNING detections, file",
                    (source, number),
                ).fetchall()[0]
                for number in frames
            ]
            self._db.executemany(
                "DELETE FROM files WHERE id = ? AND id NOT IN (SELECT file FROM frames "
                "WHERE file = files.id)",
                {(file,) for _, file in lost},
            )
            rows = ((source, number) for number in frames)
            self._db.executemany("INSERT OR IGNORE INTO pending VALUES (?, ?)", rows)
            self._count(source, -len(lost), -sum(detections for detections, _ in lost))
            save_manifest(self._db, *index)
            self._next_generation()

    def purge(self, key: SourceKey, frames: Iterable[int]) -> None:
        """Chroma has no rows of these pending frames any more."""
        with self._db:
            self._purge(self.source_id(key), frames)

    def set_index(self, manifest: Manifest | None) -> None:
        """Let another index count, or none."""
        with self._db:
            clear_manifest(self._db)
            save_manifest(self._db, None, manifest)

    def require_consistent(self) -> None:
        """Read all that is here; raises StoreError where it contradicts itself."""
        [(said, *_), *_] = self._db.execute("PRAGMA integrity_check").fetchall()
        if said != "ok":
            raise sqlite3.DatabaseError(said)
        for source, record in sources_of(self._db).items():
            [counts] = self._db.execute(
                "SELECT COUNT(*), TOTAL(detections) FROM frames WHERE source = ?", (source,)
            )
            if counts != (record.frames, record.detections):
                raise StoreError(
                    f"what the ledger says of {record.info} is damaged", hint=REPAIR_HINT
                )

    def _record(self, source: SourceRecord) -> bool:
        """Write what is said of a source, where it is not said already."""
        names, fields = ", ".join(SOURCE_FIELDS), source.to_fields()
        values = tuple(fields[name] for name in SOURCE_FIELDS)
        known = self._db.execute(
            f"SELECT {names} FROM sources WHERE camera = ? AND name = ?",  # noqa: S608
            source.info.key,
        ).fetchone()
        if known == values:
            return False
        updates = ", ".join(f"{name} = excluded.{name}" for name in SOURCE_FIELDS)
        self._db.execute(
            f"INSERT INTO sources ({names}) "  # noqa: S608
            f"VALUES ({', '.join('?' * len(values))}) ON CONFLICT DO UPDATE SET {updates}",
            values,
        )
        self._count(self.source_id(source.info.key), 0, 0)
        return True

    def _insert(
        self,
        source: int,
        frames: Iterable[StoredFrame],
        sums: Mapping[int, tuple[int, int]],
        stored_s: float,
    ) -> None:
        last = self._db.execute(
            "SELECT files.* FROM frames JOIN files ON files.id = file WHERE source = ? "
            "ORDER BY number DESC LIMIT 1",
            (source,),
        ).fetchone() or (None,)
        for frame in frames:
            stamp = (None, None, None) if frame.stamp is None else astuple(frame.stamp)
            if last[1:] != (frame.path, *stamp):  # else another frame of the same video
                file = self._db.execute(
                    "INSERT INTO files (path, size, mtime_ns, digest) VALUES (?, ?, ?, ?)",
                    (frame.path, *stamp),
                ).lastrowid
                last = (file, frame.path, *stamp)
            self._db.execute(
                "INSERT INTO frames VALUES (?, ?, ?, ?, ?, ?, ?)",
                (source, frame.number, frame.time_s, last[0], *sums[frame.number], stored_s),
            )

    def _purge(self, source: int, frames: Iterable[int]) -> None:
        self._db.executemany(
            "DELETE FROM pending WHERE source = ? AND number = ?",
            ((source, number) for number in frames),
        )

    def _count(self, source: int, frames: int, detections: int) -> None:
        """Add to what a source has, and seal what is said of it."""
        self._db.execute(
            "UPDATE sources SET frames = frames + ?, detections = detections + ? WHERE id = ?",
            (frames, detections, source),
        )
        names = ", ".join((*SOURCE_FIELDS, "frames", "detections"))
        values = self._db.execute(
            f"SELECT {names} FROM sources WHERE id = ?",  # noqa: S608
            (source,),
        ).fetchone()
        self._db.execute(
            "UPDATE sources SET crc32 = ? WHERE id = ?", (checksum_fields(*values), source)
        )

    def _next_generation(self) -> None:
        state = self.state
        write_state(self._db, replace(state, generation=state.generation + 1))


@contextmanager
def open_ledger(folder: Path) -> Iterator[Ledger]:
    """Open the ledger of a database, which its writer's lock keeps for this process.

    How the context ends becomes the outcome of the run.

    Raises:
        StoreError: it is missing, or damaged.
        SchemaError: another version of reidsearch made it.
    """
    with connected(folder) as connection:
        ledger = Ledger(connection)
        try:
            connection.execute("PRAGMA journal_mode = TRUNCATE")  # a sixth of the time of DELETE
            yield ledger
        except BaseException as error:
            is_stopped = isinstance(error, KeyboardInterrupt)
            ledger.run.outcome = "interrupted" if is_stopped else "failed"
            with suppress(sqlite3.Error):  # what is damaged or full cannot be told
                ledger.run.end()
            raise
        ledger.run.end()
