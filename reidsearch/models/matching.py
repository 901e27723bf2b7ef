"""Checks that models are the ones that a database was created with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reidsearch.core.errors import ModelMismatchError, UsageError

if TYPE_CHECKING:
    from reidsearch.core.provenance import Provenance
    from reidsearch.models.cards import DetectorCard, EmbedderCard


def require_embedder(gallery: Provenance, card: EmbedderCard) -> None:
    """Check that vectors of `card` can be compared with the gallery's.

    Raises:
        ModelMismatchError: they are in different vector spaces.
    """
    if gallery.fingerprint != card.fingerprint:
        raise _mismatch("embedder", gallery.embedder, card.name)


def require_detector(gallery: Provenance, card: DetectorCard) -> None:
    """Check that `card` is the detector of the gallery.

    Raises:
        ModelMismatchError: it is another one.
    """
    if gallery.detector_sha256 != card.sha256:
        raise _mismatch("detector", gallery.detector, card.name)


def require_same_precision(gallery: Provenance, precision: str | None) -> None:
    """Check that a requested precision, if any, is the gallery's.

    Raises:
        UsageError: it is another one.
    """
    if precision not in (None, gallery.precision):
        raise UsageError(
            f"the database was created with precision {gallery.precision}, not {precision}",
            hint="drop --precision, or ingest into a new --db",
        )


def _mismatch(option: str, gallery: str, query: str) -> ModelMismatchError:
    if gallery == query:
        return ModelMismatchError(
            gallery=f"{option} {gallery}",
            query="the weights that now have this name",
            hint="restore the old weights, or ingest into a new --db",
        )
    return ModelMismatchError(
        gallery=f"{option} {gallery}",
        query=query,
        hint=f"drop --{option}, or ingest into a new --db",
    )
