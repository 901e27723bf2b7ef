"""Storing everyone in footage."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from reidsearch.core import defaults
from reidsearch.core.errors import SourceError, UsageError
from reidsearch.core.progress import SILENT
from reidsearch.core.provenance import DetectionSettings
from reidsearch.footage import open_source
from reidsearch.ingest.changes import find_record
from reidsearch.ingest.source import ingest
from reidsearch.ingest.stages import finder_of
from reidsearch.models.detectors.tiles import parse_tiles

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from reidsearch.core.progress import Progress
    from reidsearch.core.store import WritableStore
    from reidsearch.footage import FrameSource
    from reidsearch.footage.box_files import KnownBoxes
    from reidsearch.ingest.report import IngestReport
    from reidsearch.ingest.stages import Finder
    from reidsearch.models.detectors import Detector
    from reidsearch.models.embedders import Embedder
    from reidsearch.models.pair import Models


@dataclass(frozen=True, slots=True)
class DetectionOptions:
    """Where the people of footage are looked for, and which boxes are kept.

    Attributes:
        min_score: lowest detector score kept, in `[0, 1]`; None takes the detector's own, or all
            boxes of a file.
        min_height_px: lowest box kept; None is 24, or 1 for boxes from a file.
        tiles: `auto`, `off`, or columns x rows such as `3x2`.
        skip_unchanged: do not look again at parts of a fixed camera's view that stay the same.
        boxes: where people are, see `box_files.read_boxes`; then no detector looks for them.

    Raises:
        UsageError: tiles cannot be read, or options contradict each other.
    """

    min_score: float | None = None
    min_height_px: int | None = None
    tiles: str = "auto"
    skip_unchanged: bool = False
    boxes: KnownBoxes | None = None

    def __post_init__(self) -> None:
        parse_tiles(self.tiles)
        if self.boxes is not None and (self.tiles != "auto" or self.skip_unchanged):
            raise UsageError("tiles and skipping are the detector's, and none runs with boxes")

    def settings(self, detector_min_score: float) -> DetectionSettings:
        """These options as a source's record has them."""
        if self.boxes is not None:
            return DetectionSettings(
                self.min_score or 0.0,
                1 if self.min_height_px is None else self.min_height_px,
                "off",
                boxes_sha256=self.boxes.sha256,
            )
        return DetectionSettings(
            detector_min_score if self.min_score is None else self.min_score,
            defaults.MIN_HEIGHT_PX if self.min_height_px is None else self.min_height_px,
            self.tiles,
            skip_unchanged=self.skip_unchanged,
        )


class Ingest:
    """Stores footage in an open database; made by `Database.write`.

    Attributes:
        store: the database, held by this process.
        models: the networks, each loaded when it is first needed.
    """

    def __init__(self, store: WritableStore, models: Models, options: DetectionOptions) -> None:
        self.store = store
        self.models = Pair(models, options.settings(models.detector_card.min_score))
        self._boxes = options.boxes

    def require(self, sources: Sequence[FrameSource], *, refresh: bool = False) -> None:
        """Check what `run` checks, of all sources, before a frame of the first is read.

        Raises:
            SourceError: the database has other footage of that name, or it was ingested with other
                options.
        """
        for source in sources:
            find_record(self.store, source.info, self.models.settings, refresh=refresh)

    def run(
        self, source: FrameSource, progress: Progress = SILENT, *, refresh: bool = False
    ) -> IngestReport:
        """Store everyone in a source that the database does not have yet; see `ingest`."""
        settings, boxes = self.models.settings, self._boxes

        def load_models() -> tuple[Finder, Embedder]:
            known = None if boxes is None else boxes.finder(source.info, settings)
            return known or finder_of(self.models.detector), self.models.embedder

        return ingest(source, load_models, self.store, settings, progress, refresh=refresh)

    def name_frame(self, reports: Iterable[IngestReport]) -> str:
        """Name the first frame stored with somebody in it as `--frame` takes it; or nothing."""
        first = next((report.first for report in reports if report.first is not None), None)
        if first is None:
            return ""
        alike = [r for r in self.store.sources() if r.info.name == first.source]
        return f"{first.source if len(alike) == 1 else first.key}:{first.frame}"


@dataclass(frozen=True)
class Pair:
    """The networks as an ingest with these settings needs them."""

    models: Models
    settings: DetectionSettings

    @cached_property
    def detector(self) -> Detector:
        """Loaded when first needed."""
        return self.models.load_detector(self.settings)

    @property
    def embedder(self) -> Embedder:
        """Loaded when first needed."""
        return self.models.embedder


def open_sources(sources: Iterable[FrameSource | str | Path]) -> list[FrameSource]:
    """Open what is given by its path; raises as `open_source` does."""
    return [open_source(Path(s)) if isinstance(s, str | Path) else s for s in sources]


def require_consistent(sources: Sequence[FrameSource], options: DetectionOptions | None) -> None:
    """Check what can be checked without the database.

    Raises:
        SourceError: two sources have one name.
        DetectionsError: the boxes are of other sources.
    """
    require_own_names((source.info.key, source.info.path) for source in sources)
    if options is not None and options.boxes is not None:
        options.boxes.require_for([source.info for source in sources])


def require_own_names(named: Iterable[tuple[tuple[str, str], str]]) -> None:
    """Check that no two sources, each a key and a path, would become one.

    Raises:
        SourceError: two would.
    """
    seen: dict[tuple[str, str], str] = {}
    for key, path in named:
        other = seen.setdefault(key, path)
        if other != path:
            raise SourceError(
                f"{other} and {path} would both be named {'/'.join(key)}",
                hint="ingest them one by one, each with its own --camera",
            )
