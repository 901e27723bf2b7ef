"""From names and options to a gallery: the one object that commands and callers work with."""

from __future__ import annotations

from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from reidsearch import __version__, defaults
from reidsearch.catalog import (
    default_detector,
    default_embedder,
    find_detector,
    find_embedder,
    weights_path,
)
from reidsearch.detectors import load_detector
from reidsearch.detectors.tiles import parse_tiles
from reidsearch.embedders import load_embedder
from reidsearch.errors import ModelError, StoreError, UsageError
from reidsearch.images import read_image
from reidsearch.ingest import IngestReport, OnFrame, find_record, ingest
from reidsearch.provenance import (
    DetectionSettings,
    Provenance,
    require_detector,
    require_embedder,
)
from reidsearch.search import (
    After,
    Query,
    SearchResult,
    find_later,
    query_crop,
    query_picture,
    query_stored,
)
from reidsearch.sources import FrameSource, open_source
from reidsearch.store.chroma_store import open_chroma

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reidsearch.backends import Backend
    from reidsearch.box_files import KnownBoxes
    from reidsearch.calibration import Calibration
    from reidsearch.catalog import DetectorCard, EmbedderCard, ModelCard
    from reidsearch.detectors import Detector
    from reidsearch.embedders import Embedder
    from reidsearch.store import Store


class Gallery:
    """The people of one database, and the models that belong to it; made by `open_gallery`.

    Attributes:
        store: the rows themselves.
    """

    def __init__(
        self,
        store: Store,
        *,
        write: bool,
        detector: str | None,
        embedder: str | None,
        min_score: float | None,
        min_height_px: int,
        tiles: str,
        skip_unchanged: bool,
        backend: Backend,
    ) -> None:
        self.store = store
        self._write = write
        self._detector_spec = detector or store.provenance.detector
        self._embedder_spec = embedder or store.provenance.embedder
        self._min_score = min_score
        self._min_height_px = min_height_px
        self._tiles = tiles
        self._skip_unchanged = skip_unchanged
        self._backend = backend

    @cached_property
    def detector_card(self) -> DetectorCard:
        """The database's detector.

        Raises:
            ModelError: it is unknown, or not on this machine.
            ModelMismatchError: another one was asked for.
        """
        card = find_detector(self._detector_spec)
        _require_here(card)
        require_detector(self.store.provenance, card)
        return card

    @cached_property
    def embedder_card(self) -> EmbedderCard:
        """The database's embedder; raises as `detector_card` does."""
        card = find_embedder(self._embedder_spec)
        _require_here(card)
        require_embedder(self.store.provenance, card)
        return card

    @cached_property
    def detector(self) -> Detector:
        """The detector itself, loaded when first needed."""
        return load_detector(self.detector_card, self._settings, self._backend)

    @cached_property
    def embedder(self) -> Embedder:
        """The embedder itself, loaded when first needed."""
        return load_embedder(self.embedder_card, self._backend)

    @cached_property
    def calibration(self) -> Calibration | None:
        """What the distances mean, if the embedder's card is here and says so."""
        try:
            card = find_embedder(self._embedder_spec)
        except ModelError:
            return None
        is_ours = card.fingerprint == self.store.provenance.fingerprint
        return card.calibration if is_ours else None

    @property
    def _settings(self) -> DetectionSettings:
        min_score = self._min_score
        if min_score is None:
            min_score = self.detector_card.min_score
        return DetectionSettings(
            min_score, self._min_height_px, self._tiles, skip_unchanged=self._skip_unchanged
        )

    def ingest(
        self,
        source: FrameSource | str | Path,
        on_frame: OnFrame = lambda _people, _bad: None,
        boxes: KnownBoxes | None = None,
    ) -> IngestReport:
        """Store every person in footage that the database does not have yet.

        The gallery must have been opened with `write=True`.

        Args:
            source: a folder of frames, a video, or either opened with options by `open_source`.
            on_frame: called after each frame with how many people were found in it, and with the
                frame when it could not be decoded; from other threads than the caller's.
            boxes: where people are, see `box_files.read_boxes`; then no detector looks for them,
                and all are kept whose score is at least the `min_score` that was given.

        Raises:
            StoreError: the gallery was opened to read.
            SourceError: the footage cannot be read, or the database has other footage of its name.
        """
        if not self._write:
            raise StoreError("the gallery was opened to read", hint="open_gallery(db, write=True)")
        if isinstance(source, str | Path):
            source = open_source(Path(source))
        return ingest(source, self, self.store, self._settings_with(boxes), on_frame, boxes)

    def require_ingestible(self, source: FrameSource, boxes: KnownBoxes | None = None) -> None:
        """Check what `ingest` checks, without reading a frame; raises as it does."""
        find_record(self.store, source.info, self._settings_with(boxes))

    def _settings_with(self, boxes: KnownBoxes | None) -> DetectionSettings:
        if boxes is None:
            return self._settings
        return DetectionSettings(self._min_score or 0.0, 1, "off", boxes_sha256=boxes.sha256)

    def find_query(
        self,
        picture: str | Path | None = None,
        *,
        box_xyxy: tuple[float, float, float, float] | None = None,
        frame: str | None = None,
        person: int | None = None,
        crop_id: str | None = None,
    ) -> Query:
        """Take one person to look for: from a picture, a stored frame, or a crop's id.

        Args:
            picture: a crop of the person, or a full frame.
            box_xyxy: where the person is in that frame, in its pixels.
            frame: `[CAMERA/]SOURCE:N`.
            person: the n-th of that frame's people, by falling score; None takes the first.
            crop_id: `camera/source:frame:n`.

        Raises:
            UsageError: not exactly one person is named, or what names it cannot be read.
            ImageError: the picture cannot be decoded.
            QueryError: the frame, person or crop is not in the database, or the box not in the
                picture.
        """
        if [picture, frame, crop_id].count(None) != 2:
            raise UsageError(
                "name one person to look for", hint="give a picture, or --frame, or --id"
            )
        if box_xyxy is not None and picture is None:
            raise UsageError("a box needs a picture", hint="a stored person has a box already")
        if person is not None and frame is None:
            raise UsageError("a person's number needs a frame", hint="give --frame too")
        if picture is not None:
            return query_picture(read_image(Path(picture)), self.embedder, box_xyxy)
        if frame is not None:
            return query_stored(self.store, frame, person or 1)
        return query_crop(self.store, str(crop_id))

    def search(
        self,
        picture: str | Path | None = None,
        *,
        box_xyxy: tuple[float, float, float, float] | None = None,
        frame: str | None = None,
        person: int | None = None,
        crop_id: str | None = None,
        top: int = defaults.TOP,
        camera: str | None = None,
        after: After | str | None = None,
    ) -> SearchResult:
        """Rank people in later frames by their distance to one person.

        Args:
            picture: who that is; see `find_query`.
            box_xyxy: likewise.
            frame: likewise.
            person: likewise.
            crop_id: likewise.
            top: how many matches to return at most.
            camera: search this camera only.
            after: search later than this only; see `After.parse`.

        Raises:
            UsageError, ImageError, QueryError: as `find_query` does, or the camera is not in the
                database.
        """
        query = self.find_query(
            picture, box_xyxy=box_xyxy, frame=frame, person=person, crop_id=crop_id
        )
        if isinstance(after, str):
            after = After.parse(after)
        return find_later(
            self.store,
            query,
            top=top,
            camera=camera,
            after=after,
            calibration=self.calibration,
        )


