"""Detectors of Open Model Zoo: one pass over a view gives boxes that do not overlap."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from reidsearch.core.types import Detections
from reidsearch.models.detectors.network import SCORE_FLOOR
from reidsearch.models.openvino_ir import not_this_network, read_ir, take_pixels
from reidsearch.models.openvino_runtime import compile_model, run_each

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from reidsearch.models.backends import Precision
    from reidsearch.models.cards import DetectorCard

_OUTPUTS = {"boxes", "labels"}


class IrNetwork:
    """See `Network`.

    The network's outputs are `boxes`, `(N, 5)` of x1, y1, x2, y2 in pixels of its input and a
    score, and `labels`, `(N,)`: https://docs.openvino.ai/2023.3/omz_models_model_person_vehicle_bike_detection_2003.html.

    Raises:
        ModelError: see `read_ir`; or its outputs are others.
    """

    def __init__(self, card: DetectorCard, precision: Precision) -> None:
        self._card = card
        model = read_ir(card)
        names = {name for output in model.outputs for name in output.names}
        if not names >= _OUTPUTS or model.output("boxes").partial_shape[-1] != 5:
            raise not_this_network(card, f"its outputs are {', '.join(sorted(names)) or 'unnamed'}")
        self._compiled = compile_model(take_pixels(model, reverse_channels=True), precision)
        self._order = [output.any_name for output in self._compiled.outputs]

    def infer(self, views: Sequence[NDArray[np.uint8]]) -> list[Detections]:
        """See `Network.infer`."""
        outputs = run_each(self._compiled, (view[np.newaxis] for view in views))
        return [self._decode(dict(zip(self._order, arrays, strict=True))) for arrays in outputs]

    def _decode(self, found: dict[str, NDArray[np.float32]]) -> Detections:
        boxes = found["boxes"].astype(np.float32)
        kept = (found["labels"] == self._card.person_class) & (boxes[:, 4] >= SCORE_FLOOR)
        height, width = self._card.input_hw
        scale = np.array([width, height, width, height], np.float32)
        boxes = boxes[kept]
        boxes = boxes[np.argsort(-boxes[:, 4], kind="stable")]
        return Detections(boxes[:, :4] / scale, boxes[:, 4].clip(0, 1))
