"""OpenCV, with settings that it reads from the environment when it is loaded or opens a video."""

from __future__ import annotations

import os

# A small file can hold a picture that fills all memory; OpenCV's own limit is a gigapixel.
os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(1 << 28))
# FFmpeg and OpenCV stay silent: what is wrong with a file is for reidsearch to report.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
import cv2

cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)

# FFmpeg goes by what is in a file, whatever its name: a playlist would have it read other files.
# OpenCV reads this variable whenever it opens a video; of options given twice the last counts.
_OPTIONS = "OPENCV_FFMPEG_CAPTURE_OPTIONS"
CONTAINERS = (
    "asf,avi,dhav,dv,flv,h264,hevc,ivf,m4v,matroska,mjpeg,mov,mpeg,mpegts,mpegvideo,mxf,ogg,rm,"
    "yuv4mpegpipe"
)
_ONLY_FILES = f"protocol_whitelist;file|format_whitelist;{CONTAINERS}"
os.environ[_OPTIONS] = "|".join(filter(None, (os.environ.get(_OPTIONS), _ONLY_FILES)))

__all__ = ["CONTAINERS", "cv2"]
