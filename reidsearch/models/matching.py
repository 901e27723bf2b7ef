"""Whether models are those that a database was made with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reidsearch.core.errors import ModelMismatchError, UsageError

if TYPE_CHECKING:
    from reidsearch.core.provenance import Provenance
    from reidsearch.models.catalog import DetectorCard, EmbedderCard


def require_embedder(gallery: Provenance, card: EmbedderCard) -> None:
    """Check that vectors of `card` may be compared with the gallery's.

    Raises:
        ModelMismatchError: they live in another space.
    """
    if gallery.fingerprint != card.fingerprint:
        raise _mismatch("embedder", gallery.embedder, card.name)


def require_detector(gallery: Provenance, card: DetectorCard) -> None:
    """Check that boxes of `card` may join the gallery's.

    Raises:
        ModelMismatchError: another detector found those.
    """
    if gallery.detector_sha256 != card.sha256:
        raise _mismatch("detector", gallery.detector, card.name)


def require_same_precision(gallery: Provenance, precision: str | None) -> None:
    """Check that a precision that was asked for is the gallery's.

    Raises:
        UsageError: it is another.
    """
    if precision not in (None, gallery.precision):
        raise UsageError(
            f"the database was made in {gallery.precision}, and --precision is {precision}",
            hint="drop --precision, or ingest into a new --db",
        )


def _mismatch(option: str, gallery: str, given: str) -> ModelMismatchError:
    if gallery == given:
        return ModelMismatchError(
            gallery=f"{option} {gallery}",
            query="the weights of that name today",
            hint="put the old weights back, or ingest into a new --db",
        )
    return ModelMismatchError(
        gallery=f"{option} {gallery}",
        query=given,
        hint=f"drop --{option}, or ingest into a new --db",
    )
