"""Bring one source into a store: what it does not have yet, and what has changed."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING

from reidsearch.core.progress import SILENT
from reidsearch.core.text import count
from reidsearch.ingest.changes import find_changed, find_record
from reidsearch.ingest.report import IngestReport, StageTimes
from reidsearch.ingest.stages import to_records, to_stored
from reidsearch.ingest.threads import Group, run_stages

if TYPE_CHECKING:
    from collections.abc import Container, Iterator

    from reidsearch.core.progress import Progress
    from reidsearch.core.provenance import DetectionSettings
    from reidsearch.core.store import WritableStore
    from reidsearch.core.types import BadFrame, Frame, StoredDetection
    from reidsearch.footage import FrameSource
    from reidsearch.ingest.threads import LoadModels


def ingest(
    source: FrameSource,
    load_models: LoadModels,
    store: WritableStore,
    settings: DetectionSettings,
    progress: Progress = SILENT,
    *,
    refresh: bool = False,
) -> IngestReport:
    """Store every detection in a source's frames that the store does not have yet.

    Frames become part of the database in small groups; after a kill, the same call goes on where
    the last whole group ended.

    Args:
        source: the footage.
        load_models: gives what finds people and what embeds them; called once, when there is a
            frame to look at. They must be those that the store's provenance names.
        store: where to.
        settings: what the finder was made with, for the record.
        progress: gets a step for each frame, and is warned of those that cannot be decoded; when it
            is cancelled, the frames at hand are stored, and no others are read.
        refresh: process frames again whose files have changed.

    Raises:
        SourceError: the store has other footage of that name, or read it with other options.
    """
    started, started_cpu = time.perf_counter(), time.process_time()
    record = find_record(store, source.info, settings, refresh=refresh)
    changed = find_changed(source, store, progress)
    if refresh and changed:
        store.remove(source.info.key, changed)
    known = frozenset(store.frames(source.info.key, *source.span).tolist())
    new = _NewFrames(source, known, progress)
    frames = detections = reported = 0
    failures: list[str] = []
    first: StoredDetection | None = None
    stored_s = 0.0
    with run_stages(new, load_models, in_order=settings.skip_unchanged) as done:
        for item in done:
            if isinstance(item, Group):
                began = time.perf_counter()
                records = to_records(source.info, item.frames, item.embeddings)
                store.add(records, record, to_stored(source.info, item.frames))
                first = first or next(iter(records.detections), None)
                stored_s += time.perf_counter() - began
            else:
                frames += len(item.frames)
                detections += sum(len(frame.crops) for frame in item.frames)
                for bad in item.bad:
                    failures.append(bad.reason)
                    progress.warn(bad.reason)
                handled = frames + len(failures) + new.skipped
                progress.advance(handled - reported, count(detections, "detection"))
                reported = handled
        stages = (*done.times, StageTimes("store", stored_s, done.wait_s, 0.0))
    progress.advance(frames + len(failures) + new.skipped - reported)
    return IngestReport(
        frames=frames,
        failures=tuple(failures),
        frames_skipped=new.skipped,
        frames_changed=len(changed),
        detections=detections,
        seconds=time.perf_counter() - started,
        cpu_s=time.process_time() - started_cpu,
        stages=stages,
        first=first,
    )


class _Cancelled(Exception):  # noqa: N818 - not an error
    """Ends the reading of a source; raised where it asks whether a frame is wanted."""


class _NewFrames:
    """The frames of a source that are not known yet, until the work is cancelled.

    Attributes:
        skipped: how many others there were so far; they are not decoded.
    """

    def __init__(self, source: FrameSource, known: Container[int], progress: Progress) -> None:
        self._source, self._known, self._progress = source, known, progress
        self.skipped = 0

    def __iter__(self) -> Iterator[Frame | BadFrame]:
        with suppress(_Cancelled):
            yield from self._source.frames(self._is_new)

    def _is_new(self, number: int) -> bool:
        if self._progress.cancelled:
            raise _Cancelled
        self.skipped += number in self._known
        return number not in self._known
