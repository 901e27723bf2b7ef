"""What a database of detections can be asked: the protocols that readers and writers implement."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Collection, Hashable, Iterable, Iterator, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from reidsearch.core.ids import SourceKey
    from reidsearch.core.provenance import Provenance, SourceRecord
    from reidsearch.core.types import (
        FileStamp,
        Filter,
        Fuse,
        Match,
        Passage,
        Records,
        StoredDetection,
        StoredFrame,
    )

LAST = 2**63 - 1  # greater than any frame number


@dataclass(frozen=True, slots=True)
class SnapshotId:
    """Names one state of one database.

    Attributes:
        schema: version of the database's format.
        collection: id of the Chroma collection.
        generation: grows by one with each write that was confirmed.
    """

    schema: int
    collection: str
    generation: int


class Store(Protocol):
    """Detections, their vectors, and what is known of their sources and models."""

    @property
    def provenance(self) -> Provenance:
        """The models that every row was made with."""
        ...

    @property
    def state(self) -> SnapshotId:
        """Which state of the database this is: another one once somebody wrote to it."""
        ...

    @property
    def is_exact(self) -> bool:
        """Whether `nearest` never misses a row, and `count` is quick."""
        ...

    def sources(self) -> tuple[SourceRecord, ...]:
        """All sources, by camera and name."""
        ...

    def frames(self, key: SourceKey, first: int = 0, last: int = LAST) -> NDArray[np.int64]:
        """Numbers of a source's frames from `first` to `last`, ascending; they may be empty."""
        ...

    def frame_checksums(self, key: SourceKey) -> NDArray[np.int64]:
        """What changes when a source's frames or rows do.

        Returns:
            `(F, 2)`, of each frame its number, ascending, and a CRC-32 of all its rows.
        """
        ...

    def nearest(
        self, query: NDArray[np.float32], wanted: Filter, fuse: Fuse = "min"
    ) -> Iterator[Match]:
        """Give the rows wanted, nearest first, as long as they are asked for.

        Rows of one distance come in the order of `detections`.

        Args:
            query: `(Q, D)`, of Q pictures of one person.
            wanted: which rows.
            fuse: how the distances to the Q vectors become one.
        """
        ...

    def count(self, wanted: Filter) -> int:
        """How many rows are wanted."""
        ...

    def detections(self, wanted: Filter) -> list[StoredDetection]:
        """The rows wanted, without vectors, by camera, source, frame and falling score."""
        ...

    def scan(self, wanted: Filter) -> Records:
        """The rows wanted, with vectors, in the order of `detections`."""
        ...

    def __len__(self) -> int:
        """How many rows there are."""
        ...


class Tracklets(Protocol):
    """Which detections of a store follow each other as one person."""

    def name(self, detection: StoredDetection) -> Hashable:
        """What tells a detection's tracklet from all others."""
        ...

    def passage(self, detection: StoredDetection, wanted: Filter) -> Passage:
        """All of a detection's tracklet that is wanted, the detection among it."""
        ...

    def mean_look(self, detection: StoredDetection) -> NDArray[np.float32]:
        """The mean of clear detections of its tracklet, of length 1: `(1, D)`, or `(0, D)`."""
        ...


class WritableStore(Store, Protocol):
    """A store that this process, and no other, may write."""

    def add(self, records: Records, source: SourceRecord, frames: Sequence[StoredFrame]) -> None:
        """Store frames of a source with their rows; killed in between, none of them is there.

        Args:
            records: of these frames, whose times and paths they have; their vectors are rounded to
                float16.
            source: by its info and settings; its frames are the store's to count.
            frames: new ones, with or without rows.

        Raises:
            ModelMismatchError: the rows' fingerprint is not the store's.
            ValueError: the store has some of these frames, times do not rise with frames, or rows
                do not fit to their frames.
        """
        ...

    def remove(self, key: SourceKey, frames: Collection[int]) -> None:
        """Forget frames of a source, and their rows; they can be added again."""
        ...

    def stamps(
        self, key: SourceKey, first: int = 0, last: int = LAST
    ) -> Iterable[tuple[int, FileStamp]]:
        """Frames from `first` to `last`, ascending, with what their files were, where known."""
        ...

    def restamp(self, key: SourceKey, stamps: Mapping[int, FileStamp]) -> None:
        """Remember what files of frames are, whose contents are what they were."""
        ...