@contextmanager
def open_gallery(
    db: str | Path = defaults.DB,
    *,
    write: bool = False,
    detector: str | None = None,
    embedder: str | None = None,
    min_score: float | None = None,
    min_height_px: int = defaults.MIN_HEIGHT_PX,
    tiles: str = "auto",
    skip_unchanged: bool = False,
    backend: Backend = "auto",
) -> Iterator[Gallery]:
    """Open a database, and hold it until the context ends.

    Args:
        db: its folder.
        write: to ingest; makes the database if there is none, and keeps other processes out.
        detector: see `catalog.find_detector`. None takes the database's own; a new database takes
            the catalogue's default.
        embedder: likewise; see `catalog.find_embedder`.
        min_score: lowest detector score kept, in `[0, 1]`; None takes the detector's own.
        min_height_px: lowest box kept.
        tiles: `auto`, `off`, or columns x rows such as `3x2`.
        skip_unchanged: do not look again at parts of a fixed camera's view that stay the same.
        backend: what runs the networks: `auto`, the fastest there is, or `reference`, TensorFlow
            and torch.

    Raises:
        StoreError: the database cannot be used, or was made with other models.
        ModelError: a model is unknown, or its weights are missing or damaged.
    """
    parse_tiles(tiles)
    create = _new_provenance(detector, embedder) if write else None
    with open_chroma(Path(db), create) as store:
        gallery = Gallery(
            store,
            write=write,
            detector=detector,
            embedder=embedder,
            min_score=min_score,
            min_height_px=min_height_px,
            tiles=tiles,
            skip_unchanged=skip_unchanged,
            backend=backend,
        )
        if write:  # a mismatch must show before any frame is read
            _ = gallery.detector_card, gallery.embedder_card
        yield gallery


def _require_here(card: ModelCard) -> None:
    """Say that weights were never fetched, before they are taken for others."""
    if not card.sha256:
        weights_path(card)


def _new_provenance(detector: str | None, embedder: str | None) -> Provenance:
    detector_card = find_detector(detector or default_detector())
    embedder_card = find_embedder(embedder or default_embedder())
    for card in (detector_card, embedder_card):
        weights_path(card)  # without weights there shall be no database
    return Provenance(
        embedder=embedder_card.name,
        fingerprint=embedder_card.fingerprint,
        dimension=embedder_card.dimension,
        detector=detector_card.name,
        detector_sha256=detector_card.sha256,
        package_version=__version__,
    )
