"""A ledger that began as a copy of another, for a database that is rewritten.

So what other tables say of frames that stay is carried along, and what they say of others goes with
these.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from reidsearch.core.files import copy_sqlite
from reidsearch.database.index_manifest import clear_manifest, save_manifest
from reidsearch.database.layout import LEDGER_FILE
from reidsearch.database.ledger import Ledger
from reidsearch.database.ledger_schema import connected, create_ledger, write_state
from reidsearch.database.runs import close_stale_run

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from reidsearch.core.ids import SourceKey
    from reidsearch.core.provenance import SourceRecord
    from reidsearch.database.index_files import Manifest
    from reidsearch.database.index_reader import IndexReader

_FRAMES_AT_ONCE = 10_000


class LedgerCopy(Ledger):
    """See `Ledger`; made by `open_copy` only."""

    def delete(self, key: SourceKey, frames: Iterable[int]) -> None:
        """Forget frames, and what other tables say of them."""
        source = self.source_id(key)
        with self._db:
            self._db.executemany(
                "DELETE FROM frames WHERE source = ? AND number = ?",
                ((source, number) for number in frames),
            )

    def reseal(self, key: SourceKey, sums: Mapping[int, tuple[int, int]]) -> None:
        """Say that frames have other rows than they had; see `checksum_rows`."""
        source = self.source_id(key)
        with self._db:
            self._db.executemany(
                "UPDATE frames SET detections = ?, crc32 = ? WHERE source = ? AND number = ?",
                ((*row, source, number) for number, row in sums.items()),
            )

    def adopt(self, collection: str) -> None:
        """Belong to another collection, which has neither rows nor an index yet."""
        with self._db:
            self._db.execute("DELETE FROM pending")
            clear_manifest(self._db)
            write_state(self._db, replace(self.state, collection=collection))

    def finish(self, manifest: Manifest | None) -> None:
        """Count what is left, and let no bytes of the rest be in the file."""
        with self._db:
            self._db.execute(
                "UPDATE sources SET "
                "frames = (SELECT COUNT(*) FROM frames WHERE source = id), "
                "detections = (SELECT COALESCE(SUM(detections), 0) FROM frames WHERE source = id)"
            )
            self._db.execute("DELETE FROM sources WHERE frames = 0")
            self._db.execute("DELETE FROM files WHERE id NOT IN (SELECT file FROM frames)")
            for source in [*self._db.execute("SELECT id FROM sources")]:
                self._count(source[0], 0, 0)
            save_manifest(self._db, None, manifest)
        self._db.execute("VACUUM")

    def close_stale_run(self, outcome: str) -> None:
        """See `runs.close_stale_run`."""
        with self._db:
            close_stale_run(self._db, outcome)

    def record_frames(self, source: SourceRecord, index: IndexReader) -> None:
        """Take over what the index knows of a source and its frames."""
        key = source.info.key
        numbers = index.frames(key).tolist()
        for start in range(0, len(numbers), _FRAMES_AT_ONCE):
            batch = numbers[start : start + _FRAMES_AT_ONCE]
            self.announce(source, batch)
            sums = index.checksums(key, batch[0], batch[-1])
            self.commit(key, index.entries(key, batch), sums)


@contextmanager
def open_copy(folder: Path) -> Iterator[LedgerCopy]:
    """Open a ledger that nobody else knows of; raises as `open_ledger` does."""
    with connected(folder) as connection:
        connection.execute("PRAGMA journal_mode = TRUNCATE")
        ledger = LedgerCopy(connection)
        ledger.run.precision = ledger.provenance.precision
        yield ledger
        ledger.run.end()


def copy_ledger(folder: Path, made: Path) -> None:
    """Copy the ledger of a database, which others may write meanwhile; raises sqlite3.Error."""
    copy_sqlite(folder / LEDGER_FILE, made / LEDGER_FILE)


def recreate_ledger(index: IndexReader, made: Path) -> None:
    """Make a ledger of what the index knows: all but runs, and what files were."""
    create_ledger(made / LEDGER_FILE, "", index.provenance)
    with open_copy(made) as ledger:
        for source in index.sources():
            ledger.record_frames(source, index)
