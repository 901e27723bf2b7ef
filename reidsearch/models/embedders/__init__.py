"""Networks that map a crop of a person to a vector."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from reidsearch.core import extras
from reidsearch.models.backends import has_gpu, require_precision

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from reidsearch.core.types import Embeddings
    from reidsearch.models.backends import Backend, Precision
    from reidsearch.models.cards import EmbedderCard


class Embedder(Protocol):
    """Maps crops into a vector space where crops of one person are near each other."""

    @property
    def card(self) -> EmbedderCard:
        """The model."""
        ...

    def embed(self, images: Sequence[NDArray[np.uint8]]) -> Embeddings:
        """Embed N crops, `(h, w, 3)` uint8 RGB of any size; N may be 0."""
        ...


def load_embedder(
    card: EmbedderCard, backend: Backend = "auto", precision: Precision = "f32"
) -> Embedder:
    """Load a network with its verified weights.

    Args:
        card: the model.
        backend: `auto` is OpenVINO on CPUs; `reference` is torch.
        precision: what it computes in.

    Raises:
        ModelError: the weights are missing, damaged, or of another architecture.
        MissingPackageError: it needs torch, which is not installed.
        UsageError: this machine does not support that precision.
    """
    require_precision(precision, backend)
    if card.architecture == "openvino_ir":
        from reidsearch.models.embedders.openvino_ir import load_ir

        return load_ir(card, precision)
    is_on_gpu = not extras.missing(extras.TORCH) and has_gpu()
    if backend == "auto" and not is_on_gpu:
        from reidsearch.models.embedders.openvino_export import load_exported

        return load_exported(card, precision)
    extras.require(extras.TORCH, "reference", f"running {card.name} in torch")
    from reidsearch.models.embedders.torch_embedder import TorchreidEmbedder

    return TorchreidEmbedder(card)
