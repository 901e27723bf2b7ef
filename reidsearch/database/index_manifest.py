"""The exact index's manifest, as it stands in the ledger."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from reidsearch.database.index_files import BLOCK_BYTES, DamagedIndexError, Manifest, Part

if TYPE_CHECKING:
    import sqlite3


def read_manifest(connection: sqlite3.Connection) -> Manifest | None:
    """Which files make the index; None where there is none.

    Raises:
        DamagedIndexError: it is not a manifest.
    """
    checksums: dict[str, list[int]] = defaultdict(list)
    for name, checksum in connection.execute(
        "SELECT file, checksum FROM index_blocks ORDER BY file, block"
    ):
        checksums[name].append(checksum)
    files = connection.execute("SELECT name, size FROM index_files").fetchall()
    dropped = connection.execute("SELECT frame FROM index_dropped ORDER BY frame").fetchall()
    if not files:
        return None
    try:
        parts = [Part(name, size, tuple(checksums[name])) for name, size in files]
        return Manifest.of_parts(parts, [frame for (frame,) in dropped])
    except (ValueError, TypeError) as error:
        raise DamagedIndexError(f"its manifest cannot be read: {error}") from error


def clear_manifest(connection: sqlite3.Connection) -> None:
    """Say that there is no index."""
    connection.execute("DELETE FROM index_files")
    connection.execute("DELETE FROM index_dropped")


def save_manifest(
    connection: sqlite3.Connection, before: Manifest | None, after: Manifest | None
) -> None:
    """Write what is new of a manifest, within a transaction of the caller's.

    Args:
        connection: to the ledger.
        before: what it has.
        after: what it shall have; None says that there is no index.
    """
    if before == after:
        return
    names = {part.name for part in before.parts} if before else set()
    if before is None or after is None or names != {part.name for part in after.parts}:
        clear_manifest(connection)
        before = None
    if after is None:
        return
    known = {part.name: part.size for part in before.parts} if before else {}
    for part in after.parts:
        size, unchanged = part.size, known.get(part.name, 0) // BLOCK_BYTES
        connection.execute(
            "INSERT INTO index_files VALUES (?, ?) ON CONFLICT DO UPDATE SET size = excluded.size",
            (part.name, size),
        )
        connection.executemany(
            "INSERT OR REPLACE INTO index_blocks VALUES (?, ?, ?)",
            (
                (part.name, block, checksum)
                for block, checksum in enumerate((part.checksums or ())[unchanged:], unchanged)
            ),
        )
    connection.executemany(
        "INSERT OR IGNORE INTO index_dropped VALUES (?)",
        ((frame,) for frame in after.dropped[len(before.dropped) if before else 0 :]),
    )
