"""Reading frames to write them elsewhere, with proof that they are what was stored."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np

from reidsearch.core.errors import StoreError
from reidsearch.core.types import Embeddings, Records
from reidsearch.database.checksum import checksum_rows
from reidsearch.database.layout import REPAIR_HINT

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence, Set

    from reidsearch.core.provenance import Provenance, SourceRecord
    from reidsearch.core.types import SourceInfo
    from reidsearch.database.journal import Journal

FRAMES_AT_ONCE = 1000


class Checked(NamedTuple):
    """Some frames of a source.

    Attributes:
        frames: those that are what was stored.
        rows: what was found in them.
        wrong: those that are not.
    """

    frames: list[int]
    rows: Records
    wrong: list[int]


class Readable(Protocol):
    """What has rows: Chroma, or the exact index."""

    @property
    def provenance(self) -> Provenance:
        """See `Store.provenance`."""
        ...

    def read(self, key: tuple[str, str], frames: Sequence[int]) -> Records:
        """Rows of frames of a source, which rise; what is none of ours is left out."""
        ...


class Proven(Protocol):
    """What has rows, and the proof of what was stored: a database that is being written."""

    def sources(self) -> tuple[SourceRecord, ...]:
        """See `Store.sources`."""
        ...

    def check(self, record: SourceRecord, frames: Set[int]) -> Iterator[Checked]:
        """See `check`."""
        ...


def check(
    journal: Journal, stores: Sequence[Readable], record: SourceRecord, frames: Set[int]
) -> Iterator[Checked]:
    """Read frames of a source, which may be many, some at a time.

    Args:
        journal: what the rows' checksums have to be.
        stores: where they may be; what one has not, or wrong, is taken from the next. Where two
            have the same, and as many rows as were stored, it is the journal's checksum that is
            wrong.
        record: the source.
        frames: which of its frames.
    """
    key = record.info.key
    for some in in_parts(sorted(frames), FRAMES_AT_ONCE):
        stored = journal.checksums(key, some[0], some[-1])
        left, parts = some, [_nobody(stores[0].provenance)]
        before: dict[int, tuple[int, int]] = {}
        for store in stores:
            if left:
                rows = store.read(key, left)
                found = checksum_rows(key, left, rows)
                right = {n for n in left if found[n] == stored.get(n)}
                right |= {
                    n for n in before if found[n] == before[n] and found[n][0] == stored[n][0]
                }
                parts.append(_only(rows, right))
                left = [number for number in left if number not in right]
                before = {n: found[n] for n in left if n in stored}
        wrong = {*left}
        yield Checked([number for number in some if number not in wrong], _joined(parts), left)


def require_stored(info: SourceInfo, wrong: Sequence[int]) -> None:
    """Raise StoreError if there are frames of a source whose rows are not what was stored."""
    if wrong:
        raise StoreError(
            f"{len(wrong)} frames of {info} are not what was stored, the first is {wrong[0]}",
            hint=REPAIR_HINT,
        )


def in_parts(frames: Sequence[int], size: int) -> Iterator[list[int]]:
    """Cut a sequence into parts of a size; the last may be smaller."""
    return ([*frames[start : start + size]] for start in range(0, len(frames), size))


def _nobody(provenance: Provenance) -> Records:
    nothing = np.empty((0, provenance.dimension), np.float32)
    return Records((), Embeddings(nothing, provenance.fingerprint))


def _only(records: Records, frames: Set[int]) -> Records:
    rows = [row for row, sighting in enumerate(records.detections) if sighting.frame in frames]
    if len(rows) == len(records):
        return records
    embeddings = Embeddings(records.embeddings.vectors[rows], records.embeddings.fingerprint)
    return Records(tuple(records.detections[row] for row in rows), embeddings)


def _joined(parts: Sequence[Records]) -> Records:
    full = [part for part in parts if len(part)] or parts[:1]
    if len(full) == 1:
        return full[0]
    vectors = np.concatenate([part.embeddings.vectors for part in full])
    sightings = tuple(sighting for part in full for sighting in part.detections)
    return Records(sightings, Embeddings(vectors, full[0].embeddings.fingerprint))
