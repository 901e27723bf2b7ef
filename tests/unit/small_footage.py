"""Small folders of frames and videos to read, and short ways to say what came out."""

from __future__ import annotations

import struct
import zlib

import cv2
import numpy as np
from PIL import Image

from reidsearch.core.types import Frame
from reidsearch.footage import SourceOptions, open_source

FPS = 12.5
FILM_FRAMES = 25


def write_picture(path, grey=0):
    Image.new("RGB", (6, 4), (grey, grey, grey)).save(path)
    return path


def write_folder(folder, *names):
    """One picture for each name, each a little lighter than the one before."""
    folder.mkdir(parents=True, exist_ok=True)
    for grey, name in enumerate(names):
        write_picture(folder / name, grey)
    return folder


def write_film(path, codec="MJPG", fps=FPS, count=FILM_FRAMES, bgr=None):
    """A video whose n-th frame has the grey value 8 n, or is `bgr` throughout."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), fps, (64, 48))
    for number in range(1, count + 1):
        writer.write(np.full((48, 64, 3), bgr or (8 * number,) * 3, np.uint8))
    writer.release()
    return path


def read(path, **options):
    return list(open_source(path, SourceOptions(**options)).frames())


def greys(frames):
    return [round(float(frame.image.mean())) for frame in frames]


def numbers(frames):
    """The frames' numbers, with None for a bad one."""
    return [frame.number if isinstance(frame, Frame) else None for frame in frames]


def reasons(frames):
    """Why the bad ones among the frames are bad."""
    return [frame.reason for frame in frames if not isinstance(frame, Frame)]


def write_slow_bomb(path, scans=1000):
    """A progressive JPEG whose last scan comes again and again."""
    whole = cv2.imencode(".jpg", np.zeros((64, 64, 3), np.uint8), [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])
    data = whole[1].tobytes()
    last = data[data.rindex(b"\xff\xda") : -2]
    path.write_bytes(data[:-2] + last * scans + data[-2:])
    return path


def write_bomb(path):
    """A picture of a few hundred bytes that says it holds ten gigapixels."""
    rows = zlib.compress(b"\0" * 100_000)
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", 100_000, 100_000, 8, 0, 0, 0, 0)), (b"IDAT", rows)]
    data = b"\x89PNG\r\n\x1a\n"
    for kind, body in [*chunks, (b"IEND", b"")]:
        data += struct.pack(">I", len(body)) + kind + body
        data += struct.pack(">I", zlib.crc32(kind + body))
    path.write_bytes(data)
    return path
