"""Reading pictures and cutting crops out of them. All pictures are RGB."""

from __future__ import annotations

import hashlib
import os
import re
from typing import TYPE_CHECKING

# A small file can hold a picture that fills all memory; OpenCV's own limit is a gigapixel.
os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(1 << 28))
import cv2
import numpy as np

from reidsearch.core.errors import ImageError
from reidsearch.core.files import require_regular
from reidsearch.core.types import Crops

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from reidsearch.core.types import Detections

_JPEG_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")  # but stuffed bytes, fill and restarts
_MOST_BYTES = 1 << 29
_MOST_SCANS = 100  # a progressive JPEG has ten; each goes over the whole picture, for some bytes
IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp"})

cv2.utils.logging.setLogLevel(
    cv2.utils.logging.LOG_LEVEL_SILENT
)  # damaged files are our message to give, once


def read_image(path: Path) -> NDArray[np.uint8]:
    """Read a picture as `(H, W, 3)` uint8 RGB, whatever its depth and channels.

    Grey is repeated, alpha is dropped (a TIFF's is multiplied in), 16 bits become 8, EXIF
    orientation is applied.

    Raises:
        ImageError: the file is missing, empty, truncated or not a picture.
    """
    return decode_image(read_file(path), path)


def read_file(path: Path) -> bytes:
    """Read a picture's file; raises ImageError where that cannot be, or it is far too large."""
    try:
        size = require_regular(path).st_size
        if size > _MOST_BYTES:
            raise ImageError(f"cannot read {path}: it has {size:,} bytes")
        return path.read_bytes()
    except OSError as error:
        raise ImageError(f"cannot read {path}: {error.strerror}") from error


def decode_image(data: bytes, path: Path) -> NDArray[np.uint8]:
    """Decode what `read_file` read; see `read_image`."""
    if not data:
        raise ImageError(f"cannot decode {path}: the file is empty")
    scans = _count_scans(data) if data.startswith(b"\xff\xd8") else None
    if scans == 0 or _is_cut_png(data):
        raise ImageError(f"cannot decode {path}: the file is cut short")
    if scans is not None and scans > _MOST_SCANS:
        raise ImageError(f"cannot decode {path}: it is drawn over {scans:,} times")
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)
    except cv2.error as error:
        raise ImageError(f"cannot decode {path}: {error.err}") from error
    if image is None:
        raise ImageError(f"cannot decode {path}: damaged, or not a picture")
    return np.asarray(image, np.uint8)


def _count_scans(data: bytes) -> int:
    """How many scans a JPEG has; none when it is cut, which OpenCV would fill with grey.

    Segments (ITU-T T.81, B.1.1) are stepped over, since they may hold anything, a thumbnail with
    markers of its own too. What a camera has written after the end does not count.
    """
    at, scans = 2, 0
    while found := _JPEG_MARKER.search(data, at):
        marker, at = found[0][1], found.end()
        if marker == 0xD9:  # the end of the picture
            return scans
        scans += marker == 0xDA
        at += int.from_bytes(data[at : at + 2])
    return 0


def _is_cut_png(data: bytes) -> bool:
    """Whether a PNG ends before its last chunk does; OpenCV would make room for what is promised.

    Chunks are length, type, data and checksum (PNG specification, 5.3).
    """
    if not data.startswith(b"\x89PNG\r\n\x1a\n"):
        return False
    at = 8
    while at < len(data) and data[at - 8 : at - 4] != b"IEND":
        at += 12 + int.from_bytes(data[at : at + 4])
    return at > len(data)


def cut_crops(image: NDArray[np.uint8], detections: Detections) -> Crops:
    """Cut every detection out of its frame, to whole pixels; boxes without a pixel are dropped.

    Args:
        image: `(H, W, 3)` uint8 RGB.
        detections: boxes in pixels of `image`.

    Returns:
        Copies, so that the frame itself can go, and the detections kept, row by row.
    """
    height, width = image.shape[:2]
    low = np.floor(detections.xyxy[:, :2]).astype(int).clip(0)
    high = np.ceil(detections.xyxy[:, 2:]).astype(int).clip(None, (width, height))
    kept = np.flatnonzero((high > low).all(axis=1))
    views = (image[low[i, 1] : high[i, 1], low[i, 0] : high[i, 0]] for i in kept)
    return Crops(tuple(view.copy() for view in views), detections[kept])


def hash_crop(crop: NDArray[np.uint8]) -> str:
    """Name the pixels of a crop by 16 hexadecimal digits, to tell them again."""
    return hashlib.blake2b(crop.tobytes(), digest_size=8).hexdigest()
