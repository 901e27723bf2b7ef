"""SSD graphs of the TensorFlow Object Detection API, run by OpenVINO.

In such a graph TensorFlow spends most of its time in two loops around the network: one resizes
pictures, the other suppresses boxes. Here the network is cut out from between them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import openvino
from openvino.frontend import (
    FrontEndManager,
    GeneralFailure,
    InitializationFailure,
    NotImplementedFailure,
    OpConversionFailure,
    OpValidationFailure,
)
from openvino.preprocess import PrePostProcessor

from reidsearch.core.boxes import nms
from reidsearch.core.errors import ModelError
from reidsearch.core.types import Detections
from reidsearch.models.detectors.network import SCORE_FLOOR
from reidsearch.models.detectors.quiet import quiet_stderr
from reidsearch.models.openvino_runtime import compile_card, run_each

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from reidsearch.models.backends import Precision
    from reidsearch.models.cards import DetectorCard

_INPUT = "1:Preprocessor/mul"  # the second input of the node that scales resized pictures
_OUTPUTS = ("Postprocessor/Decode/transpose_1:0", "Postprocessor/convert_scores:0")
_FAILURES = (
    *(GeneralFailure, InitializationFailure, NotImplementedFailure, OpConversionFailure),
    *(OpValidationFailure, RuntimeError),
)
_NMS_IOU = 0.6  # of all SSD graphs in TensorFlow's model zoo


class NotSsdError(ModelError):
    """A graph that only TensorFlow can run."""


class OpenVinoNetwork:
    """See `Network`.

    Raises:
        NotSsdError: the graph is not an SSD.
    """

    def __init__(self, card: DetectorCard, precision: Precision) -> None:
        self._card = card
        self._compiled = compile_card(
            card,
            f"{card.sha256[:16]}-{card.input_size}",
            lambda graph: cut_graph(graph, card.input_hw),
            precision,
        )

    def infer(self, views: Sequence[NDArray[np.uint8]]) -> list[Detections]:
        """See `Network.infer`."""
        outputs = run_each(self._compiled, (view[np.newaxis] for view in views))
        return [
            _decode(boxes.reshape(-1, 4), scores[0, :, self._card.person_class])
            for boxes, scores in outputs
        ]


def cut_graph(path: Path, input_hw: tuple[int, int]) -> openvino.Model:
    """Cut the network out: from `(1, H, W, 3)` uint8 to corners and scores of all anchors.

    Raises:
        NotSsdError: the file is not a graph, or not that of an SSD.
    """
    try:
        with quiet_stderr():
            return _cut(path, input_hw)
    except _FAILURES as error:
        raise NotSsdError(f"{path} is not an SSD graph: {error}") from error


def _cut(path: Path, input_hw: tuple[int, int]) -> openvino.Model:
    front_end = FrontEndManager().load_by_framework("tf")
    graph = front_end.load(path)
    start, *ends = (graph.get_place_by_tensor_name(name) for name in (_INPUT, *_OUTPUTS))
    if start is None or None in ends:
        raise NotSsdError(f"{path} lacks one of {', '.join((_INPUT, *_OUTPUTS))}")
    graph.override_all_inputs([start])
    graph.override_all_outputs(ends)
    graph.set_partial_shape(start, openvino.PartialShape([1, *input_hw, 3]))
    graph.set_element_type(start, openvino.Type.f32)
    model = front_end.convert(graph)
    for parameter in model.get_parameters():  # `image_tensor`, now unused
        if not parameter.output(0).get_target_inputs():
            model.remove_parameter(parameter)
    processor = PrePostProcessor(model)
    processor.input().tensor().set_element_type(openvino.Type.u8)
    return processor.build()


def _decode(boxes: NDArray[np.float32], scores: NDArray[np.float32]) -> Detections:
    """Turn all anchors of a view, corners as y1, x1, y2, x2, into detections."""
    rows = np.flatnonzero(scores >= SCORE_FLOOR)
    rows = rows[np.argsort(-scores[rows], kind="stable")]
    xyxy = boxes[rows][:, [1, 0, 3, 2]]
    kept = [group[0] for group in nms(xyxy, _NMS_IOU)]
    return Detections(xyxy[kept], scores[rows][kept])
