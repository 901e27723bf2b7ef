"""Networks in OpenVINO's own format, such as those of Open Model Zoo."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import openvino

from reidsearch.catalog import weights_path
from reidsearch.errors import ModelError
from reidsearch.images import to_batch
from reidsearch.types import Embeddings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from reidsearch.catalog import EmbedderCard


class OpenVinoEmbedder:
    """See `Embedder`; the weights are a `.bin` with its `.xml` beside it.

    Crops go one by one, several at a time: many such networks are made for a batch of one.
    """

    def __init__(self, card: EmbedderCard) -> None:
        self.card = card
        weights = weights_path(card)
        core = openvino.Core()
        try:
            model = core.read_model(weights.with_suffix(".xml"), weights)
        except RuntimeError as error:
            reason = str(error).strip().splitlines()[-1]
            raise ModelError(f"{weights} is no OpenVINO network: {reason}") from error
        taken, given = list(model.input().shape), list(model.output().shape)
        if taken != [1, 3, *card.input_hw] or np.prod(given) != card.dimension:
            raise ModelError(f"{weights} is not {card.name}: it turns {taken} into {given}")
        compiled = core.compile_model(model, "CPU", {"PERFORMANCE_HINT": "THROUGHPUT"})
        self._queue = openvino.AsyncInferQueue(compiled)

    def embed(self, images: Sequence[NDArray[np.uint8]]) -> Embeddings:
        """See `Embedder.embed`."""
        vectors = np.empty((len(images), self.card.dimension), np.float32)

        def keep(request: openvino.InferRequest, row: int) -> None:
            vectors[row] = request.get_output_tensor().data.reshape(-1)

        self._queue.set_callback(keep)
        for row, image in enumerate(images):
            batch = to_batch(
                [image], size_hw=self.card.input_hw, mean=self.card.mean, std=self.card.std
            )
            self._queue.start_async(np.ascontiguousarray(batch[:, ::-1]), row)  # RGB to BGR
        self._queue.wait_all()
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        return Embeddings(vectors, self.card.fingerprint)
