"""From frames to records in pure steps: where people are, what they look like, what is stored.

`threads` runs them side by side; evaluation calls the same ones.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reidsearch.core.ids import CropId
from reidsearch.core.types import (
    Crops,
    Detections,
    Embeddings,
    Frame,
    Records,
    StoredDetection,
    StoredFrame,
)
from reidsearch.footage.images import cut_crops, hash_crop

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from reidsearch.core.types import FileStamp, SourceInfo
    from reidsearch.models.detectors import Detector
    from reidsearch.models.embedders import Embedder

Finder = Callable[[Sequence[Frame]], list[Detections]]
"""Says where people are in frames: a detector, see `finder_of`, or `KnownBoxes.finder`."""


@dataclass(frozen=True, slots=True, eq=False)
class CutFrame:
    """A frame of which only the detections are left.

    Attributes:
        number, path, stamp: see `Frame`.
        crops: its detections, as they are stored.
    """

    number: int
    path: str
    stamp: FileStamp | None
    crops: Crops


def finder_of(detector: Detector) -> Finder:
    """Let a detector look at frames."""
    return lambda frames: detector.detect([frame.image for frame in frames])


def cut(frame: Frame, found: Detections) -> CutFrame:
    """Cut out detections, rounded and ordered as they are stored; those without a pixel go."""
    crops = cut_crops(frame.image, found.as_stored())
    return CutFrame(frame.number, frame.path, frame.stamp, crops)


def embed(crops: Iterable[Crops], embedder: Embedder) -> Embeddings:
    """Embed crops as one batch; vectors are rounded as they are stored."""
    return embedder.embed([image for some in crops for image in some.images]).as_stored()


def to_records(info: SourceInfo, frames: Sequence[CutFrame], embeddings: Embeddings) -> Records:
    """Give every detection its id, time and place in the footage.

    Args:
        info: of the frames' source.
        frames: of it.
        embeddings: of their crops, in the same order.
    """
    return Records(tuple(row for frame in frames for row in _to_rows(info, frame)), embeddings)


def to_stored(info: SourceInfo, frames: Sequence[CutFrame]) -> list[StoredFrame]:
    """Give frames their times."""
    return [
        StoredFrame(frame.number, info.time_of(frame.number), frame.path, frame.stamp)
        for frame in frames
    ]


def _to_rows(info: SourceInfo, frame: CutFrame) -> Iterator[StoredDetection]:
    detections = frame.crops.detections
    rows = zip(detections.xyxy.tolist(), detections.score.tolist(), frame.crops.images, strict=True)
    for index, ((x1, y1, x2, y2), score, crop) in enumerate(rows, start=1):
        yield StoredDetection(
            id=str(CropId(*info.key, frame.number, index)),
            camera=info.camera,
            source=info.name,
            frame=frame.number,
            time_s=info.time_of(frame.number),
            box_xyxy=(round(x1, 2), round(y1, 2), round(x2, 2), round(y2, 2)),
            score=round(score, 4),
            path=frame.path,
            crop_hash=hash_crop(crop),
        )
