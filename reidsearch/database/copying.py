"""Writing a database to an empty folder, from a copy of a ledger and verified rows."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from reidsearch.core.types import Records
from reidsearch.database.checksum import checksum_rows
from reidsearch.database.chroma_client import create_collection, open_client
from reidsearch.database.chroma_store import upsert
from reidsearch.database.index_files import FOLDER
from reidsearch.database.index_writer import IndexWriter
from reidsearch.database.ledger_copy import open_copy
from reidsearch.database.verify import verify_rows

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence, Set
    from pathlib import Path

    from reidsearch.core.ids import SourceKey
    from reidsearch.core.progress import Progress
    from reidsearch.database.verify import Readable


@dataclass(frozen=True, slots=True)
class Exclusion:
    """What is left out of a copy.

    Attributes:
        frames: of each source, with all that was found in them.
        ids: single people in frames that stay.
    """

    frames: Mapping[SourceKey, Set[int]] = field(default_factory=dict)
    ids: Set[str] = frozenset()


def fill(
    made: Path,
    stores: Sequence[Readable],
    exclusion: Exclusion,
    progress: Progress,
    outcome: str | None = None,
) -> int:
    """Write Chroma and the index beside a ledger's copy, and leave there what is to stay.

    Args:
        made: the folder, with the copy.
        stores: where rows are taken from; see `verify_rows`.
        exclusion: what goes.
        progress: told of each row.
        outcome: of a run that was under way when the ledger was copied.

    Returns:
        How many frames no store has as they were stored; they go too.

    Raises:
        StoreError: the ledger is damaged.
    """
    lost = 0
    with open_client(made) as client, open_copy(made) as ledger:
        ledger.require_consistent()
        collection = create_collection(client, ledger.provenance)
        ledger.adopt(str(collection.id))
        if outcome is not None:
            ledger.close_stale_run(outcome)
        index = IndexWriter(made / FOLDER, None, ledger.provenance)
        manifest = index.new_manifest()
        sources = ledger.numbered_sources()
        progress.phase("rewriting", sum(source.detections for source in sources.values()))
        for number, source in sources.items():
            key = source.info.key
            ledger.delete(key, exclusion.frames.get(key, frozenset()))
            for verified in verify_rows(ledger, stores, key, ledger.frames(key).tolist()):
                rows = _without(verified.rows, exclusion.ids)
                sums = checksum_rows(key, verified.frames, rows)
                ledger.reseal(key, sums)
                ledger.delete(key, verified.wrong)
                upsert(client, collection, rows)
                frames = ledger.entries(key, verified.frames)
                manifest = index.append(manifest, number, frames, rows, sums)
                lost += len(verified.wrong)
                progress.advance(len(verified.rows))
        ledger.finish(manifest)
        index.describe(ledger.numbered_sources(), manifest)
    return lost


def _without(records: Records, ids: Set[str]) -> Records:
    kept = [row for row, detection in enumerate(records.detections) if detection.id not in ids]
    vectors = records.embeddings.vectors[kept]
    detections = tuple(records.detections[row] for row in kept)
    return Records(detections, replace(records.embeddings, vectors=vectors))
