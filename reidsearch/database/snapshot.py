"""What can be read of a ledger without a lock, beside a process that writes it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from reidsearch.database.index_manifest import read_manifest
from reidsearch.database.ledger_schema import connected, provenance_of, sources_of, state_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from reidsearch.core.provenance import Provenance, SourceRecord
    from reidsearch.core.store import SnapshotId
    from reidsearch.database.index_files import Manifest


@dataclass(frozen=True)
class Snapshot:
    """What a reader needs to know of one state of a database.

    Attributes:
        sources: by their numbers in the ledger and in the index.
        manifest: which part of the index counts; None where there is no index.
    """

    state: SnapshotId
    provenance: Provenance
    sources: Mapping[int, SourceRecord]
    manifest: Manifest | None


def read_snapshot(folder: Path) -> Snapshot:
    """Read what a reader needs to know, all of one state; raises as `connected` does.

    Raises:
        DamagedIndexError: what is said of the index cannot be.
    """
    with connected(folder) as connection:
        connection.execute("BEGIN")
        return Snapshot(
            state_of(connection),
            provenance_of(connection),
            sources_of(connection),
            read_manifest(connection),
        )


def read_old_frames(folder: Path, source: SourceRecord, before_s: float) -> set[int]:
    """Frames of a source from before an epoch time; raises as `connected` does.

    It is that of the footage where that is dated; else that of its ingest.
    """
    column = "stored_s" if source.info.start_s is None else "time_s"
    with connected(folder) as connection:
        rows = connection.execute(
            "SELECT number FROM frames JOIN sources ON id = source "  # noqa: S608
            f"WHERE camera = ? AND name = ? AND {column} < ?",
            (*source.info.key, before_s),
        )
        return {number for (number,) in rows}
