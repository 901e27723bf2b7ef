import cv2
import numpy as np
import pytest
from hypothesis import given

from reidsearch.core.errors import ImageError
from reidsearch.footage.images import read_image
from tests.conftest import SAMPLE
from tests.fuzz.mutations import mutated
from tests.fuzz.refusals import may_refuse

FRAME = cv2.imread(str(SAMPLE / "frame_0001.jpg"))[180:260, 230:300]
GREY = cv2.cvtColor(FRAME, cv2.COLOR_BGR2GRAY)
DEEP = FRAME.astype(np.uint16) * 257


def encode(suffix, picture=FRAME, *options):
    return cv2.imencode(suffix, picture, options)[1].tobytes()


WHOLE = [
    encode(".jpg"),
    encode(".jpg", GREY, cv2.IMWRITE_JPEG_PROGRESSIVE, 1),
    encode(".png"),
    encode(".png", DEEP),
    encode(".webp"),
    encode(".webp", FRAME, cv2.IMWRITE_WEBP_QUALITY, 101),
    encode(".bmp"),
    encode(".bmp", GREY),
    encode(".tif"),
    encode(".tif", DEEP),
    encode(".tif", FRAME, cv2.IMWRITE_TIFF_COMPRESSION, 1),
]


def look(path):
    image = read_image(path)
    return image.dtype, image.shape


@given(data=mutated(WHOLE))
def test_any_bytes_are_a_picture_or_an_error(worker, data):
    with may_refuse(ImageError, "a.jpg"):
        dtype, (height, width, channels) = worker.read(look, data, "a.jpg")
        assert (dtype, channels) == (np.uint8, 3)
        assert height > 0 < width


@pytest.mark.parametrize("data", WHOLE)
def test_whole_pictures_are_read(worker, data):
    assert worker.read(look, data, "a.jpg") == (np.uint8, FRAME.shape)
