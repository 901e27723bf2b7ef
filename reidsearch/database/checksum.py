"""Checksums of what is stored, over bytes that no version of Python lays out in another way."""

from __future__ import annotations

import json
import struct
import zlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from reidsearch.core.ids import SourceKey
    from reidsearch.core.types import Records, StoredDetection


def checksum_fields(*fields: str | float | None) -> int:
    """A CRC-32 over a few texts and numbers."""
    return zlib.crc32(json.dumps(fields).encode())


def checksum_rows(
    key: SourceKey, frames: Iterable[int], records: Records
) -> dict[int, tuple[int, int]]:
    """How many rows each frame has, and a CRC-32 over all that they say, vectors as float16.

    Args:
        key: of the source.
        frames: all of them, also those without rows.
        records: rows of these frames, and of no others.
    """
    rows: dict[int, list[int]] = {number: [] for number in frames}
    for row, detection in enumerate(records.detections):
        rows[detection.frame].append(row)
    halves = records.embeddings.vectors.astype("<f2")
    found = {}
    for number, own in rows.items():
        crc32 = checksum_fields(*key, number)
        for row in sorted(own, key=lambda row: records.detections[row].index):
            crc32 = zlib.crc32(_pack(records.detections[row]) + halves[row].tobytes(), crc32)
        found[number] = len(own), crc32
    return found


def _pack(detection: StoredDetection) -> bytes:
    """All fields as bytes: numbers little-endian, texts as UTF-8 behind their length.

    Part of the format of a database: fields that come later go to the end, with another schema.
    """
    numbers = (detection.frame, detection.time_s, *detection.box_xyxy, detection.score)
    packed = struct.pack("<q6d", *numbers)
    for text in (
        detection.id,
        detection.camera,
        detection.source,
        detection.path,
        detection.crop_hash,
    ):
        data = text.encode("utf-8", "surrogatepass")
        packed += struct.pack("<I", len(data)) + data
    return packed
