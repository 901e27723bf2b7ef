"""Source -> detector -> crops -> embedder -> store, side by side and with flat memory."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from threading import Lock
from typing import TYPE_CHECKING, Protocol

from reidsearch.core.frame_set import FrameSet
from reidsearch.core.ids import CropId
from reidsearch.core.provenance import SourceRecord, require_same_footage, require_same_options
from reidsearch.core.types import BadFrame, Detections, Frame, Records, StoredDetection
from reidsearch.footage.images import cut_crops, hash_crop
from reidsearch.ingest.pipeline import StageTimes, ahead, in_parallel

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from reidsearch.core.provenance import DetectionSettings
    from reidsearch.core.store import Store, WritableStore
    from reidsearch.core.types import Crops, Embeddings, FileStamp, SourceInfo
    from reidsearch.footage import FrameSource
    from reidsearch.footage.box_files import KnownBoxes
    from reidsearch.models.detectors import Detector
    from reidsearch.models.embedders import Embedder

# Frames are looked at together, so that the detector can use all cores; large ones one by one.
_CHUNK_FRAMES = 8
_CHUNK_BYTES = 64 << 20
# While one chunk is got ready, or its last views are looked at, another keeps the cores busy.
_CHUNKS_AT_ONCE = 2
# What is in memory and not yet stored: lost, and done again, when the process is killed.
_GROUP_CROPS = 128
_GROUP_FRAMES = 64


OnFrame = Callable[[int, BadFrame | None], None]


class Models(Protocol):
    """The two networks; each may load when it is first asked for."""

    @property
    def detector(self) -> Detector:
        """Finds people."""
        ...

    @property
    def embedder(self) -> Embedder:
        """Embeds them."""
        ...


@dataclass(frozen=True, slots=True)
class IngestReport:
    """What an ingest did.

    Attributes:
        frames: read, searched for people and stored.
        frames_failed: could not be decoded.
        frames_skipped: were in the database already.
        frames_changed: of those, or of those done again, whose files are others than they were.
        people: sightings stored.
        seconds: wall time.
        cpu_s: processor time of all threads, beside it.
        stages: how each part of the work, all of which go on at once, spent that time.
    """

    frames: int
    frames_failed: int
    frames_skipped: int
    frames_changed: int
    people: int
    seconds: float
    cpu_s: float
    stages: tuple[StageTimes, ...]


def ingest(
    source: FrameSource,
    models: Models,
    store: WritableStore,
    settings: DetectionSettings,
    on_frame: OnFrame = lambda _people, _bad: None,
    boxes: KnownBoxes | None = None,
    *,
    refresh: bool = False,
) -> IngestReport:
    """Store every person in a source's frames that the store does not have yet.

    Frames become part of the database in small groups; after a kill, the same call goes on where
    the last whole group ended.

    Args:
        source: the footage.
        models: loaded only when there is a frame to look at.
        store: where to; its provenance must be that of `models`.
        settings: what the detector was built with, for the record.
        on_frame: called after each frame with how many people were found in it, and with the frame
            when it could not be decoded; from other threads than the caller's.
        boxes: where people are; then no detector looks for them.
        refresh: do frames again whose files are others than they were.

    Raises:
        SourceError: the store has other footage of that name, or read it with other options.
        DetectionsError: the boxes are of other sources.
    """
    if boxes is not None:
        boxes.require_for([source.info])
    started, started_cpu = time.perf_counter(), time.process_time()
    record = find_record(store, source.info, settings, refresh=refresh)
    changed = _find_changed(source, store, on_frame)
    if refresh and changed:
        store.remove(source.info.key, changed)
        record = replace(record, frames=FrameSet(record.frames - changed))
    run = _Run(models, store, record, on_frame, boxes)
    run.read(source)
    return IngestReport(
        frames=run.frames,
        frames_failed=run.failed,
        frames_skipped=run.skipped,
        frames_changed=len(changed),
        people=run.people,
        seconds=time.perf_counter() - started,
        cpu_s=time.process_time() - started_cpu,
        stages=run.stages,
    )


def _find_changed(source: FrameSource, store: WritableStore, on_frame: OnFrame) -> set[int]:
    """Frames whose files have other contents; of those only touched, that is remembered.

    What is no picture any more is named, and stays as it was stored.
    """
    changed: set[int] = set()
    touched: dict[int, FileStamp] = {}
    for number, known in store.stamps(source.info.key):
        now = source.stamp(number, known)
        if now is None or now == known:
            continue
        if isinstance(now, BadFrame):
            on_frame(0, now)
        elif now.digest == known.digest:
            touched[number] = now
        else:
            changed.add(number)
    if touched:
        store.restamp(source.info.key, touched)
    return changed


class _Run:
    """One ingest under way: reading, detecting, embedding and storing go on side by side."""

    def __init__(
        self,
        models: Models,
        store: WritableStore,
        record: SourceRecord,
        on_frame: OnFrame,
        boxes: KnownBoxes | None,
    ) -> None:
        self._boxes = boxes
        self._models = models
        self._store = store
        self._record = record
        self._on_frame = on_frame
        self._known = record.frames
        self.frames = self.failed = self.skipped = self.people = 0
        self._loading = Lock()  # TensorFlow and torch must not load at the same time
        self.stages: tuple[StageTimes, ...] = ()

    def read(self, source: FrameSource) -> None:
        """Bring all frames of the source that are not known yet into the store."""
        with (
            ahead(self._gather(source), "read") as chunks,
            ahead(self._detect(chunks), "detect", chunks) as seen,
            ahead(self._embed(seen), "embed", seen) as groups,
        ):
            busy_s = 0.0
            for group, embeddings in groups:
                began = time.perf_counter()
                self._write(group, embeddings)
                busy_s += time.perf_counter() - began
            written = StageTimes("store", busy_s, groups.starved_s, 0.0)
            self.stages = (chunks.times, seen.times, groups.times, written)

    def _gather(self, source: FrameSource) -> Iterator[list[Frame | BadFrame]]:
        """Read a few frames at a time."""
        chunk: list[Frame | BadFrame] = []
        chunk_bytes = 0
        for frame in source.frames(self._is_new):
            chunk.append(frame)
            chunk_bytes += frame.image.nbytes if isinstance(frame, Frame) else 0
            if len(chunk) >= _CHUNK_FRAMES or chunk_bytes >= _CHUNK_BYTES:
                yield chunk
                chunk, chunk_bytes = [], 0
        if chunk:
            yield chunk

    def _is_new(self, number: int) -> bool:
        if number in self._known:
            self.skipped += 1
            self._on_frame(0, None)
        return number not in self._known

    def _detect(self, chunks: Iterable[list[Frame | BadFrame]]) -> Iterator[list[_Seen]]:
        """Find the people in frames; the frames themselves can go then."""
        # What changed since the frame before can only be told in the order of frames.
        at_once = 1 if self._record.settings.skip_unchanged else _CHUNKS_AT_ONCE
        for seen, bad in in_parallel(self._look, chunks, at_once):
            for one in seen:
                self._on_frame(len(one.crops), None)
            for frame in bad:
                self._on_frame(0, frame)
            self.frames += len(seen)
            self.failed += len(bad)
            yield seen

    def _look(self, chunk: list[Frame | BadFrame]) -> tuple[list[_Seen], list[BadFrame]]:
        bad = [frame for frame in chunk if isinstance(frame, BadFrame)]
        frames = [frame for frame in chunk if isinstance(frame, Frame)]
        if not frames:
            return [], bad
        found = self._find_people(frames)
        return [
            _Seen(
                frame.number,
                frame.path,
                frame.stamp,
                cut_crops(frame.image, detections.as_stored()),
            )
            for frame, detections in zip(frames, found, strict=True)
        ], bad

    def _find_people(self, frames: Sequence[Frame]) -> Sequence[Detections]:
        if self._boxes is not None:
            some = (self._boxes.find(self._record.info, frame) for frame in frames)
            return [boxes[self._is_kept(boxes)] for boxes in some]
        with self._loading:
            detector, _ = self._models.detector, self._models.embedder
        return detector.detect([frame.image for frame in frames])

    def _is_kept(self, boxes: Detections) -> NDArray[np.bool_]:
        settings = self._record.settings
        heights = boxes.xyxy[:, 3] - boxes.xyxy[:, 1]
        kept: NDArray[np.bool_] = boxes.score >= settings.min_score
        return kept & (heights >= settings.min_height_px)

    def _embed(self, seen: Iterable[list[_Seen]]) -> Iterator[tuple[list[_Seen], Embeddings]]:
        """Gather frames into groups, which are embedded, and then stored, as one."""
        group: list[_Seen] = []
        for some in seen:
            group += some
            people = sum(len(one.crops) for one in group)
            if len(group) >= _GROUP_FRAMES or people >= _GROUP_CROPS:
                yield group, self._embed_group(group)
                group = []
        if group:
            yield group, self._embed_group(group)

    def _embed_group(self, group: list[_Seen]) -> Embeddings:
        return self._models.embedder.embed([image for seen in group for image in seen.crops.images])

    def _write(self, group: list[_Seen], embeddings: Embeddings) -> None:
        """Store people, and record their frames as known."""
        sightings = tuple(s for seen in group for s in _sightings(seen, self._record.info))
        frames = {seen.number: seen.stamp for seen in group}
        self._store.add(Records(sightings, embeddings), self._record, frames)
        self.people += len(sightings)


@dataclass(frozen=True, slots=True)
class _Seen:
    """A frame after detection; its picture is no longer needed."""

    number: int
    path: str
    stamp: FileStamp | None
    crops: Crops


def find_record(
    store: Store, info: SourceInfo, settings: DetectionSettings, *, refresh: bool = False
) -> SourceRecord:
    """What the store knows of a source, or a new record; raises as `ingest` does."""
    for record in store.sources():
        if record.info.key == info.key:
            require_same_options(record, info, settings)
            if not (refresh and record.info.path == info.path):
                require_same_footage(record, info)
            elif record.info.first_number == info.first_number:
                return replace(record, info=replace(record.info, digest=info.digest))
            return record
    return SourceRecord(info, settings)


def _sightings(seen: _Seen, info: SourceInfo) -> list[StoredDetection]:
    detections = seen.crops.detections
    rows = zip(detections.xyxy.tolist(), detections.score.tolist(), seen.crops.images, strict=True)
    return [
        StoredDetection(
            id=str(CropId(*info.key, seen.number, person)),
            camera=info.camera,
            source=info.name,
            frame=seen.number,
            time_s=info.time_of(seen.number),
            box_xyxy=(round(x1, 2), round(y1, 2), round(x2, 2), round(y2, 2)),
            score=round(score, 4),
            path=seen.path,
            crop_hash=hash_crop(crop),
        )
        for person, ((x1, y1, x2, y2), score, crop) in enumerate(rows, start=1)
    ]
