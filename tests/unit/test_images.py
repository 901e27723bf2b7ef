import io
import os
import struct

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps

from reidsearch.core.errors import ImageError
from reidsearch.footage.images import IMAGE_SUFFIXES, cut_crops, read_image
from reidsearch.models.preprocess import to_batch
from tests.unit.builders import make_detections
from tests.unit.small_footage import write_bomb, write_slow_bomb

LOSSLESS = [".png", ".bmp", ".tif"]
LOSSY = [".jpg", ".webp"]
RED = (200, 30, 10)
END_OF_IMAGE = b"\xff\xd9"
IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}


def encode(image, suffix, **options):
    if isinstance(image, np.ndarray):
        image = Image.fromarray(image)
    buffer = io.BytesIO()
    image.save(buffer, Image.registered_extensions()[suffix], **options)
    return buffer.getvalue()


def write(path, data):
    path.write_bytes(data)
    return path


def slopes(width=64, height=48):
    """A smooth picture that is different in every channel, row and column."""
    y, x = np.mgrid[:height, :width]
    channels = x * 200 // width, y * 200 // height, 250 - x * 100 // width - y * 100 // height
    return np.stack(channels, axis=2).astype(np.uint8)


def noise(width=64, height=48, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def exif_with_thumbnail(thumbnail):
    """EXIF whose second directory holds a JPEG (TIFF 6.0; EXIF 2.3, 4.5.4)."""
    start = 8 + 6 + 2 + 3 * 12 + 4
    entries = (0x0103, 3, 1, 6), (0x0201, 4, 1, start), (0x0202, 4, 1, len(thumbnail))
    second = struct.pack("<H", 3) + b"".join(struct.pack("<HHII", *entry) for entry in entries)
    first = struct.pack("<HI", 0, 14)
    return b"Exif\0\0II*\0" + struct.pack("<I", 8) + first + second + bytes(4) + thumbnail


@pytest.mark.parametrize("suffix", LOSSLESS)
def test_lossless_picture_is_read_to_the_pixel(tmp_path, suffix):
    image = read_image(write(tmp_path / f"a{suffix}", encode(slopes(), suffix)))
    np.testing.assert_array_equal(image, slopes())
    assert image.dtype == np.uint8


@pytest.mark.parametrize("suffix", LOSSY)
def test_lossy_picture_is_read_nearly_to_the_pixel(tmp_path, suffix):
    image = read_image(write(tmp_path / f"a{suffix}", encode(slopes(), suffix)))
    assert image.shape == slopes().shape
    assert np.abs(image.astype(int) - slopes()).mean() < 4


@pytest.mark.parametrize("suffix", sorted(IMAGE_SUFFIXES))
def test_colours_come_as_red_green_blue(tmp_path, suffix):
    image = read_image(
        write(tmp_path / f"a{suffix}", encode(Image.new("RGB", (8, 8), RED), suffix))
    )
    np.testing.assert_allclose(image.mean(axis=(0, 1)), RED, atol=4)


@pytest.mark.parametrize(
    ("picture", "suffix", "expected"),
    [
        pytest.param(Image.new("L", (5, 4), 77), ".png", (77, 77, 77), id="grey"),
        pytest.param(Image.new("L", (5, 4), 77), ".jpg", (77, 77, 77), id="grey-jpg"),
        pytest.param(Image.new("LA", (5, 4), (77, 0)), ".png", (77, 77, 77), id="grey-alpha"),
        pytest.param(Image.new("RGBA", (5, 4), (*RED, 0)), ".png", RED, id="transparent"),
        pytest.param(Image.new("RGBA", (5, 4), (*RED, 0)), ".bmp", RED, id="transparent-bmp"),
        pytest.param(Image.new("RGBA", (5, 4), (*RED, 255)), ".tif", RED, id="opaque-tif"),
        pytest.param(Image.new("RGB", (5, 4), RED).convert("P"), ".png", None, id="palette"),
        pytest.param(Image.new("1", (5, 4), 1), ".png", (255, 255, 255), id="one-bit"),
        pytest.param(Image.new("RGB", (1, 1), RED), ".png", RED, id="one-pixel"),
        pytest.param(Image.new("RGB", (1, 1), (9, 9, 9)), ".jpg", (9, 9, 9), id="one-pixel-jpg"),
    ],
)
def test_any_kind_of_picture_becomes_rgb(tmp_path, picture, suffix, expected):
    image = read_image(write(tmp_path / "a", encode(picture, suffix)))
    assert image.shape == (picture.height, picture.width, 3)
    np.testing.assert_array_equal(image[0, 0], expected or picture.convert("RGB").getpixel((0, 0)))


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("channels", [1, 3])
def test_16_bits_become_8(tmp_path, suffix, channels):
    deep = np.full((4, 5, channels), 0x8123, np.uint16)
    image = read_image(write(tmp_path / "a", cv2.imencode(suffix, deep)[1].tobytes()))
    np.testing.assert_array_equal(image, np.full((4, 5, 3), 0x81))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(tmp_path, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encode(slopes(), ".jpg", exif=exif.tobytes(), quality=95)
    expected = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))), int)
    image = read_image(write(tmp_path / "a.jpg", data))
    assert image.shape == expected.shape
    assert np.abs(image - expected).mean() < 2


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"a letter to a friend\n" * 20, id="text"),
        pytest.param(b"\xff\xd8", id="jpg-marker-only"),
        pytest.param(noise().tobytes(), id="noise"),
    ],
)
def test_file_that_is_no_picture_is_named(tmp_path, data):
    path = write(tmp_path / "näme.jpg", data)
    with pytest.raises(ImageError) as caught:
        read_image(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("suffix", LOSSLESS + LOSSY)
@pytest.mark.parametrize("part", [0.1, 0.5, 0.95])
def test_truncated_picture_is_refused(tmp_path, suffix, part):
    whole = encode(noise(), suffix)
    with pytest.raises(ImageError):
        read_image(write(tmp_path / "a", whole[: int(len(whole) * part)]))


@pytest.mark.parametrize("progressive", [False, True], ids=["baseline", "progressive"])
def test_jpg_that_lacks_its_last_bytes_is_refused(tmp_path, progressive):
    whole = encode(noise(), ".jpg", progressive=progressive)
    with pytest.raises(ImageError, match="truncated"):
        read_image(write(tmp_path / "a.jpg", whole[:-20]))


@pytest.mark.parametrize("path", ["none.jpg", "no/folder/a.jpg", "."])
def test_missing_picture_is_named(tmp_path, path):
    with pytest.raises(ImageError, match="cannot read") as caught:
        read_image(tmp_path / path)
    assert str(tmp_path / path) in str(caught.value)


def test_whole_jpg_with_a_thumbnail_is_read(tmp_path):
    data = encode(slopes(), ".jpg", exif=exif_with_thumbnail(encode(slopes(16, 12), ".jpg")))
    assert data.count(END_OF_IMAGE) == 2
    assert read_image(write(tmp_path / "a.jpg", data)).shape == slopes().shape


@pytest.mark.parametrize("missing", [2, 200, 1000])
def test_jpg_cut_behind_its_thumbnail_is_refused(tmp_path, missing):
    data = encode(noise(), ".jpg", exif=exif_with_thumbnail(encode(slopes(16, 12), ".jpg")))
    cut = data[:-missing]
    assert END_OF_IMAGE in cut
    with pytest.raises(ImageError, match="truncated"):
        read_image(write(tmp_path / "a.jpg", cut))


@pytest.mark.parametrize(
    "trailer",
    [
        pytest.param(bytes(1000), id="zeros"),
        pytest.param(b"made by a camera", id="text"),
        pytest.param(encode(noise(), ".jpg"), id="second-jpg"),
        pytest.param(b"\0\0\0\x18ftypmp42" + b"\xff\xda" * 9, id="film-with-a-start-of-scan"),
        pytest.param(encode(noise(), ".jpg")[:-200], id="cut-second-jpg"),
    ],
)
def test_whole_jpg_may_be_followed_by_other_bytes(tmp_path, trailer):
    data = encode(slopes(), ".jpg")
    alone = read_image(write(tmp_path / "alone.jpg", data))
    np.testing.assert_array_equal(read_image(write(tmp_path / "a.jpg", data + trailer)), alone)


def test_nobody_is_cut_out_of_a_frame_without_people():
    crops = cut_crops(slopes(), make_detections())
    assert crops.images == ()
    assert len(crops.detections) == 0


@pytest.mark.parametrize(
    ("box", "rows", "columns"),
    [
        pytest.param((4, 6, 10, 20), (6, 20), (4, 10), id="whole-pixels"),
        pytest.param((4.9, 6.1, 9.1, 19.5), (6, 20), (4, 10), id="parts-of-pixels"),
        pytest.param((4.5, 6.5, 4.6, 6.6), (6, 7), (4, 5), id="inside-one-pixel"),
        pytest.param((-9.5, -3, 10, 20), (0, 20), (0, 10), id="beyond-top-left"),
        pytest.param((50, 40, 70.2, 99), (40, 48), (50, 64), id="beyond-bottom-right"),
        pytest.param((-9, -9, 99, 99), (0, 48), (0, 64), id="beyond-all"),
    ],
)
def test_crop_holds_the_pixels_of_its_box(box, rows, columns):
    crops = cut_crops(slopes(), make_detections((*box, 0.5)))
    np.testing.assert_array_equal(crops.images[0], slopes()[slice(*rows), slice(*columns)])
    np.testing.assert_allclose(crops.detections.xyxy, [box])


@pytest.mark.parametrize(
    "box",
    [
        pytest.param((10, 10, 10, 20), id="no-width"),
        pytest.param((10, 10, 20, 10), id="no-height"),
        pytest.param((20, 10, 10, 20), id="inside-out"),
        pytest.param((-20, 10, -5, 20), id="left-of-the-frame"),
        pytest.param((64, 10, 80, 20), id="right-of-the-frame"),
        pytest.param((10, 48, 20, 60), id="below-the-frame"),
    ],
)
def test_box_without_a_pixel_is_dropped_and_rows_stay_aligned(box):
    first, last = (0, 0, 4, 5, 0.9), (8, 8, 14, 15, 0.7)
    crops = cut_crops(slopes(), make_detections(first, (*box, 0.8), last))
    assert [image.shape[:2] for image in crops.images] == [(5, 4), (7, 6)]
    np.testing.assert_allclose(crops.detections.score, [0.9, 0.7])
    np.testing.assert_allclose(crops.detections.xyxy, [first[:4], last[:4]])


def test_no_crops_are_a_batch_of_none():
    batch = to_batch([], size_hw=(16, 8), **IMAGENET)
    assert batch.shape == (0, 3, 16, 8)
    assert batch.dtype == np.float32


def test_batch_is_what_pillow_and_imagenet_make_of_the_crops():
    frame = noise()
    crops = [noise(40, 90, 1), frame[3:9, 5:50], noise(8, 16, 2), frame[:1, :1]]
    batch = to_batch(crops, size_hw=(16, 8), **IMAGENET)
    assert batch.shape == (4, 3, 16, 8)
    assert batch.dtype == np.float32
    for crop, got in zip(crops, batch, strict=True):
        resized = Image.fromarray(crop).resize((8, 16), Image.Resampling.BILINEAR)
        pixels = np.asarray(resized, np.float64).transpose(2, 0, 1) / 255
        mean, std = (np.array(IMAGENET[name])[:, None, None] for name in ("mean", "std"))
        np.testing.assert_allclose(got, (pixels - mean) / std, atol=1e-5)


def test_batch_keeps_the_order_of_channels():
    red = np.full((9, 9, 3), RED, np.uint8)
    batch = to_batch([red], size_hw=(4, 2), mean=(0, 0, 0), std=(1, 1, 1))
    np.testing.assert_allclose(batch[0, :, 0, 0] * 255, RED, rtol=1e-5)


def test_pipes_and_devices_are_no_pictures(tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "endless.jpg").symlink_to("/dev/zero")
    (tmp_path / "loop.jpg").symlink_to("loop.jpg")
    for name, words in (
        ("pipe.jpg", "not a regular file"),
        ("endless.jpg", "not a regular file"),
        ("loop.jpg", "symbolic links"),
    ):
        with pytest.raises(ImageError, match=words):
            read_image(tmp_path / name)


def test_picture_of_too_many_pixels(tmp_path):
    bomb = write_bomb(tmp_path / "bomb.png")
    with pytest.raises(ImageError, match=r"bomb\.png"):
        read_image(bomb)


def test_picture_of_too_many_scans(tmp_path):
    """Each costs some bytes, and the time that the whole picture takes."""
    assert read_image(write_slow_bomb(tmp_path / "a.jpg", 5)).shape == (64, 64, 3)
    with pytest.raises(ImageError, match=r"1,0\d\d scans"):
        read_image(write_slow_bomb(tmp_path / "a.jpg"))
    data = (tmp_path / "a.jpg").read_bytes()
    first = data.index(b"\xff\xda")  # before which a comment looks like the end
    (tmp_path / "a.jpg").write_bytes(data[:first] + b"\xff\xfe\0\4\xff\xd9" + data[first:])
    with pytest.raises(ImageError, match=r"1,0\d\d scans"):
        read_image(tmp_path / "a.jpg")


def test_file_of_too_many_bytes(tmp_path):
    large = tmp_path / "large.bmp"
    large.touch()
    os.truncate(large, 600 << 20)
    with pytest.raises(ImageError, match="bytes"):
        read_image(large)


def test_png_that_promises_more_than_it_has(tmp_path):
    """OpenCV would make room for four gigabytes."""
    whole = cv2.imencode(".png", np.zeros((8, 8, 3), np.uint8))[1].tobytes()
    at = whole.index(b"IDAT") - 4
    path = tmp_path / "a.png"
    path.write_bytes(whole[:at] + b"\xff\x00\x20\x00" + whole[at + 4 :])
    with pytest.raises(ImageError, match="truncated"):
        read_image(path)
    path.write_bytes(whole + b"what a camera wrote after it")
    assert read_image(path).shape == (8, 8, 3)
