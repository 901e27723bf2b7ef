"""Storing everyone in footage."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from reidsearch.core import defaults
from reidsearch.core.errors import SourceError, UsageError
from reidsearch.core.ids import SourceKey
from reidsearch.core.provenance import DetectionSettings
from reidsearch.core.text import count
from reidsearch.footage import SourceOptions, open_source
from reidsearch.ingest.changes import find_record
from reidsearch.ingest.growing import follow
from reidsearch.ingest.report import IngestReport, Unread, add_up
from reidsearch.ingest.source import ingest
from reidsearch.ingest.stages import finder_of
from reidsearch.models.detectors.tiles import parse_tiles

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from reidsearch.core.progress import Progress
    from reidsearch.core.types import StoredDetection
    from reidsearch.database.chroma_store import ChromaStore
    from reidsearch.footage import FrameSource
    from reidsearch.footage.box_files import KnownBoxes
    from reidsearch.ingest.stages import Finder
    from reidsearch.models.detectors import Detector
    from reidsearch.models.embedders import Embedder
    from reidsearch.models.pair import Models

_BLINK_S = 0.1


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

    def __init__(
        self, store: ChromaStore, models: Models, options: DetectionOptions, progress: Progress
    ) -> None:
        self.store = store
        self.models = Pair(models, options.settings(models.detector_card.min_score))
        self._boxes = options.boxes
        self._progress = progress

    def run(self, source: FrameSource, *, refresh: bool = False) -> IngestReport:
        """Store everyone in a source that the database does not have yet; see `ingest`."""
        settings, boxes = self.models.settings, self._boxes
        known = None if boxes is None else boxes.finder(source.info)

        def load_models() -> tuple[Finder, Embedder]:
            if known is None:
                return finder_of(self.models.detector), self.models.embedder
            find = known.find
            return lambda frames: [settings.select(find(f)) for f in frames], self.models.embedder

        report = ingest(source, load_models, self.store, settings, self._progress, refresh=refresh)
        is_whole = not (report.frames_skipped or self._progress.cancelled)
        if known is not None and is_whole and (left_out := known.describe_left_out()):
            self._progress.warn(left_out)
        return report

    def run_all(self, sources: Sequence[FrameSource], *, refresh: bool = False) -> IngestReport:
        """Store what is new in sources, one after the other, until cancelled.

        Raises:
            SourceError: the database has other footage of the name of one of them, or it was
                ingested with other options; no frame of any was read then. Or no frame of any
                could be decoded.
        """
        for source in sources:
            find_record(self.store, source.info, self.models.settings, refresh=refresh)
        self.store.begin_run(source.info.key for source in sources)
        self._progress.phase("frames", sum(map(len, sources)))
        reports = [
            self.run(source, refresh=refresh) for source in sources if not self._progress.cancelled
        ]
        total = replace(add_up(reports), interrupted=self._progress.cancelled)
        if total.interrupted:
            self.store.run.outcome = "interrupted"
        elif total.failures and not (total.frames or total.frames_skipped):
            raise SourceError("no frame could be decoded")
        return replace(total, example=self._name_frame(total.first))

    def watch(
        self, folders: Sequence[Path], reading: SourceOptions, *, refresh: bool = False
    ) -> IngestReport:
        """Store what comes into folders until cancelled; see `follow`."""
        began, cpu_began = time.monotonic(), time.process_time()
        total = IngestReport()
        self.store.begin_run(_key_of(folder, reading) for folder in folders)
        self._progress.phase("frames")
        for source in follow(folders, reading, self._wait, refresh=refresh):
            report = self.run(source, refresh=refresh)
            total = add_up([total, replace(report, stages=())])
            if report.frames:
                found = count(report.detections, "detection")
                self._progress.say(f"{source.info}: {found} in {count(report.frames, 'new frame')}")
        return replace(
            total,
            frames_skipped=0,  # a folder that is opened again skips the same ones again
            seconds=time.monotonic() - began,
            cpu_s=time.process_time() - cpu_began,
        )

    def _wait(self, seconds: float) -> bool:
        """Wait, and say whether to stop; an event could not be set by a signal safely."""
        until = time.monotonic() + seconds
        while not self._progress.cancelled and (left := until - time.monotonic()) > 0:
            time.sleep(min(left, _BLINK_S))
        return self._progress.cancelled

    def _name_frame(self, first: StoredDetection | None) -> str:
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


def open_sources(
    sources: Iterable[FrameSource | str | Path],
    reading: SourceOptions | None,
    options: DetectionOptions | None,
    progress: Progress,
) -> tuple[list[FrameSource], tuple[Unread, ...]]:
    """Open what is given by its path; what cannot be opened is named, and left out.

    Raises:
        SourceError: none can be opened, or two have one name.
        UsageError: two of one camera would start at once.
        DetectionsError: the boxes are of other sources.
    """
    opened: list[FrameSource] = []
    failed: dict[str, SourceError] = {}
    for source in sources:
        if not isinstance(source, str | Path):
            opened.append(source)
            continue
        try:
            opened.append(open_source(Path(source), reading))
        except SourceError as error:
            failed[str(source)] = error
    _require_apart((source.info.key, source.info.path, source.info.start_s) for source in opened)
    if opened and options is not None and options.boxes is not None:
        options.boxes.require_for([source.info for source in opened])
    problems = [*failed.values()]
    for problem in problems if opened else problems[1:]:
        progress.warn(f"{problem} (hint: {problem.hint})" if problem.hint else str(problem))
    if problems and not opened:
        raise problems[0]
    return opened, tuple(Unread(path, str(e), e.hint) for path, e in failed.items())


def require_watchable(folders: Sequence[Path], reading: SourceOptions) -> None:
    """Check that folders can be followed together.

    Raises:
        UsageError: one is no folder, or two of one camera would start at once.
        SourceError: two have one name.
    """
    for folder in folders:
        if not folder.is_dir():
            raise UsageError(f"only folders can be watched: {folder} is not a folder")
    _require_apart((_key_of(folder, reading), str(folder), reading.start_s) for folder in folders)


def _key_of(folder: Path, reading: SourceOptions) -> SourceKey:
    name = folder.resolve().name
    return SourceKey(reading.camera or name, name)


def _require_apart(sources: Iterable[tuple[SourceKey, str, float | None]]) -> None:
    """Check that no two sources, each a key, a path and a start, would become one.

    Raises:
        SourceError: two have one name.
        UsageError: two of one camera start at once.
    """
    paths: dict[SourceKey, str] = {}
    starts: dict[tuple[str, float], str] = {}
    for key, path, start_s in sources:
        other = paths.setdefault(key, path)
        if other != path:
            raise SourceError(
                f"{other} and {path} would both be named {key}",
                hint="ingest them one by one, each with its own --camera",
            )
        if start_s is None:
            continue
        other = starts.setdefault((key.camera, start_s), path)
        if other != path:
            when = datetime.fromtimestamp(start_s).astimezone().isoformat(" ")
            raise UsageError(
                f"{other} and {path} are of one camera, {key.camera}, and would both start at "
                f"{when}",
                hint="--start is the time of a source's first frame: ingest them one by one, each "
                "with its own",
            )
