"""Networks that find people in a frame."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Protocol

from reidsearch.core import extras
from reidsearch.models.backends import has_gpu, require_precision

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from reidsearch.core.provenance import DetectionSettings
    from reidsearch.core.types import Detections
    from reidsearch.models.backends import Backend, Precision
    from reidsearch.models.cards import DetectorCard
    from reidsearch.models.detectors.network import Network


class Detector(Protocol):
    """Finds people in frames."""

    def detect(self, images: Sequence[NDArray[np.uint8]]) -> list[Detections]:
        """Find people in frames.

        Args:
            images: each `(H, W, 3)` uint8 RGB, of any size.

        Returns:
            For each frame its detections, inside the frame, by descending score; maybe none.
        """
        ...


def load_detector(
    card: DetectorCard,
    settings: DetectionSettings,
    backend: Backend = "auto",
    precision: Precision = "f32",
) -> Detector:
    """Load a detector with its verified weights.

    Args:
        card: the model.
        settings: how frames are tiled, and which detections are kept.
        backend: `auto` is OpenVINO for SSD graphs on CPUs; `reference` is TensorFlow. OpenVINO
            always runs networks of its own format.
        precision: what OpenVINO computes in; TensorFlow always computes in f32.

    Raises:
        ModelError: the weights are missing, damaged, or not a detection graph.
        MissingPackageError: it needs TensorFlow, which is not installed.
        UsageError: this machine does not support that precision.
    """
    require_precision(precision, backend)
    from reidsearch.models.detectors.tiled import TiledDetector

    return TiledDetector(_load_network(card, backend, precision), card, settings)


def _load_network(card: DetectorCard, backend: Backend, precision: Precision) -> Network:
    if card.architecture == "openvino_ir":
        from reidsearch.models.detectors.openvino_ir import IrNetwork

        return IrNetwork(card, precision)
    is_on_gpu = not extras.missing(extras.TENSORFLOW) and has_gpu()
    if backend == "auto" and card.architecture == "ssd" and not is_on_gpu:
        from reidsearch.models.detectors.openvino_graph import NotSsdError, OpenVinoNetwork

        with suppress(NotSsdError):  # TensorFlow runs it, or says what is wrong with it
            return OpenVinoNetwork(card, precision)
    extras.require(extras.TENSORFLOW, "reference", f"running {card.name} in TensorFlow")
    from reidsearch.models.detectors.tensorflow_graph import TensorFlowNetwork

    return TensorFlowNetwork(card)
