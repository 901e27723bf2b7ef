"""Any frozen graph of the TensorFlow Object Detection API, run by TensorFlow."""

from __future__ import annotations

import contextlib
import os
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TYPE_CHECKING

# torch's compiler loads libtriton. Both it and TensorFlow carry LLVM, and a process that loads
# TensorFlow first crashes when libtriton comes after it; the other way round is safe.
with contextlib.suppress(ImportError):
    import triton._C.libtriton  # noqa: F401
import cv2
import numpy as np

from reidsearch.detectors.quiet import quiet_stderr

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
with quiet_stderr():  # while it loads, it greets the terminal at any log level
    import tensorflow as tf
from google.protobuf.message import DecodeError

from reidsearch.boxes import clip_to
from reidsearch.catalog import weights_path
from reidsearch.detectors.tiles import choose_grid, join_views, lay_tiles, parse_tiles
from reidsearch.errors import ModelError
from reidsearch.types import Detections

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from reidsearch.catalog import DetectorCard
    from reidsearch.detectors.tiles import Tile
    from reidsearch.provenance import DetectionSettings

_INPUT = "image_tensor:0"
_OUTPUTS = ("detection_boxes:0", "detection_scores:0", "detection_classes:0")
_SCORE_FLOOR = 0.05  # below it, nothing that any view says is worth joining


class TensorFlowDetector:
    """See `Detector`.

    Views run side by side, one on each core: these networks are too small to keep several cores
    busy with one view, and in a batch they are no faster.
    """

    def __init__(self, card: DetectorCard, settings: DetectionSettings) -> None:
        self._card = card
        self._settings = settings
        self._grid = parse_tiles(settings.tiles)
        graph = _read_graph(weights_path(card), card.name)
        # One core for a view, which runs in the thread that asks for it.
        threads = tf.compat.v1.ConfigProto(
            intra_op_parallelism_threads=1, inter_op_parallelism_threads=-1
        )
        self._session = tf.compat.v1.Session(graph=graph, config=threads)
        self._workers = ThreadPoolExecutor(os.cpu_count(), "detector")

    def detect(self, images: Sequence[NDArray[np.uint8]]) -> list[Detections]:
        """See `Detector.detect`."""
        layouts = [self._lay_tiles(image) for image in images]
        views = [
            self._workers.submit(self._look, image, tile)
            for image, tiles in zip(images, layouts, strict=True)
            for tile in tiles
        ]
        found = iter([view.result() for view in views])
        return [
            self._keep_people(join_views(tiles, list(islice(found, len(tiles)))), image)
            for image, tiles in zip(images, layouts, strict=True)
        ]

    def _lay_tiles(self, image: NDArray[np.uint8]) -> list[Tile]:
        height, width = image.shape[:2]
        return lay_tiles(
            width, height, self._grid or choose_grid(width, height, self._card.input_px)
        )

    def _keep_people(self, found: Detections, image: NDArray[np.uint8]) -> Detections:
        height, width = image.shape[:2]
        found = Detections(clip_to(found.xyxy, width, height), found.score)
        tall = found.xyxy[:, 3] - found.xyxy[:, 1] >= self._settings.min_height_px
        return found[tall & (found.score >= self._settings.min_score)]

    def _look(self, image: NDArray[np.uint8], tile: Tile) -> Detections:
        """Find people in one view, in pixels of the full frame."""
        x1, y1, x2, y2 = tile
        view = image[y1:y2, x1:x2]
        if not self._card.keeps_aspect:  # the graph would do the same, slower
            side = self._card.input_px
            view = np.asarray(cv2.resize(view, (side, side)), np.uint8)
        boxes, scores, classes = (
            output[0] for output in self._session.run(_OUTPUTS, {_INPUT: view[np.newaxis]})
        )
        kept = (classes == self._card.person_class) & (scores >= _SCORE_FLOOR)
        scale = np.array([x2 - x1, y2 - y1] * 2, np.float32)
        corner = np.array([x1, y1] * 2, np.float32)
        xyxy = np.clip(boxes[kept][:, [1, 0, 3, 2]], 0, 1) * scale + corner
        return Detections(np.asarray(xyxy, np.float32), np.asarray(scores[kept], np.float32))


def _read_graph(path: Path, name: str) -> tf.Graph:
    definition = tf.compat.v1.GraphDef()
    try:
        definition.ParseFromString(path.read_bytes())
    except DecodeError as error:
        raise ModelError(f"{path} is not a TensorFlow frozen graph") from error
    graph = tf.Graph()
    with graph.as_default():
        tf.import_graph_def(definition, name="")
    missing = {_INPUT, *_OUTPUTS} - {
        out.name for op in graph.get_operations() for out in op.outputs
    }
    if missing:
        raise ModelError(
            f"{name} is not a graph of the TensorFlow Object Detection API",
            hint=f"it has no {', '.join(sorted(missing))}",
        )
    return graph
