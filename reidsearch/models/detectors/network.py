"""The protocol of detection networks, which know neither frames nor tiles."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from reidsearch.core.types import Detections

SCORE_FLOOR = 0.05
"""Detections in views with a lower score are dropped before tiles are merged."""


class Network(Protocol):
    """A detection network, run by any library."""

    def infer(self, views: Sequence[NDArray[np.uint8]]) -> list[Detections]:
        """Find people.

        Args:
            views: each `(h, w, 3)` uint8 RGB; of the network's input size, unless it keeps the
                aspect ratio of its input.

        Returns:
            For each view its detections with a score of at least `SCORE_FLOOR`; boxes in fractions
            of its width and height.
        """
        ...
