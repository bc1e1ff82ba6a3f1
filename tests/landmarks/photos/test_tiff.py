"""TIFFs of scanners and editors: each has the values of its 8-bit copy."""

import struct

import numpy as np
import pytest
from PIL import Image

from landmarks.errors import InvalidPhotoError
from landmarks.photos.decode import decode
from landmarks.photos.limits import PhotoLimits
from tests.support.photos import drawn_photo, saved
from tests.support.raw_files import LONG, SHORT, page, planes, tiff

LIMITS = PhotoLimits(max_bytes=10_000_000, max_pixels=10_000_000)
PHOTO = drawn_photo()


def difference(image, other):
    return np.abs(np.asarray(image, np.int16) - np.asarray(other, np.int16)).mean()


@pytest.mark.parametrize("rows", [240, 64])
@pytest.mark.parametrize("bits", [8, 16])
def test_planes_apart_and_uncompressed_are_read_right(bits, rows):
    values = np.asarray(PHOTO, np.uint16) * (257 if bits == 16 else 1)
    photo = decode(planes(values, rows, bits), LIMITS)
    assert (photo.width, photo.height) == (320, 240)
    assert difference(photo.image, PHOTO) <= 1


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("white_is_zero", [False, True])
def test_a_16_bit_grey_is_read_the_right_way_round(order, white_is_zero):
    grey = np.asarray(PHOTO.convert("L"), np.uint16) * 257
    stored = 65535 - grey if white_is_zero else grey
    tags = [
        (256, 320), (257, 240), (258, 16), (259, 1), (262, 0 if white_is_zero else 1),
        (273, 8), (277, 1), (278, 240), (279, stored.size * 2),
    ]  # fmt: skip
    data = stored.astype(f"{order}u2").tobytes()
    entries = b"".join(struct.pack(f"{order}HHII", tag, 4, 1, value) for tag, value in tags)
    start = b"II*\0" if order == "<" else b"MM\0*"
    place = struct.pack(f"{order}I", 8 + len(data))
    table = struct.pack(f"{order}H", len(tags)) + entries + bytes(4)
    photo = decode(start + place + data + table, LIMITS)
    assert difference(photo.image, PHOTO.convert("L").convert("RGB")) <= 1


def test_a_12_bit_grey_is_as_bright_as_its_8_bit_copy():
    grey = np.asarray(PHOTO.convert("L"), np.uint16)
    values = (grey * 4095.0 / 255).round().astype(np.uint16).reshape(-1, 2)
    first, second = values[:, 0], values[:, 1]
    packed = np.stack([first >> 4, (first & 15) << 4 | second >> 8, second & 255], -1)
    entries = page(320, 240, packed.astype(np.uint8).tobytes())
    entries |= {258: (SHORT, [12]), 262: (SHORT, [1]), 277: (SHORT, [1])}
    photo = decode(tiff(entries), LIMITS)
    assert difference(photo.image, PHOTO.convert("L").convert("RGB")) <= 1


@pytest.mark.parametrize("orientation", [6, 8])
def test_the_orientation_of_planes_apart_is_applied_once(orientation):
    back = {6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270}[orientation]
    turned = np.asarray(PHOTO.transpose(back), np.uint16) * 257
    data = planes(turned, turned.shape[0], 16)
    # As the file has no room for another tag, one that is not needed (the last strip's rows) makes
    # place: RowsPerStrip is by default all of them.
    at = data.rindex(b"\x16\x01\x04\x00\x01\x00\x00\x00")
    entry = b"\x12\x01\x03\x00\x01\x00\x00\x00" + bytes([orientation, 0, 0, 0])
    data = data[:at] + entry + data[at + 12 :]
    photo = decode(data, LIMITS)
    assert (photo.width, photo.height) == photo.image.size == (320, 240)
    assert difference(photo.image, PHOTO) <= 1


def test_the_first_page_of_several_is_taken():
    data = saved(PHOTO, "TIFF", save_all=True, append_images=[drawn_photo(640, 480, seed=1)])
    photo = decode(data, LIMITS)
    assert (photo.width, photo.height) == (320, 240)
    assert difference(photo.image, PHOTO) == 0


def test_truncated_planes_are_refused():
    data = planes(np.asarray(PHOTO, np.uint16) * 257, 240, 16)
    with pytest.raises(InvalidPhotoError):
        decode(data[:-2000], LIMITS)


def test_a_page_of_ever_more_strips_is_refused_wherever_it_is():
    many = page(8, 8, b"x" * 192) | {273: (LONG, [8] * 40_000), 279: (LONG, [1] * 40_000)}
    with pytest.raises(InvalidPhotoError, match="strips"):
        decode(tiff(page(8, 8, b"x" * 192) | {254: (LONG, [1])}, many), LIMITS)
