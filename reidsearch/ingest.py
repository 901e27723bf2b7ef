"""Source -> detector -> crops -> embedder -> store, in batches and with flat memory."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from reidsearch.images import cut_crops
from reidsearch.provenance import SourceRecord, require_same_source
from reidsearch.types import BadFrame, Records, Sighting

if TYPE_CHECKING:
    from collections.abc import Callable

    from reidsearch.detectors import Detector
    from reidsearch.embedders import Embedder
    from reidsearch.provenance import DetectionSettings
    from reidsearch.sources import FrameSource
    from reidsearch.store import Store
    from reidsearch.types import Crops, SourceInfo

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

    Frames become part of the database in small groups, each either wholly or not at all; after a
    kill, the same call goes on where the last group ended.

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
    record = _find_record(store, source.info, settings)
    done = record.frames
    skipped = failed = frames = people = 0

    def is_new(number: int) -> bool:
        nonlocal skipped
        if number in done:
            skipped += 1
            on_frame(None)
        return number not in done

    group: list[_Seen] = []
    for frame in source.frames(is_new):
        if isinstance(frame, BadFrame):
            failed += 1
            on_frame(frame)
            continue
        crops = cut_crops(frame.image, models.detector.detect(frame.image))
        group.append(_Seen(frame.number, frame.path, crops))
        frames += 1
        people += len(crops)
        on_frame(None)
        if len(group) >= _GROUP_FRAMES or sum(len(seen.crops) for seen in group) >= _GROUP_CROPS:
            record = _write(group, record, models.embedder, store)
            group = []
    if group:
        _write(group, record, models.embedder, store)
    return IngestReport(frames, failed, skipped, people, time.perf_counter() - started)


@dataclass(frozen=True, slots=True)
class _Seen:
    """A frame after detection; its picture is no longer needed."""

    number: int
    path: str
    crops: Crops


def _find_record(store: Store, info: SourceInfo, settings: DetectionSettings) -> SourceRecord:
    for record in store.sources():
        if record.info.key == info.key:
            require_same_source(record, info, settings)
            return record
    return SourceRecord(info, settings)


def _write(
    group: list[_Seen], record: SourceRecord, embedder: Embedder, store: Store
) -> SourceRecord:
    """Embed and store a group of frames; returns the source's new record."""
    embeddings = embedder.embed([image for seen in group for image in seen.crops.images])
    sightings = tuple(sighting for seen in group for sighting in _sightings(seen, record.info))
    grown = record.grown((seen.number for seen in group), len(sightings))
    store.add(Records(sightings, embeddings), grown)
    return grown


def _sightings(seen: _Seen, info: SourceInfo) -> list[Sighting]:
    detections = seen.crops.detections
    return [
        Sighting(
            id=f"{info}:{seen.number}:{person}",
            camera=info.camera,
            source=info.name,
            frame=seen.number,
            time_s=info.time_of(seen.number),
            box_xyxy=(box[0], box[1], box[2], box[3]),
            score=score,
            path=seen.path,
        )
        for person, (box, score) in enumerate(
            zip(detections.xyxy.tolist(), detections.score.tolist(), strict=True), start=1
        )
    ]
