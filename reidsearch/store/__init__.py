"""Where sightings live: protocols, Chroma behind them, and an exact index beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from reidsearch.provenance import Provenance, SourceRecord
    from reidsearch.types import Filter, Fuse, Match, Records, Sighting


class Store(Protocol):
    """Sightings, their vectors, and what is known of their sources and models."""

    @property
    def provenance(self) -> Provenance:
        """The models that every row was made with."""
        ...

    @property
    def is_exact(self) -> bool:
        """Whether `query` never misses a row that is near, and `count` is quick."""
        ...

    def sources(self) -> tuple[SourceRecord, ...]:
        """All sources, by camera and name."""
        ...

    def query(
        self, queries: Sequence[NDArray[np.float32]], wanted: Filter, top: int, fuse: Fuse = "min"
    ) -> list[list[Match]]:
        """For each query the `top` rows nearest to it among those wanted, nearest first.

        Args:
            queries: `(Q, D)` each, of Q pictures of one person.
            wanted: which rows.
            top: how many at most.
            fuse: how the distances to the Q vectors become one.
        """
        ...

    def count(self, wanted: Filter) -> int:
        """How many rows are wanted."""
        ...

    def sightings(self, wanted: Filter) -> list[Sighting]:
        """The rows wanted, without vectors, by camera, source, frame and falling score."""
        ...

    def scan(self, wanted: Filter) -> Records:
        """The rows wanted, with vectors, in the order of `sightings`."""
        ...

    def __len__(self) -> int:
        """How many rows there are."""
        ...


class WritableStore(Store, Protocol):
    """A store that this process, and no other, may write."""

    def add(self, records: Records, source: SourceRecord) -> None:
        """Write rows of `source`, replacing those with the same id, and then its new record.

        Vectors are rounded to float16. A source that is new is recorded before, without frames.
        Killed in between, rows are there whose frames the record does not have; the same frames
        written again replace them.

        Raises:
            ModelMismatchError: the rows' fingerprint is not the store's.
        """
        ...
