"""Any frozen graph of the TensorFlow Object Detection API, run by TensorFlow."""

from __future__ import annotations

import contextlib
import os
import re
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

# torch's compiler loads libtriton. Both libtriton and TensorFlow contain LLVM, and a process that
# loads TensorFlow first crashes when it loads libtriton; the other order is safe.
with contextlib.suppress(ImportError):
    import triton._C.libtriton  # noqa: F401
import numpy as np

from reidsearch.models.detectors.quiet import quiet_stderr

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
with quiet_stderr():  # importing it prints messages at any log level
    import tensorflow as tf
from google.protobuf.message import DecodeError

from reidsearch.core.errors import ModelError
from reidsearch.core.types import Detections
from reidsearch.models.detectors.network import SCORE_FLOOR
from reidsearch.models.weights import weights_path

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from reidsearch.models.cards import DetectorCard

_INPUT = "image_tensor:0"
_OUTPUTS = ("detection_boxes:0", "detection_scores:0", "detection_classes:0")


class TensorFlowNetwork:
    """See `Network`.

    Views run in parallel, one on each core: these networks are too small to keep several cores
    busy with one view, and batches are not faster.
    """

    def __init__(self, card: DetectorCard) -> None:
        self._card = card
        tf.config.experimental.enable_tensor_float_32_execution(enabled=False)
        graph = _read_graph(weights_path(card), card.name)
        # One core a view, which runs in the calling thread.
        threads = tf.compat.v1.ConfigProto(
            intra_op_parallelism_threads=1, inter_op_parallelism_threads=-1
        )
        self._session = tf.compat.v1.Session(graph=graph, config=threads)
        self._workers = ThreadPoolExecutor(os.cpu_count(), "detector")

    def infer(self, views: Sequence[NDArray[np.uint8]]) -> list[Detections]:
        """See `Network.infer`."""
        return list(self._workers.map(self._infer_view, views))

    def _infer_view(self, view: NDArray[np.uint8]) -> Detections:
        boxes, scores, classes = (
            output[0] for output in self._session.run(_OUTPUTS, {_INPUT: view[np.newaxis]})
        )
        kept = (classes == self._card.person_class) & (scores >= SCORE_FLOOR)
        xyxy = np.asarray(boxes[kept][:, [1, 0, 3, 2]], np.float32)
        return Detections(xyxy, np.asarray(scores[kept], np.float32))


# Graphs are programs. A detector does not need these operations, which access files, the network,
# Python or other state.
_UNSAFE = re.compile(
    r".*(File|Files|PyFunc.*|Save.*|Restore.*|Checkpoint.*|Dataset.*|Reader.*|Socket.*|Send|Recv)"
    r"|(Print|PrintV2|DebugIdentity.*|LoadAndRemapMatrix|Delete.*|Lookup.*|Initialize.*|XlaLaunch)"
)


def _read_graph(path: Path, name: str) -> tf.Graph:
    definition = tf.compat.v1.GraphDef()
    try:
        definition.ParseFromString(path.read_bytes())
    except DecodeError as error:
        raise ModelError(f"{path} is not a TensorFlow frozen graph") from error
    functions = [node for function in definition.library.function for node in function.node_def]
    operations = {node.op for node in (*definition.node, *functions)}
    if unsafe := sorted(filter(_UNSAFE.fullmatch, operations)):
        raise ModelError(
            f"{path} contains unsafe operations: {', '.join(unsafe)}",
            hint="detectors do not need them: do not trust this file",
        )
    graph = tf.Graph()
    with graph.as_default():
        tf.import_graph_def(definition, name="")
    missing = {_INPUT, *_OUTPUTS} - {
        out.name for op in graph.get_operations() for out in op.outputs
    }
    if missing:
        raise ModelError(
            f"{name} is not a graph of the TensorFlow Object Detection API",
            hint=f"it lacks {', '.join(sorted(missing))}",
        )
    return graph
