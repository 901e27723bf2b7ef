"""Small values for tests, with whatever matters to a test given and the rest filled in."""

from __future__ import annotations

import numpy as np

from reidsearch.core.provenance import DetectionSettings, Provenance, SourceRecord
from reidsearch.core.types import (
    Detections,
    Embeddings,
    Records,
    SourceInfo,
    StoredDetection,
    StoredFrame,
)

FINGERPRINT = "space-of-tests"
PROVENANCE = Provenance(
    embedder="osnet.test",
    fingerprint=FINGERPRINT,
    dimension=2,
    detector="ssd.test",
    detector_sha256="d" * 64,
    precision="f32",
    versions="openvino 1.0",
    package_version="0.0",
)
SETTINGS = DetectionSettings(min_score=0.25, min_height_px=24, tiles="auto")


def make_detections(*rows):
    """From rows of x1, y1, x2, y2, score."""
    table = np.array(rows, np.float32).reshape(-1, 5)
    return Detections(table[:, :4], table[:, 4])


def make_info(camera="gate", name="monday", **changes):
    fields = {
        "path": f"/footage/{camera}/{name}",
        "fps": 10.0,
        "start_s": None,
        "first_number": 1,
        "digest": f"digest of {camera}/{name}",
    }
    return SourceInfo(camera=camera, name=name, **fields | changes)


def make_detection(info, frame, person=1, score=None):
    return StoredDetection(
        id=f"{info}:{frame}:{person}",
        camera=info.camera,
        source=info.name,
        frame=frame,
        time_s=info.time_of(frame),
        box_xyxy=(10.0 * person, 5.0, 10.0 * person + 8.0, 30.0),
        score=1 - person / 10 if score is None else score,
        path=info.path,
        crop_hash="0123456789abcdef",
    )


def make_vectors(*degrees):
    """Unit vectors in the plane; their L2 distance is 2 sin(half the angle between them)."""
    angle = np.radians(np.array(degrees, np.float32).reshape(-1))
    return np.stack([np.cos(angle), np.sin(angle)], axis=1).astype(np.float32)


def make_records(detections, degrees, fingerprint=FINGERPRINT):
    return Records(tuple(detections), Embeddings(make_vectors(*degrees), fingerprint))


def make_source_record(info, frames=(), detections=0):
    span = (min(frames), max(frames)) if frames else None
    return SourceRecord(info, SETTINGS, len(frames), detections, span)


def make_frames(info, *numbers, stamp=None):
    """Frames as they are stored."""
    return [StoredFrame(number, info.time_of(number), info.path, stamp) for number in numbers]
