"""Networks that turn a crop of a person into a vector."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from reidsearch.catalog import EmbedderCard
    from reidsearch.types import Embeddings


class Embedder(Protocol):
    """Maps crops into one vector space, where the same person is near."""

    @property
    def card(self) -> EmbedderCard:
        """The network."""
        ...

    def embed(self, images: Sequence[NDArray[np.uint8]]) -> Embeddings:
        """Embed N crops, `(h, w, 3)` uint8 RGB of any size; N may be 0."""
        ...


def load_embedder(card: EmbedderCard) -> Embedder:
    """Load a network with its verified weights.

    Raises:
        ModelError: the weights are missing, damaged, or of another architecture.
    """
    if card.architecture == "openvino_ir":
        from reidsearch.embedders.openvino_ir import OpenVinoEmbedder

        return OpenVinoEmbedder(card)
    from reidsearch.embedders.torchreid_network import TorchreidEmbedder

    return TorchreidEmbedder(card)
