"""`reidsearch ingest`."""

from __future__ import annotations

import os
import shlex
import signal
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Self

import typer
from rich.markup import escape

from reidsearch.cli.opening import open_db
from reidsearch.cli.options import DEFAULT_DB, Backend, Db, Json, OwnPrecision, SkipUnchanged
from reidsearch.cli.output import print_json, print_table, say, warn
from reidsearch.cli.progress import Bar
from reidsearch.core import defaults
from reidsearch.core.errors import SourceError, UsageError
from reidsearch.core.text import count

if TYPE_CHECKING:
    from collections.abc import Iterable

    from reidsearch.core.progress import Progress
    from reidsearch.footage import FrameSource
    from reidsearch.footage.box_files import KnownBoxes
    from reidsearch.ingest.report import IngestReport, StageTimes
    from reidsearch.services.ingest import Ingest

_STOPPING = (signal.SIGINT, signal.SIGTERM)
_BLINK_S = 0.1


def ingest(
    sources: Annotated[
        list[Path],
        typer.Argument(metavar="SOURCE", readable=False, help="Folders of frames, or video files."),
    ],
    db: Db = DEFAULT_DB,
    camera: Annotated[
        str | None,
        typer.Option(help="Camera that recorded the sources. Default: each is its own camera."),
    ] = None,
    every: Annotated[int, typer.Option(min=1, help="Take every Nth frame.")] = 1,
    max_frames: Annotated[
        int | None, typer.Option(min=1, help="Take at most N frames of a source.")
    ] = None,
    fps: Annotated[
        float | None,
        typer.Option(help="Frames per second. Default: the video's own, 25 for a folder."),
    ] = None,
    start: Annotated[
        str | None,
        typer.Option(
            metavar="ISO8601",
            help="Time of the first frame: 2009-05-06T14:30; local unless it ends in Z or +02:00.",
        ),
    ] = None,
    detector: Annotated[
        str | None,
        typer.Option(metavar="CARD[=PATH]", help="Default: as recorded in the database."),
    ] = None,
    embedder: Annotated[
        str | None,
        typer.Option(metavar="CARD[=PATH]", help="Default: as recorded in the database."),
    ] = None,
    tiles: Annotated[
        str,
        typer.Option(
            metavar="auto|off|CxR", help="Detect in overlapping tiles, to find small people."
        ),
    ] = "auto",
    min_score: Annotated[
        float | None,
        typer.Option(
            min=0.0, max=1.0, help="Lowest detector score kept. Default: the detector's own."
        ),
    ] = None,
    min_height: Annotated[
        int | None,
        typer.Option(
            min=1, help=f"Lowest box height kept, in pixels. Default: {defaults.MIN_HEIGHT_PX}."
        ),
    ] = None,
    skip_unchanged: SkipUnchanged = False,
    detections: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Take boxes from this file instead of a detector: .txt (MOTChallenge), .json "
            "(COCO) or .jsonl (of export).",
        ),
    ] = None,
    backend: Backend = "auto",
    precision: OwnPrecision = None,
    refresh: Annotated[
        bool, typer.Option("--refresh", help="Process frames again whose files have changed.")
    ] = False,
    watch: Annotated[
        bool,
        typer.Option("--watch", help="Keep ingesting new frames of growing folders, until Ctrl-C."),
    ] = False,
    wait: Annotated[
        bool, typer.Option("--wait", help="Wait while another process uses the database.")
    ] = False,
    profile: Annotated[
        bool, typer.Option("--profile", help="Show how each stage spent its time.")
    ] = False,
    json: Json = False,
) -> None:
    """Detect, embed and store everyone in SOURCE.

    Stored frames are skipped: an interrupted ingest continues where it stopped.
    """
    from reidsearch.footage import SourceOptions, open_source
    from reidsearch.footage.box_files import read_boxes
    from reidsearch.ingest.growing import follow
    from reidsearch.models.pair import ModelChoice
    from reidsearch.search.window import parse_start
    from reidsearch.services.ingest import DetectionOptions, require_consistent, require_own_names

    boxes = None if detections is None else read_boxes(detections)
    start_s = None if start is None else parse_start(start)
    options = SourceOptions(camera, every, max_frames, fps, start_s, growing=watch)
    if watch:
        _require_watchable(sources, excluded=max_frames or detections or profile)
        names = [(camera or path.resolve().name, path.resolve().name) for path in sources]
        require_own_names(zip(names, map(str, sources), strict=True))
    opened = [] if watch else [open_source(path, options) for path in sources]
    detection = DetectionOptions(min_score, min_height, tiles, skip_unchanged, boxes)
    require_consistent(opened, detection)
    models = ModelChoice(detector, embedder, backend, precision)
    with (
        open_db(db, models) as database,
        database.write(detection, wait=wait) as ingest,
        _StoppableBar() as progress,
    ):
        ingest.require(opened, refresh=refresh)
        if watch:
            say(f"watching {', '.join(escape(str(path)) for path in sources)}; Ctrl-C ends it")
            folders = follow(sources, options, progress.wait, refresh=refresh)
            reports = [_ingest_rounds(ingest, folders, progress, refresh=refresh)]
        else:
            progress.phase("frames", sum(map(len, opened)))
            reports = [
                ingest.run(source, progress, refresh=refresh)
                for source in opened
                if not progress.cancelled
            ]
            if progress.cancelled:
                raise KeyboardInterrupt
            _require_decoded(reports)
        frame = ingest.name_frame(reports)
    changed = sum(report.frames_changed for report in reports)
    if changed and not refresh:
        warn(f"{count(changed, 'frame')} changed since ingested: --refresh processes them again")
    _finish(reports, db, boxes, profile=profile, json=json)
    if frame and not json:
        _say_next(frame, db)


