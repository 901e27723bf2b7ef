"""`reidsearch ingest`."""

from __future__ import annotations

import os
import shlex
import signal
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from reidsearch.cli.opening import open_db
from reidsearch.cli.options import DEFAULT_DB, Backend, Db, Json, OwnPrecision, SkipUnchanged
from reidsearch.cli.output import INTERRUPTED, print_json, print_table, say, warn
from reidsearch.cli.progress import Bar
from reidsearch.core import defaults
from reidsearch.core.errors import UsageError
from reidsearch.core.text import count

if TYPE_CHECKING:
    from reidsearch.ingest.report import IngestReport

_STOPPING = (signal.SIGINT, signal.SIGTERM)


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
            help="Take boxes from this file instead of a detector: .txt or .csv (MOTChallenge), "
            ".json (COCO), .csv or .jsonl (of export).",
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
    from reidsearch.footage import SourceOptions
    from reidsearch.footage.box_files import read_boxes
    from reidsearch.models.pair import ModelChoice
    from reidsearch.search.window import parse_start
    from reidsearch.services.ingest import DetectionOptions

    if watch and (max_frames or detections or profile):
        raise UsageError("--watch excludes --max-frames, --detections and --profile")
    boxes = None if detections is None else read_boxes(detections)
    start_s = None if start is None else parse_start(start)
    reading = SourceOptions(camera, every, max_frames, fps, start_s)
    options = DetectionOptions(min_score, min_height, tiles, skip_unchanged, boxes)
    models = ModelChoice(detector, embedder, backend, precision)
    with open_db(db, models, _StoppableBar()) as database:
        store = database.watch if watch else database.ingest
        report = store(*sources, reading=reading, options=options, refresh=refresh, wait=wait)
    if report.frames_changed and not refresh:
        changed = count(report.frames_changed, "frame")
        warn(f"{changed} changed since ingested: --refresh processes them again")
    if boxes is not None and report.frames and not report.detections:
        frames = count(report.frames, "frame")
        warn(f"no box of {boxes.path} is in the {frames}; both count from 1")
    if json:
        print_json(_to_fields(report, db, profile=profile))
    else:
        _show(report, db, profile=profile)
        if report.example:
            _say_next(report.example, db)
    if report.unread:
        say(
            f"[bold red]error:[/] {len(report.unread)} of {count(len(sources), 'source')} "
            "could not be read"
        )
    if report.interrupted:
        say("interrupted; everything stored so far is kept")
        raise typer.Exit(INTERRUPTED)
    if report.unread:
        raise typer.Exit(1)


def _to_fields(report: IngestReport, db: Path, *, profile: bool) -> dict[str, Any]:
    fields = {
        "frames": report.frames,
        "frames_failed": len(report.failures),
        "frames_skipped": report.frames_skipped,
        "frames_changed": report.frames_changed,
        "detections": report.detections,
        "seconds": round(report.seconds, 3),
        "frames_per_s": round(report.frames_per_s, 2),
        "db": str(db),
        "sources_failed": [asdict(source) for source in report.unread],
        "interrupted": report.interrupted,
    }
    if profile:
        fields["cores_busy"] = round(report.cores_busy, 3)
        fields["stages"] = [asdict(times) for times in report.stages]
    return fields


def _show(report: IngestReport, db: Path, *, profile: bool) -> None:
    if profile:
        from reidsearch.cli.tables import stage_table

        print_table(stage_table(report.stages))
        say(f"{report.cores_busy:.2f} of {os.cpu_count()} cores were busy")
    parts = [f"{count(report.detections, 'detection')} in {count(report.frames, 'frame')}"]
    if report.frames_skipped:
        parts.append(f"{report.frames_skipped} stored already")
    if report.failures:
        parts.append(f"{len(report.failures)} failed")
    say(f"{', '.join(parts)}; {report.seconds:.1f} s, database {escape(str(db))}")


def _say_next(frame: str, db: Path) -> None:
    where = [] if db == DEFAULT_DB else ["--db", str(db)]
    command = shlex.join(["reidsearch", "search", "--frame", frame, "--person", "1", *where])
    say(f"next: {escape(command)}")


class _StoppableBar(Bar):
    """Is cancelled by Ctrl-C or SIGTERM once frames are read; gives each warning once.

    The first Ctrl-C waits for the frames at hand: raised anywhere, it could end in a callback from
    native code, which swallows it. The second ends the process, as any kill may.
    """

    def __init__(self) -> None:
        super().__init__()
        self._warnings: set[str] = set()
        self._before: dict[signal.Signals, Any] = {}

    def phase(self, name: str, total: int | None = None) -> None:
        """Show another bar; that of the frames can be stopped."""
        super().phase(name, total)
        if name == "frames":
            self._before = {s: signal.signal(s, self._interrupt) for s in _STOPPING}
        if total is None:
            say("watching; Ctrl-C ends it")

    def __exit__(self, *error: object) -> None:
        super().__exit__(*error)
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _interrupt(self, *_: object) -> None:
        if self.cancelled:
            os._exit(INTERRUPTED)
        self.cancelled = True
        say("stopping after the current frames; Ctrl-C again stops at once")

    def warn(self, text: str) -> None:
        """Warn unless the same was said before: a growing folder is read again and again."""
        if text not in self._warnings:
            self._warnings.add(text)
            super().warn(text)
