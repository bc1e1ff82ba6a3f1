from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from landmarks.errors import InvalidPhotoError
from landmarks.photos.decode import declared_pixels, decode, format_of
from landmarks.photos.limits import PhotoLimits
from landmarks.photos.raw_kind import raw_kind
from tests.support.photos import drawn_photo, exif, saved
from tests.support.raw_files import camera_raw, dng, jpeg_of, page, thumbnail, tiff

LIMITS = PhotoLimits(max_bytes=50_000_000, max_pixels=50_000_000)
PHOTO = drawn_photo(400, 300).resize((1600, 1200))
SMALL = drawn_photo(160, 120, seed=1)
KINDS = ["NEF", "ARW", "KDC", "CR2", "ORF", "RW2", "RAF", "CRW", "CR3"]


def likeness(image, other):
    """Return the correlation of two pictures, whatever their sizes."""
    small = [np.asarray(one.convert("RGB").resize((64, 48)), float) for one in (image, other)]
    return np.corrcoef(small[0].ravel(), small[1].ravel())[0, 1]


@pytest.mark.parametrize("kind", KINDS)
def test_a_raw_file_is_read_by_its_preview_of_full_size(kind):
    data = camera_raw(kind, jpeg_of(PHOTO), jpeg_of(SMALL), (1640, 1240))
    photo = decode(data, LIMITS, 448)
    assert (photo.format, photo.width, photo.height) == (kind, 1600, 1200)
    assert format_of(data, LIMITS) == kind
    assert declared_pixels(data, LIMITS) == 1600 * 1200
    assert min(photo.image.size) >= 448
    assert likeness(photo.image, PHOTO) > 0.999


@pytest.mark.parametrize("kind", KINDS)
def test_a_raw_file_that_holds_but_a_thumbnail_is_not_read_by_it(kind):
    data = camera_raw(kind, jpeg_of(SMALL), jpeg_of(SMALL), (1640, 1240))
    if kind == "CR2":  # LibRaw makes something of the data that are missing here
        assert decode(data, LIMITS, 448).image.size == (820, 620)
        return
    with pytest.raises(InvalidPhotoError, match=rf"{kind} file (holds no preview|is truncated)"):
        decode(data, LIMITS, 448)


@pytest.mark.parametrize("kind", KINDS)
def test_a_damaged_preview_is_one_error(kind):
    whole = jpeg_of(PHOTO)
    damaged = whole[: len(whole) // 2]
    with pytest.raises(InvalidPhotoError, match=r"damaged|no preview"):
        decode(camera_raw(kind, damaged, jpeg_of(SMALL), (1640, 1240)), LIMITS)


def test_a_dng_is_developed_from_its_sensors_data_and_never_read_by_its_thumbnail():
    drawn = drawn_photo(640, 480)
    data = dng(drawn)
    assert Image.open(BytesIO(data)).size == (80, 60)
    photo = decode(data, LIMITS)
    assert (photo.format, photo.width, photo.height) == ("DNG", 640, 480)
    assert photo.image.size == (640, 480)
    assert likeness(photo.image, drawn) > 0.95
    half = decode(data, LIMITS, 200)
    assert (half.width, half.height, half.image.size) == (640, 480, (320, 240))
    assert likeness(half.image, photo.image) > 0.99


def test_a_dng_with_a_preview_of_full_size_is_read_by_it_and_by_no_smaller_one():
    drawn = drawn_photo(640, 480)
    other = drawn_photo(640, 480, seed=2)
    by_preview = decode(dng(drawn, preview=jpeg_of(other)), LIMITS)
    assert likeness(by_preview.image, other) > 0.99
    by_sensor = decode(dng(drawn, preview=jpeg_of(other.resize((300, 225)))), LIMITS)
    assert likeness(by_sensor.image, drawn) > 0.95


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_the_orientation_of_a_dng_is_applied_once(orientation):
    drawn = drawn_photo(640, 480)
    back = {3: Image.Transpose.ROTATE_180, 6: Image.Transpose.ROTATE_90}
    back[8] = Image.Transpose.ROTATE_270
    held = drawn if orientation == 1 else drawn.transpose(back[orientation])
    photo = decode(dng(held, orientation), LIMITS)
    assert (photo.width, photo.height) == photo.image.size == (640, 480)
    assert likeness(photo.image, drawn) > 0.95
    # The preview lies as the sensor does, and states no orientation of its own, or states it too.
    for preview in (jpeg_of(held), jpeg_of(held, exif=exif(orientation))):
        photo = decode(dng(held, orientation, preview), LIMITS)
        assert photo.image.size == (640, 480)
        assert likeness(photo.image, drawn) > 0.99


def test_a_preview_that_stands_already_is_not_turned_again():
    drawn = drawn_photo(480, 640)
    held = drawn.transpose(Image.Transpose.ROTATE_90)
    photo = decode(dng(held, 6, jpeg_of(drawn)), LIMITS)
    assert (photo.width, photo.height) == photo.image.size == (480, 640)


def test_a_damaged_dng_is_one_error():
    data = dng(drawn_photo(640, 480))
    for size in (len(data) // 2, len(data) - 100, 1000):
        with pytest.raises(InvalidPhotoError):
            decode(data[:size], LIMITS)


def test_the_size_of_the_sensor_is_checked_before_its_data_are_read():
    data = dng(drawn_photo(640, 480))
    with pytest.raises(InvalidPhotoError, match=r"640 × 480 pixels.*_PHOTO_PIXELS"):
        declared_pixels(data, PhotoLimits(50_000_000, 640 * 480 - 1))


def test_a_tiff_of_a_scanner_is_no_raw_file():
    assert raw_kind(saved(drawn_photo(), "TIFF")) == ""
    photo = decode(saved(drawn_photo(), "TIFF"), LIMITS)
    assert photo.format == "TIFF"


def test_a_tiff_with_a_thumbnail_in_front_is_read_by_its_first_full_page():
    drawn = drawn_photo()
    data = tiff(thumbnail(), page(*drawn.size, drawn.tobytes()))
    photo = decode(data, LIMITS)
    assert (photo.format, photo.width, photo.height) == ("TIFF", 320, 240)
    assert likeness(photo.image, drawn) > 0.9999


def test_any_bytes_behind_a_raw_files_start_are_a_photo_or_one_error():
    random = np.random.default_rng(0)
    for kind in KINDS:
        data = np.frombuffer(camera_raw(kind, jpeg_of(SMALL), jpeg_of(SMALL), (200, 150)), np.uint8)
        for _ in range(20):
            damaged = data.copy()
            places = random.integers(0, min(len(data), 400), 6)
            damaged[places] = random.integers(0, 256, 6)
            try:
                decode(damaged.tobytes(), LIMITS)
            except InvalidPhotoError:
                continue
