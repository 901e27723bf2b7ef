"""Reading pictures and cutting crops out of them. All pictures are RGB."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

import numpy as np

from reidsearch.core.errors import ImageError
from reidsearch.core.files import require_regular
from reidsearch.core.native import cv2
from reidsearch.core.types import Crops

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from reidsearch.core.types import Detections

_JPEG_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")  # not stuffed bytes, fill and restarts
_MAX_BYTES = 1 << 29
_MAX_SCANS = 100  # a progressive JPEG has ten; a few bytes of a scan cost a pass over the picture
IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp"})


def read_image(path: Path) -> NDArray[np.uint8]:
    """Read a picture as `(H, W, 3)` uint8 RGB, whatever its depth and channels.

    Grey is repeated, alpha is dropped (a TIFF's is multiplied in), 16 bits become 8, EXIF
    orientation is applied.

    Raises:
        ImageError: the file is missing, empty, truncated or not a picture.
    """
    return decode_image(read_file(path), path)


def read_file(path: Path) -> bytes:
    """Read a picture's file; raises ImageError if it cannot be read or is far too large."""
    try:
        size = require_regular(path).st_size
        if size > _MAX_BYTES:
            raise ImageError(f"cannot read {path}: {size:,} bytes are too many for a picture")
        return path.read_bytes()
    except OSError as error:
        raise ImageError(f"cannot read {path}: {error.strerror}") from error


def decode_image(data: bytes, path: Path) -> NDArray[np.uint8]:
    """Decode what `read_file` read; see `read_image`."""
    if not data:
        raise ImageError(f"cannot decode {path}: the file is empty")
    scans = _count_scans(data) if data.startswith(b"\xff\xd8") else None
    if scans == 0 or _is_truncated_png(data):
        raise ImageError(f"cannot decode {path}: the file is truncated")
    if scans is not None and scans > _MAX_SCANS:
        raise ImageError(f"cannot decode {path}: it has {scans:,} scans")
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)
    except cv2.error as error:
        raise ImageError(f"cannot decode {path}: {error.err}") from error
    if image is None:
        raise ImageError(f"cannot decode {path}: it is damaged or not a picture")
    return np.asarray(image, np.uint8)


def _count_scans(data: bytes) -> int:
    """Count the scans of a JPEG; 0 if it is truncated, which OpenCV would fill with grey.

    Segments (ITU-T T.81, B.1.1) are skipped: they may contain anything, also a thumbnail with
    markers of its own. Data behind the end of the picture are ignored.
    """
    at, scans = 2, 0
    while match := _JPEG_MARKER.search(data, at):
        marker, at = match[0][1], match.end()
        if marker == 0xD9:  # the end of the picture
            return scans
        scans += marker == 0xDA
        at += int.from_bytes(data[at : at + 2])
    return 0


def _is_truncated_png(data: bytes) -> bool:
    """Whether a PNG ends before its last chunk; OpenCV would allocate memory for what is missing.

    Chunks are length, type, data and checksum (PNG specification, 5.3).
    """
    if not data.startswith(b"\x89PNG\r\n\x1a\n"):
        return False
    at = 8
    while at < len(data) and data[at - 8 : at - 4] != b"IEND":
        at += 12 + int.from_bytes(data[at : at + 4])
    return at > len(data)


def cut_crops(image: NDArray[np.uint8], detections: Detections) -> Crops:
    """Cut detections out of their frame, to whole pixels; boxes without a pixel are dropped.

    Args:
        image: `(H, W, 3)` uint8 RGB.
        detections: boxes in pixels of `image`.

    Returns:
        Copies of the pixels, so that the frame can be freed, and the detections that remain.
    """
    height, width = image.shape[:2]
    low = np.floor(detections.xyxy[:, :2]).astype(int).clip(0)
    high = np.ceil(detections.xyxy[:, 2:]).astype(int).clip(None, (width, height))
    kept = np.flatnonzero((high > low).all(axis=1))
    views = (image[low[i, 1] : high[i, 1], low[i, 0] : high[i, 0]] for i in kept)
    return Crops(tuple(view.copy() for view in views), detections[kept])


def hash_crop(crop: NDArray[np.uint8]) -> str:
    """Hash the pixels of a crop to 16 hexadecimal digits, to recognise them."""
    return hashlib.blake2b(crop.tobytes(), digest_size=8).hexdigest()
