"""Source -> detector -> crops -> embedder -> store, in batches and with flat memory."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from reidsearch.images import cut_crops
from reidsearch.provenance import SourceRecord, require_same_footage, require_same_options
from reidsearch.types import BadFrame, Records, Sighting

if TYPE_CHECKING:
    from collections.abc import Callable

    from reidsearch.detectors import Detector
    from reidsearch.embedders import Embedder
    from reidsearch.provenance import DetectionSettings
    from reidsearch.sources import FrameSource
    from reidsearch.store import Store
    from reidsearch.types import Crops, Frame, SourceInfo

# Frames are looked at together, so that the detector can use all cores; large ones one by one.
_CHUNK_FRAMES = 8
_CHUNK_BYTES = 64 << 20
# What is in memory and not yet stored: lost, and done again, when the process is killed.
_GROUP_CROPS = 128
_GROUP_FRAMES = 64


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
        people: sightings stored.
        seconds: wall time.
    """

    frames: int
    frames_failed: int
    frames_skipped: int
    people: int
    seconds: float


def ingest(
    source: FrameSource,
    models: Models,
    store: Store,
    settings: DetectionSettings,
    on_frame: Callable[[BadFrame | None], None] = lambda _bad: None,
) -> IngestReport:
    """Store every person in a source's frames that the store does not have yet.

    Frames become part of the database in small groups; after a kill, the same call goes on where
    the last whole group ended.

    Args:
        source: the footage.
        models: loaded only when there is a frame to look at.
        store: where to; its provenance must be that of `models`.
        settings: what the detector was built with, for the record.
        on_frame: called after each frame, with the frame when it could not be decoded.

    Raises:
        SourceError: the store has other footage of that name, or read it with other options.
    """
    started = time.perf_counter()
    run = _Run(models, store, find_record(store, source.info, settings), on_frame)
    run.read(source)
    return IngestReport(
        run.frames, run.failed, run.skipped, run.people, time.perf_counter() - started
    )


class _Run:
    """One ingest under way: frames wait to be looked at, then people wait to be stored."""

    def __init__(
        self,
        models: Models,
        store: Store,
        record: SourceRecord,
        on_frame: Callable[[BadFrame | None], None],
    ) -> None:
        self._models = models
        self._store = store
        self._record = record
        self._on_frame = on_frame
        self._known = record.frames
        self._chunk: list[Frame] = []
        self._group: list[_Seen] = []
        self.frames = self.failed = self.skipped = self.people = 0

    def read(self, source: FrameSource) -> None:
        """Bring all frames of the source that are not known yet into the store."""
        for frame in source.frames(self._is_new):
            if isinstance(frame, BadFrame):
                self.failed += 1
                self._on_frame(frame)
                continue
            self._chunk.append(frame)
            waiting_bytes = sum(waiting.image.nbytes for waiting in self._chunk)
            if len(self._chunk) >= _CHUNK_FRAMES or waiting_bytes >= _CHUNK_BYTES:
                self._look()
                if self._is_group_full():
                    self._write()
        self._look()
        self._write()

    def _is_new(self, number: int) -> bool:
        if number in self._known:
            self.skipped += 1
            self._on_frame(None)
        return number not in self._known

    def _look(self) -> None:
        """Find the people in the frames that wait; the frames themselves can go then."""
        if not self._chunk:
            return
        found = self._models.detector.detect([frame.image for frame in self._chunk])
        for frame, detections in zip(self._chunk, found, strict=True):
            crops = cut_crops(frame.image, detections)
            self._group.append(_Seen(frame.number, frame.path, crops))
            self.frames += 1
            self.people += len(crops)
            self._on_frame(None)
        self._chunk = []

    def _is_group_full(self) -> bool:
        people = sum(len(seen.crops) for seen in self._group)
        return len(self._group) >= _GROUP_FRAMES or people >= _GROUP_CROPS

    def _write(self) -> None:
        """Embed and store the people that wait, and record their frames as known."""
        if not self._group:
            return
        images = [image for seen in self._group for image in seen.crops.images]
        embeddings = self._models.embedder.embed(images)
        sightings = tuple(s for seen in self._group for s in _sightings(seen, self._record.info))
        self._record = self._record.grown((s.number for s in self._group), len(sightings))
        self._store.add(Records(sightings, embeddings), self._record)
        self._group = []


@dataclass(frozen=True, slots=True)
class _Seen:
    """A frame after detection; its picture is no longer needed."""

    number: int
    path: str
    crops: Crops


def find_record(store: Store, info: SourceInfo, settings: DetectionSettings) -> SourceRecord:
    """What the store knows of a source, or a new record; raises as `ingest` does."""
    for record in store.sources():
        if record.info.key == info.key:
            require_same_footage(record, info)
            require_same_options(record, info, settings)
            return record
    return SourceRecord(info, settings)


def _sightings(seen: _Seen, info: SourceInfo) -> list[Sighting]:
    detections = seen.crops.detections
    return [
        Sighting(
            id=f"{info}:{seen.number}:{person}",
            camera=info.camera,
            source=info.name,
            frame=seen.number,
            time_s=info.time_of(seen.number),
            box_xyxy=(round(x1, 2), round(y1, 2), round(x2, 2), round(y2, 2)),
            score=round(score, 4),
            path=seen.path,
        )
        for person, ((x1, y1, x2, y2), score) in enumerate(
            zip(detections.xyxy.tolist(), detections.score.tolist(), strict=True), start=1
        )
    ]
