"""Where sightings live: a protocol, and Chroma behind it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from reidsearch.provenance import Provenance, SourceRecord
    from reidsearch.types import Filter, Match, Records, Sighting


class Store(Protocol):
    """Sightings, their vectors, and what is known of their sources and models."""

    @property
    def provenance(self) -> Provenance:
        """The models that every row was made with."""
        ...

    def sources(self) -> tuple[SourceRecord, ...]:
        """All sources, by camera and name."""
        ...

    def add(self, records: Records, source: SourceRecord) -> None:
        """Write rows of `source`, replacing those with the same id, and then its new record.

        A source that is new is recorded before, without frames. Killed in between, rows are there
        whose frames the record does not have; the same frames written again replace them.

        Raises:
            ModelMismatchError: the rows' fingerprint is not the store's.
        """
        ...

    def query(self, vector: NDArray[np.float32], wanted: Filter, top: int) -> list[Match]:
        """The `top` rows nearest to `vector` `(D,)` among those wanted, nearest first."""
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
