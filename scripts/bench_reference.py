"""The other side of the benchmarks: people are found and embedded as the demo did it.

One TensorFlow session looks at one picture at a time; one torch network, with the frameworks' own
defaults, embeds one crop after the other, or batches of them as torchreid's FeatureExtractor does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image
from torch import nn

from reidsearch.core.types import Detections
from reidsearch.models.detectors.merge import merge_views
from reidsearch.models.detectors.tensorflow_graph import tf
from reidsearch.models.detectors.tiles import lay_out, parse_tiles
from reidsearch.models.embedders.torchreid_network import load_network
from reidsearch.models.weights import weights_path

if TYPE_CHECKING:
    from reidsearch.models.cards import DetectorCard, EmbedderCard

MIN_HEIGHT_PX = 24


class DemoDetector:
    """A TensorFlow graph, view by view."""

    def __init__(self, card: DetectorCard, tiles: str) -> None:
        self._card, self._grid = card, parse_tiles(tiles)
        definition = tf.compat.v1.GraphDef()
        definition.ParseFromString(weights_path(card).read_bytes())
        with tf.Graph().as_default() as graph:
            tf.import_graph_def(definition, name="")
        self._session = tf.compat.v1.Session(graph=graph)

    def detect(self, image: np.ndarray) -> Detections:
        """Find the people in one frame."""
        height, width = image.shape[:2]
        tiles = lay_out(width, height, self._grid, self._card)
        joined = merge_views(tiles, [self._look(image, *tile) for tile in tiles])
        tall = joined.xyxy[:, 3] - joined.xyxy[:, 1] >= MIN_HEIGHT_PX
        return joined[tall & (joined.score >= self._card.min_score)]

    def _look(self, image: np.ndarray, x1: int, y1: int, x2: int, y2: int) -> Detections:
        outputs = ("detection_boxes:0", "detection_scores:0")
        view = image[y1:y2, x1:x2]
        boxes, scores = (o[0] for o in self._session.run(outputs, {"image_tensor:0": view[None]}))
        xyxy = boxes[:, [1, 0, 3, 2]] * [x2 - x1, y2 - y1, x2 - x1, y2 - y1] + [x1, y1, x1, y1]
        kept = scores >= 0.05
        return Detections(xyxy[kept].astype(np.float32), scores[kept])


class DemoEmbedder:
    """A torch network."""

    def __init__(self, card: EmbedderCard) -> None:
        self._card = card
        self._network = load_network(card)

    def embed(self, crops: list[np.ndarray]) -> np.ndarray:
        """Embed one batch."""
        batch = torch.stack([self._prepare(crop) for crop in crops])
        with torch.no_grad():
            return nn.functional.normalize(self._network(batch)).numpy()

    def _prepare(self, crop: np.ndarray) -> Any:
        height, width = self._card.input_hw
        picture = Image.fromarray(crop).resize((width, height), Image.Resampling.BILINEAR)
        pixels = torch.from_numpy(np.asarray(picture).transpose(2, 0, 1) / np.float32(255))
        mean, std = (torch.tensor(v).view(3, 1, 1) for v in (self._card.mean, self._card.std))
        return (pixels - mean) / std
