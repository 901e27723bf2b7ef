"""Networks that find people in a frame."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from reidsearch.catalog import DetectorCard
    from reidsearch.provenance import DetectionSettings
    from reidsearch.types import Detections


class Detector(Protocol):
    """Finds people."""

    def detect(self, images: Sequence[NDArray[np.uint8]]) -> list[Detections]:
        """Find the people in frames.

        Args:
            images: each `(H, W, 3)` uint8 RGB, of any size.

        Returns:
            For each frame its boxes, inside the frame, by falling score; there may be none.
        """
        ...


def load_detector(card: DetectorCard, settings: DetectionSettings) -> Detector:
    """Load a detector with its verified weights.

    Raises:
        ModelError: the weights are missing, damaged, or not a detection graph.
    """
    from reidsearch.detectors.tensorflow_graph import TensorFlowDetector

    return TensorFlowDetector(card, settings)
