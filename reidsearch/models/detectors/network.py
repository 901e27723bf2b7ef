"""What runs a detection network; it knows neither frames nor tiles."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from reidsearch.core.types import Detections

SCORE_FLOOR = 0.05
"""Below it, nothing that any view says is worth joining."""


class Network(Protocol):
    """A detection network on whatever it runs."""

    def infer(self, views: Sequence[NDArray[np.uint8]]) -> list[Detections]:
        """Find people.

        Args:
            views: each `(h, w, 3)` uint8 RGB; of the network's own input size, unless it keeps the
                aspect of what it is given.

        Returns:
            For each view its boxes in fractions of its width and height, those with a score of at
            least `SCORE_FLOOR`.
        """
        ...
