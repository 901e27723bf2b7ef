"""From names and options to a gallery: the one object that commands and callers work with."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from reidsearch._version import __version__
from reidsearch.core import defaults, extras
from reidsearch.core.errors import ModelError, StoreError, UsageError
from reidsearch.core.provenance import DetectionSettings, Provenance
from reidsearch.database.lock import FOREVER, WAIT_S
from reidsearch.database.opening import open_to_read
from reidsearch.footage import FrameSource, open_source
from reidsearch.models.backends import library_versions, require_precision
from reidsearch.models.catalog import (
    default_detector,
    default_embedder,
    find_detector,
    find_embedder,
    network_path,
)
from reidsearch.models.detectors import load_detector
from reidsearch.models.detectors.tiles import parse_tiles
from reidsearch.models.embedders import load_embedder
from reidsearch.models.matching import require_detector, require_embedder, require_same_precision
from reidsearch.search.find import SearchResult, find_later
from reidsearch.search.grouping import Grouping
from reidsearch.search.query import Query, find_source, query_crop, query_picture, query_stored
from reidsearch.search.window import Moment, Window

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from reidsearch.core.calibration import Calibration
    from reidsearch.core.store import Store, WritableStore
    from reidsearch.footage.box_files import KnownBoxes
    from reidsearch.ingest.ingest import IngestReport, OnFrame
    from reidsearch.models.backends import Backend, Precision
    from reidsearch.models.catalog import DetectorCard, EmbedderCard, ModelCard
    from reidsearch.models.detectors import Detector
    from reidsearch.models.embedders import Embedder


class Gallery:
    """The people of one database, and the models that belong to it; made by `open_gallery`.

    Attributes:
        store: the rows themselves.
    """

    def __init__(
        self,
        store: Store,
        *,
        writable: WritableStore | None,
        detector: str | None,
        embedder: str | None,
        min_score: float | None,
        min_height_px: int | None,
        tiles: str,
        skip_unchanged: bool,
        backend: Backend,
        on_problem: Callable[[str], None],
    ) -> None:
        self.store = store
        self._writable = writable
        self._detector_spec = detector or store.provenance.detector
        self._embedder_spec = embedder or store.provenance.embedder
        self._min_score = min_score
        self._min_height_px = min_height_px
        self._tiles = tiles
        self._skip_unchanged = skip_unchanged
        self._backend = backend
        self._on_problem = on_problem

    @cached_property
    def precision(self) -> Precision:
        """What the networks compute in: as those of the database did, where this machine can."""
        recorded = self.store.provenance.precision
        try:
            return require_precision(recorded, self._backend)
        except UsageError as error:
            self._on_problem(
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
        return load_detector(self.detector_card, self._settings, self._backend, self.precision)

    @cached_property
    def embedder(self) -> Embedder:
        """The embedder itself, loaded when first needed."""
        return load_embedder(self.embedder_card, self._backend, self.precision)

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
            min_score,
            defaults.MIN_HEIGHT_PX if self._min_height_px is None else self._min_height_px,
            self._tiles,
            skip_unchanged=self._skip_unchanged,
        )

    def ingest(
        self,
        source: FrameSource | str | Path,
        on_frame: OnFrame = lambda _people, _bad: None,
        boxes: KnownBoxes | None = None,
        *,
        refresh: bool = False,
    ) -> IngestReport:
        """Store every person in footage that the database does not have yet.

        The gallery must have been opened with `write=True`.

        Args:
            source: a folder of frames, a video, or either opened with options by `open_source`.
            on_frame: called after each frame with how many people were found in it, and with the
                frame when it could not be decoded; from other threads than the caller's.
            boxes: where people are, see `box_files.read_boxes`; then no detector looks for them,
                and all are kept but those below a `min_score` or `min_height_px` that was given.
            refresh: do frames again whose files are others than they were.

        Raises:
            StoreError: the gallery was opened to read.
            SourceError: the footage cannot be read, or the database has other footage of its name.
        """
        from reidsearch.ingest.ingest import ingest

        if self._writable is None:
            raise StoreError("the gallery was opened to read", hint="open_gallery(db, write=True)")
        if isinstance(source, str | Path):
            source = open_source(Path(source))
        settings = self._settings_with(boxes)
        return ingest(source, self, self._writable, settings, on_frame, boxes, refresh=refresh)

    def written(self) -> tuple[int, int]:
        """How many frames and people were stored since the gallery was opened to write."""
        return (0, 0) if self._writable is None else self._writable.written()

    def footage_paths(self) -> list[Path]:
        """Where all footage lay when it was ingested: files, and folders of pictures."""
        return [Path(record.info.path) for record in self.store.sources()]

    def require_ingestible(
        self, source: FrameSource, boxes: KnownBoxes | None = None, *, refresh: bool = False
    ) -> None:
        """Check what `ingest` checks, without reading a frame; raises as it does."""
        from reidsearch.ingest.ingest import find_record

        find_record(self.store, source.info, self._settings_with(boxes), refresh=refresh)

    def _settings_with(self, boxes: KnownBoxes | None) -> DetectionSettings:
        if boxes is None:
            return self._settings
        if self._tiles != "auto" or self._skip_unchanged:
            raise UsageError("tiles and skipping are the detector's, and none runs with boxes")
        return DetectionSettings(
            self._min_score or 0.0,
            1 if self._min_height_px is None else self._min_height_px,
            "off",
            boxes_sha256=boxes.sha256,
        )

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
            from reidsearch.footage.images import read_image

            return query_picture(read_image(Path(picture)), self.embedder, box_xyxy, str(picture))
        if frame is not None:
            return query_stored(self.store, frame, person or 1)
        return query_crop(self.store, str(crop_id))

    def window(
        self,
        *,
        cameras: Sequence[str] = (),
        sources: Sequence[str] = (),
        after: str | None = None,
        before: str | None = None,
        min_score: float | None = None,
    ) -> Window:
        """Say which part of the footage is searched.

        Args:
            cameras: these only.
            sources: these only, as `[CAMERA/]SOURCE`.
            after: later than this only; see `Moment.parse`.
            before: earlier than this only.
            min_score: people found with at least this detector score.

        Raises:
            UsageError: a moment cannot be read, or nothing lies between the two.
            QueryError: a source is not in the database.
        """
        return Window(
            tuple(cameras),
            tuple(find_source(self.store, name) for name in sources),
            None if after is None else Moment.parse(after),
            None if before is None else Moment.parse(before),
            min_score,
        )

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
        after: str | None = None,
    ) -> SearchResult:
        """Rank people in later frames by their distance to one person.

        Not recorded in the database's audit log: that is for commands, and a program keeps its own.
        What more there is to say, say to `find_query`, `window` and `find_later`.

        Args:
            picture: who that is; see `find_query`.
            box_xyxy: likewise.
            frame: likewise.
            person: likewise.
            crop_id: likewise.
            top: how many matches to return at most, one of each frame.
            camera: search this camera only.
            after: search later than this only; see `Moment.parse`.

        Raises:
            UsageError, ImageError, QueryError: as `find_query`, `window` and `find_later` do.
        """
        query = self.find_query(
            picture, box_xyxy=box_xyxy, frame=frame, person=person, crop_id=crop_id
        )
        window = self.window(cameras=() if camera is None else (camera,), after=after)
        return self.find_later(query, window, Grouping(top))

    def find_later(
        self, query: Query, window: Window | None = None, grouping: Grouping | None = None
    ) -> SearchResult:
        """Rank people in later frames by their distance to a query.

        Args:
            query: of `find_query`.
            window: of `window`; else all footage.
            grouping: which people become matches; else the ten nearest, one of each frame.

        Raises:
            QueryError: a camera is not in the database, or no times can be compared.
        """
        return find_later(self.store, query, window, grouping, self.calibration)


@contextmanager
def open_gallery(
    db: str | Path = defaults.DB,
    *,
    write: bool = False,
    detector: str | None = None,
    embedder: str | None = None,
    min_score: float | None = None,
    min_height_px: int | None = None,
    tiles: str = "auto",
    skip_unchanged: bool = False,
    backend: Backend = "auto",
    precision: Precision | None = None,
    approximate: bool = False,
    wait: bool = False,
    on_index: Callable[[int, int], None] = lambda _done, _total: None,
    on_problem: Callable[[str], None] = lambda _problem: None,
) -> Iterator[Gallery]:
    """Open a database, and hold it until the context ends.

    Args:
        db: its folder.
        write: to ingest; makes the database if there is none, and keeps other processes out.
        detector: see `catalog.find_detector`. None takes the database's own; a new database takes
            the catalogue's default.
        embedder: likewise; see `catalog.find_embedder`.
        min_score: lowest detector score kept, in `[0, 1]`; None takes the detector's own.
        min_height_px: lowest box kept; None is 24, or 1 for boxes from a file.
        tiles: `auto`, `off`, or columns x rows such as `3x2`.
        skip_unchanged: do not look again at parts of a fixed camera's view that stay the same.
        backend: what runs the networks: `auto`, the fastest there is, or `reference`, TensorFlow
            and torch.
        precision: what they compute in, when a database is made: None is `f32`. An existing
            database keeps its own.
        approximate: let Chroma's graph answer, and not the exact index.
        wait: until other processes have let go of the database, to write it.
        on_index: called with rows done and to do when the index has to be made first.
        on_problem: called with a sentence when there can be no index, or the last writer died.

    Raises:
        UsageError: networks cannot compute in `precision` here, or the database's is another.
        DatabaseBusyError: another process writes, or reads what this one wants to write.
        StoreError: the database cannot be used, or was made with other models.
        ModelError: a model is unknown, or its weights are missing or damaged.
        MissingPackageError: the backend's frameworks are not installed.
    """
    parse_tiles(tiles)
    if precision is not None:
        require_precision(precision, backend)
    if backend == "reference":
        extras.require(extras.REFERENCE, "reference", "the reference backend")
    with ExitStack() as held:
        store: Store
        writable = None
        if write or approximate:
            from reidsearch.database.chroma_store import open_chroma

            created = _new_provenance(detector, embedder, precision) if write else None
            chroma = open_chroma(
                Path(db),
                created,
                wait_s=FOREVER if wait else WAIT_S,
                on_step=on_index,
                on_note=on_problem,
            )
            store = opened = held.enter_context(chroma)
            writable = opened if write else None
        else:
            reading = open_to_read(Path(db), on_step=on_index, on_problem=on_problem)
            store = held.enter_context(reading)
        gallery = Gallery(
            store,
            writable=writable,
            detector=detector,
            embedder=embedder,
            min_score=min_score,
            min_height_px=min_height_px,
            tiles=tiles,
            skip_unchanged=skip_unchanged,
            backend=backend,
            on_problem=on_problem,
        )
        if writable is not None:  # a mismatch must show before any frame is read
            _ = gallery.detector_card, gallery.embedder_card
            require_same_precision(store.provenance, precision)
            opened.computes_in(gallery.precision)
        yield gallery


def _require_here(card: ModelCard) -> None:
    """Say that weights were never fetched, before they are taken for others."""
    if not card.sha256:
        network_path(card)


def _new_provenance(
    detector: str | None, embedder: str | None, precision: Precision | None
) -> Provenance:
    detector_card = find_detector(detector or default_detector())
    embedder_card = find_embedder(embedder or default_embedder())
    for card in (detector_card, embedder_card):
        network_path(card)  # without weights there shall be no database
    return Provenance(
        embedder=embedder_card.name,
        fingerprint=embedder_card.fingerprint,
        dimension=embedder_card.dimension,
        detector=detector_card.name,
        detector_sha256=detector_card.sha256,
        precision=precision or "f32",
        versions=library_versions(),
        package_version=__version__,
    )
