"""Reading frames to write them elsewhere, with proof that they are what was stored."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np

from reidsearch.core.errors import StoreError
from reidsearch.core.text import count
from reidsearch.core.types import Embeddings, Records
from reidsearch.database.checksum import checksum_rows
from reidsearch.database.layout import REPAIR_HINT

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence, Set

    from reidsearch.core.ids import SourceKey
    from reidsearch.core.provenance import Provenance

FRAMES_AT_ONCE = 1000


class VerifiedRows(NamedTuple):
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

    def read(self, key: SourceKey, frames: Sequence[int]) -> Records:
        """Rows of frames of a source, which rise; what is none of ours is left out."""
        ...


class Proof(Protocol):
    """What says which rows were stored: the ledger, or the index where the ledger is lost."""

    def checksums(self, key: SourceKey, first: int, last: int) -> dict[int, tuple[int, int]]:
        """Of the rows of frames `first` to `last` of a source; see `checksum_rows`."""
        ...


def verify_rows(
    proof: Proof, stores: Sequence[Readable], key: SourceKey, frames: Iterable[int]
) -> Iterator[VerifiedRows]:
    """Read frames of a source, which may be many, some at a time.

    Args:
        proof: what the rows' checksums have to be.
        stores: where they may be; what one has not, or wrong, is taken from the next. Where two
            have the same, and as many rows as were stored, it is the proof that is wrong.
        key: of the source.
        frames: which of its frames, ascending.
    """
    for batch in batched([*frames], FRAMES_AT_ONCE):
        stored = proof.checksums(key, batch[0], batch[-1])
        left, parts = batch, [_no_rows(stores[0].provenance)]
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
        right_ones = [number for number in batch if number not in wrong]
        yield VerifiedRows(right_ones, _joined(parts), left)


def require_stored(key: SourceKey, wrong: Sequence[int]) -> None:
    """Raise StoreError if there are frames of a source whose rows are not what was stored."""
    if wrong:
        raise StoreError(
            f"{count(len(wrong), 'frame')} of {key} not as stored; the first is {wrong[0]}",
            hint=REPAIR_HINT,
        )


def batched(frames: Sequence[int], size: int) -> Iterator[list[int]]:
    """Cut a sequence into parts of a size; the last may be smaller."""
    return ([*frames[start : start + size]] for start in range(0, len(frames), size))


def _no_rows(provenance: Provenance) -> Records:
    nothing = np.empty((0, provenance.dimension), np.float32)
    return Records((), Embeddings(nothing, provenance.fingerprint))


def _only(records: Records, frames: Set[int]) -> Records:
    rows = [row for row, detection in enumerate(records.detections) if detection.frame in frames]
    if len(rows) == len(records):
        return records
    embeddings = Embeddings(records.embeddings.vectors[rows], records.embeddings.fingerprint)
    return Records(tuple(records.detections[row] for row in rows), embeddings)


def _joined(parts: Sequence[Records]) -> Records:
    full = [part for part in parts if len(part)] or parts[:1]
    if len(full) == 1:
        return full[0]
    vectors = np.concatenate([part.embeddings.vectors for part in full])
    detections = tuple(detection for part in full for detection in part.detections)
    return Records(detections, Embeddings(vectors, full[0].embeddings.fingerprint))