def _require_watchable(folders: list[Path], *, excluded: object) -> None:
    if excluded:
        raise UsageError("--watch excludes --max-frames, --detections and --profile")
    for folder in folders:
        if not folder.is_dir():
            raise UsageError(f"--watch follows folders: {folder} is not a folder")


def _ingest_rounds(
    ingest: Ingest, folders: Iterable[FrameSource], progress: Progress, *, refresh: bool
) -> IngestReport:
    """Ingest what comes into growing folders until cancelled, and report all of it as one."""
    from reidsearch.ingest.report import IngestReport

    began, cpu_began = time.monotonic(), time.process_time()
    failures: set[str] = set()
    frames = detections = changed = 0
    for source in folders:
        report = ingest.run(source, progress, refresh=refresh)
        frames += report.frames
        detections += report.detections
        failures |= set(report.failures)
        changed += report.frames_changed
        if report.frames:
            found = (
                f"{count(report.detections, 'detection')} in {count(report.frames, 'new frame')}"
            )
            say(f"{escape(str(source.info))}: {found}")
    return IngestReport(
        frames=frames,
        failures=tuple(failures),
        frames_skipped=0,
        frames_changed=changed,
        detections=detections,
        seconds=time.monotonic() - began,
        cpu_s=time.process_time() - cpu_began,
        stages=(),
    )


def _require_decoded(reports: list[IngestReport]) -> None:
    failed = sum(len(report.failures) for report in reports)
    if failed and not any(report.frames + report.frames_skipped for report in reports):
        raise SourceError(f"none of the {failed} frames could be decoded")


def _finish(
    reports: list[IngestReport], db: Path, boxes: KnownBoxes | None, *, profile: bool, json: bool
) -> None:
    frames = sum(report.frames for report in reports)
    failed = sum(len(report.failures) for report in reports)
    skipped = sum(report.frames_skipped for report in reports)
    detections = sum(report.detections for report in reports)
    seconds = sum(report.seconds for report in reports)
    cores = sum(report.cpu_s for report in reports) / seconds
    stages = [_add_up(same) for same in zip(*(report.stages for report in reports), strict=True)]
    if boxes is not None and frames and not detections:
        warn(f"no box of {boxes.path} is in any of the {frames} frames; both count from 1")
    if json:
        document = {
            "frames": frames,
            "frames_failed": failed,
            "frames_skipped": skipped,
            "frames_changed": sum(report.frames_changed for report in reports),
            "detections": detections,
            "seconds": round(seconds, 3),
            "frames_per_s": round(frames / seconds, 2),
            "db": str(db),
        }
        if profile:
            document["cores_busy"] = round(cores, 3)
            document["stages"] = [asdict(times) for times in stages]
        print_json(document)
        return
    if profile:
        from reidsearch.cli.tables import stage_table

        print_table(stage_table(stages))
        say(f"{cores:.2f} of {os.cpu_count()} cores were busy")
    parts = [f"{count(detections, 'detection')} in {count(frames, 'frame')}"]
    if skipped:
        parts.append(f"{skipped} stored already")
    if failed:
        parts.append(f"{failed} failed")
    say(f"{', '.join(parts)}; {seconds:.1f} s, database {escape(str(db))}")


def _say_next(frame: str, db: Path) -> None:
    where = [] if db == DEFAULT_DB else ["--db", str(db)]
    command = shlex.join(["reidsearch", "search", "--frame", frame, "--person", "1", *where])
    say(f"next: {escape(command)}")


def _add_up(stages: tuple[StageTimes, ...]) -> StageTimes:
    """What one stage did in all sources."""
    return replace(
        stages[0],
        busy_s=sum(times.busy_s for times in stages),
        input_wait_s=sum(times.input_wait_s for times in stages),
        output_wait_s=sum(times.output_wait_s for times in stages),
    )


class _StoppableBar(Bar):
    """Is cancelled by Ctrl-C or SIGTERM; gives each warning once.

    The first Ctrl-C waits for the frames at hand: raised anywhere, it could end in a callback from
    native code, which swallows it. The second ends the process, as any kill may.
    """

    def __init__(self) -> None:
        super().__init__()
        self._warnings: set[str] = set()

    def __enter__(self) -> Self:
        self._before = {s: signal.signal(s, self._interrupt) for s in _STOPPING}
        return self

    def __exit__(self, *error: object) -> None:
        super().__exit__(*error)
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _interrupt(self, *_: object) -> None:
        self.cancelled = True
        for number in _STOPPING:
            signal.signal(number, signal.SIG_DFL)
        say("stopping after the current frames; Ctrl-C again stops at once")

    def warn(self, text: str) -> None:
        """Warn unless the same was said before: a growing folder is read again and again."""
        if text not in self._warnings:
            self._warnings.add(text)
            super().warn(text)

    def wait(self, seconds: float) -> bool:
        """Wait, and say whether to stop; an event could not be set by a signal safely."""
        until = time.monotonic() + seconds
        while not self.cancelled and (left := until - time.monotonic()) > 0:
            time.sleep(min(left, _BLINK_S))
        return self.cancelled
