"""The two networks of a database, loaded when they are first needed."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from reidsearch._version import __version__
from reidsearch.core import extras
from reidsearch.core.errors import ModelError, UsageError
from reidsearch.core.progress import SILENT
from reidsearch.core.provenance import Provenance
from reidsearch.core.text import format_bytes
from reidsearch.models.backends import library_versions, require_precision
from reidsearch.models.catalog import (
    default_detector,
    default_embedder,
    find_detector,
    find_embedder,
    recommended_pair,
)
from reidsearch.models.detectors import load_detector
from reidsearch.models.embedders import load_embedder
from reidsearch.models.matching import require_detector, require_embedder, require_same_precision
from reidsearch.models.weights import has_weights, network_paths

if TYPE_CHECKING:
    from reidsearch.core.calibration import Calibration
    from reidsearch.core.progress import Progress
    from reidsearch.core.provenance import DetectionSettings
    from reidsearch.models.backends import Backend, Precision
    from reidsearch.models.cards import DetectorCard, EmbedderCard, ModelCard
    from reidsearch.models.detectors import Detector
    from reidsearch.models.embedders import Embedder


@dataclass(frozen=True, slots=True)
class ModelChoice:
    """Which networks a caller asks for.

    Attributes:
        detector: see `catalog.find_detector`. None takes the database's own; a new database takes
            the catalogue's default.
        embedder: likewise; see `catalog.find_embedder`.
        backend: what runs them: `auto`, the fastest there is, or `reference`, TensorFlow and torch.
        precision: what they compute in. None takes the database's own; a new database takes `f32`.

    Raises:
        UsageError: networks cannot compute in that precision here.
        MissingPackageError: the backend's frameworks are not installed.
    """

    detector: str | None = None
    embedder: str | None = None
    backend: Backend = "auto"
    precision: Precision | None = None

    def __post_init__(self) -> None:
        if self.precision is not None:
            require_precision(self.precision, self.backend)
        if self.backend == "reference":
            extras.require(extras.REFERENCE, "reference", "the reference backend")

    @property
    def advice(self) -> str:
        """What to tell a caller who gets a built-in network where there is a better one."""
        named = self.detector, self.embedder
        cards = [card for card, name in zip(recommended_pair(), named, strict=True) if not name]
        if all(map(has_weights, cards)):
            return ""
        size = format_bytes(sum(card.bytes for card in recommended_pair()))
        return (
            "the built-in networks are used, which miss and confuse more people than the "
            f"recommended ones: `reidsearch models download` fetches those ({size})"
        )

    def new_provenance(self) -> Provenance:
        """What a new database records of these networks.

        Raises:
            ModelError: one of them is unknown, or its weights are missing or damaged.
        """
        detector = find_detector(self.detector or default_detector())
        embedder = find_embedder(self.embedder or default_embedder())
        for card in (detector, embedder):
            network_paths(card)  # without weights there shall be no database
        return Provenance(
            embedder=embedder.name,
            fingerprint=embedder.fingerprint,
            dimension=embedder.dimension,
            detector=detector.name,
            detector_sha256=detector.sha256,
            precision=self.precision or "f32",
            versions=library_versions(),
            package_version=__version__,
        )


class Models:
    """The detector and the embedder of a database.

    Attributes:
        provenance: what the database was made with, which every network must match.
    """

    def __init__(
        self, provenance: Provenance, choice: ModelChoice, progress: Progress = SILENT
    ) -> None:
        self.provenance = provenance
        self._choice = choice
        self._progress = progress

    @cached_property
    def precision(self) -> Precision:
        """What the networks compute in: as those of the database did, where this machine can."""
        recorded = self.provenance.precision
        try:
            return require_precision(recorded, self._choice.backend)
        except UsageError as error:
            self._progress.warn(
                f"the database was made in {recorded}, and {error}: new vectors are computed in "
                "f32, and their distances to the old ones are less exact"
            )
            return "f32"

    @cached_property
    def detector_card(self) -> DetectorCard:
        """The database's detector.

        Raises:
            ModelError: it is unknown, or not on this machine.
            ModelMismatchError: another one was asked for.
        """
        card = find_detector(self._choice.detector or self.provenance.detector)
        _require_weights(card)
        require_detector(self.provenance, card)
        return card

    @cached_property
    def embedder_card(self) -> EmbedderCard:
        """The database's embedder; raises as `detector_card` does."""
        card = find_embedder(self._choice.embedder or self.provenance.embedder)
        _require_weights(card)
        require_embedder(self.provenance, card)
        return card

    def require_matching(self) -> None:
        """Check that the networks are the database's, before any frame is read.

        Raises:
            ModelError, ModelMismatchError: as `detector_card` does.
            UsageError: another precision was asked for than the database's.
        """
        _ = self.detector_card, self.embedder_card  # each checks itself
        require_same_precision(self.provenance, self._choice.precision)

    def load_detector(self, settings: DetectionSettings) -> Detector:
        """Load the detector itself."""
        return load_detector(self.detector_card, settings, self._choice.backend, self.precision)

    @cached_property
    def embedder(self) -> Embedder:
        """The embedder itself, loaded when first needed."""
        return load_embedder(self.embedder_card, self._choice.backend, self.precision)

    @cached_property
    def calibration(self) -> Calibration | None:
        """What distances mean, if the embedder's card is on this machine and says so."""
        try:
            card = find_embedder(self._choice.embedder or self.provenance.embedder)
        except ModelError:
            return None
        return card.calibration if card.fingerprint == self.provenance.fingerprint else None


def _require_weights(card: ModelCard) -> None:
    """Say that weights were never downloaded, before they are taken for other weights."""
    if not card.sha256:
        network_paths(card)
