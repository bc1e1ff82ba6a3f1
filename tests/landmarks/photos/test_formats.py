"""Formats of phones and scanners: what is read, upright and whole; damage is one error."""

import struct
from io import BytesIO

import numpy as np
import pillow_heif
import pillow_jxl
import pytest
from PIL import Image

from landmarks.errors import InvalidPhotoError
from landmarks.photos.av1_size import largest_av1_picture
from landmarks.photos.decode import declared_pixels, decode, format_of
from landmarks.photos.limits import PhotoLimits
from tests.support.photos import drawn_photo, exif, saved

pillow_heif.register_heif_opener()
assert pillow_jxl.Encoder

LIMITS = PhotoLimits(max_bytes=20_000_000, max_pixels=20_000_000)
PHOTO = drawn_photo()
OPTIONS = {
    "HEIF": {"quality": 95},
    "AVIF": {"quality": 95},
    "JXL": {"quality": 97},
    "JPEG2000": {"quality_layers": [5]},
}
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def difference(image, other):
    return np.abs(np.asarray(image, np.int16) - np.asarray(other, np.int16)).mean()


def written(kind, image=PHOTO, **options):
    return saved(image, kind, **OPTIONS[kind], **options)


@pytest.mark.parametrize("kind", OPTIONS)
def test_each_newer_format_is_decoded(kind):
    photo = decode(written(kind), LIMITS)
    assert (photo.width, photo.height, photo.format, photo.image.mode) == (320, 240, kind, "RGB")
    assert difference(photo.image, PHOTO) < 3
    assert format_of(written(kind), LIMITS) == kind


@pytest.mark.parametrize("kind", OPTIONS)
def test_the_size_is_known_from_the_header_alone(kind):
    data = written(kind)
    assert declared_pixels(data, LIMITS) == 320 * 240
    few = PhotoLimits(20_000_000, 320 * 240 - 1)
    with pytest.raises(InvalidPhotoError, match=r"320 × 240 pixels.*_PHOTO_PIXELS"):
        declared_pixels(data, few)


@pytest.mark.parametrize("share", [0.02, 0.1, 0.5, 0.9])
@pytest.mark.parametrize("kind", OPTIONS)
def test_a_truncated_file_is_one_error(kind, share):
    data = written(kind)
    with pytest.raises(InvalidPhotoError):
        decode(data[: int(len(data) * share)], LIMITS)


@pytest.mark.parametrize("kind", OPTIONS)
def test_damage_anywhere_is_a_photo_or_a_refusal_and_nothing_else(kind):
    random = np.random.default_rng(0)
    data = np.frombuffer(written(kind, PHOTO.resize((64, 48))), np.uint8)
    for _ in range(40):
        damaged = data.copy()
        places = random.integers(0, min(len(data), 400), 4)
        damaged[places] = random.integers(0, 256, 4)
        try:
            decode(damaged.tobytes(), LIMITS)
        except InvalidPhotoError:
            continue


@pytest.mark.parametrize("orientation", range(2, 9))
@pytest.mark.parametrize("kind", ["HEIF", "AVIF"])
def test_what_irot_and_imir_say_is_applied_once(kind, orientation):
    data = written(kind, PHOTO.transpose(TURNS[orientation]), exif=exif(orientation))
    assert b"irot" in data or b"imir" in data
    photo = decode(data, LIMITS)
    assert (photo.width, photo.height) == photo.image.size == (320, 240)
    assert difference(photo.image, PHOTO) < 3


def without_box(data, name):
    """Return a JPEG XL file without its boxes of one kind."""
    kept, place = b"", 0
    while place < len(data):
        size = int.from_bytes(data[place : place + 4], "big") or len(data) - place
        if data[place + 4 : place + 8] != name:
            kept += data[place : place + size]
        place += size
    return kept


@pytest.mark.parametrize("orientation", range(2, 9))
def test_the_orientation_of_a_jpeg_xl_is_applied_once(orientation, tmp_path):
    jpeg = tmp_path / "photo.jpg"
    turned = PHOTO.transpose(TURNS[orientation])
    jpeg.write_bytes(saved(turned, "JPEG", quality=95, exif=exif(orientation)))
    file = BytesIO()
    with Image.open(jpeg) as opened:
        opened.save(file, "JXL", lossless_jpeg=True)
    packed = file.getvalue()
    assert b"jbrd" in packed
    # With what it takes to give the JPEG back, and without, as a picture of its own.
    for data in (packed, without_box(packed, b"jbrd")):
        assert declared_pixels(data, LIMITS) == 320 * 240
        photo = decode(data, LIMITS)
        assert (photo.width, photo.height) == photo.image.size == (320, 240)
        assert difference(photo.image, PHOTO) < 3


def test_a_jpeg_packed_into_a_jpeg_xl_may_be_scaled_down_as_that_jpeg(tmp_path):
    jpeg = tmp_path / "photo.jpg"
    jpeg.write_bytes(saved(drawn_photo(1000, 800), "JPEG"))
    file = BytesIO()
    with Image.open(jpeg) as opened:
        opened.save(file, "JXL", lossless_jpeg=True)
    photo = decode(file.getvalue(), LIMITS, 200)
    assert (photo.format, photo.width, photo.height) == ("JXL", 1000, 800)
    assert photo.image.size == (250, 200)


@pytest.mark.parametrize("size", [(256, 256), (320, 256), (1000, 700), (300, 200), (640, 360)])
def test_a_jpeg_xl_says_its_size_in_whichever_way(size):
    data = saved(Image.new("RGB", size, "red"), "JXL")
    assert declared_pixels(data, LIMITS) == size[0] * size[1]
    photo = decode(data, LIMITS)
    assert (photo.width, photo.height) == size


def test_a_jpeg_2000_is_scaled_down_while_decoding_no_further_than_requested():
    large = drawn_photo(500, 400).resize((1000, 800))
    data = written("JPEG2000", large)
    photo = decode(data, LIMITS, 200)
    assert (photo.width, photo.height, photo.image.size) == (1000, 800, (250, 200))
    assert difference(photo.image, large.resize((250, 200), Image.Resampling.BOX)) < 3
    assert decode(data, LIMITS, 500).image.size == (1000, 800)
    naked = written("JPEG2000", large, no_jp2=True)
    assert decode(naked, LIMITS, 200).image.size == (250, 200)


def test_a_jpeg_2000_whose_code_stream_is_larger_than_its_header_says_is_refused_unread():
    data = bytearray(written("JPEG2000"))
    place = data.index(b"\xff\x4f\xff\x51") + 8
    data[place : place + 8] = data[place + 16 : place + 24] = struct.pack(">II", 100_000, 100_000)
    with pytest.raises(InvalidPhotoError, match="100,000 × 100,000"):
        declared_pixels(bytes(data), LIMITS)
    data[place : place + 8] = struct.pack(">II", 320, 240)
    data[place + 16 : place + 24] = struct.pack(">II", 1, 1)
    with pytest.raises(InvalidPhotoError, match="tiles"):
        declared_pixels(bytes(data), LIMITS)


def test_further_pictures_and_a_film_behind_a_jpeg_leave_the_photo_itself():
    mpo = saved(PHOTO, "MPO", save_all=True, append_images=[drawn_photo(seed=1)], quality=95)
    photo = decode(mpo, LIMITS)
    assert (photo.format, photo.marks) == ("JPEG", ())
    assert difference(photo.image, PHOTO) < 3
    film = struct.pack(">I", 24) + b"ftypmp42\0\0\0\0isommp42" + bytes(5000)
    moving = decode(saved(PHOTO, "JPEG", quality=95) + film, LIMITS)
    assert difference(moving.image, PHOTO) < 3
    assert "further bytes follow" in moving.marks[0]


def test_a_jpeg_without_its_end_marker_is_decoded_and_marked():
    whole = saved(PHOTO, "JPEG", quality=95)
    expected = decode(whole, LIMITS)
    assert expected.marks == ()
    # Cut before the marker, inside it, and filled up with zeros as by programs that rescue files.
    for data in (whole[:-2], whole[:-1], whole[:-2] + bytes(4096)):
        photo = decode(data, LIMITS)
        assert difference(photo.image, expected.image) == 0
        assert "no end marker" in photo.marks[0]
    small = decode(whole[:-2], LIMITS, 100)
    assert small.image.size == (160, 120)
    assert (small.width, small.height) == (320, 240)


@pytest.mark.parametrize("progressive", [False, True])
def test_a_jpeg_that_lacks_pixels_is_refused(progressive):
    whole = saved(PHOTO, "JPEG", quality=95, progressive=progressive)
    for size in (len(whole) - 30, len(whole) // 2):
        for end in (b"", bytes(4096)):
            with pytest.raises(InvalidPhotoError, match="truncated"):
                decode(whole[:size] + end, LIMITS)


VIDEOS = {
    "MP4": struct.pack(">I", 24) + b"ftypmp42\0\0\0\0isommp42",
    "QuickTime": struct.pack(">I", 20) + b"ftypqt  \0\0\0\0qt  ",
    "AVI": b"RIFF\0\0\1\0AVI LIST",
    "Matroska or WebM": b"\x1a\x45\xdf\xa3\x9f\x42\x86\x81\x01",
    "MPEG transport stream": (b"\x47" + bytes(187)) * 4,
}


@pytest.mark.parametrize("name", VIDEOS)
def test_a_video_is_refused_as_a_video(name):
    with pytest.raises(InvalidPhotoError, match=rf"is a video \({name}\), not a photo"):
        decode(VIDEOS[name] + bytes(1000), LIMITS)


def test_a_photo_that_takes_too_much_memory_is_refused_by_the_setting_that_allows_it():
    scarce = PhotoLimits(20_000_000, 20_000_000, max_decoding_bytes=300_000)
    for kind in OPTIONS:
        data = written(kind)
        declared_pixels(data, scarce)
        with pytest.raises(InvalidPhotoError, match="LANDMARKS_MAX_DECODING_BYTES"):
            decode(data, scarce)
    # What is scaled down while it is decoded takes less.
    large = saved(drawn_photo(800, 600), "JPEG")
    with pytest.raises(InvalidPhotoError, match="LANDMARKS_MAX_DECODING_BYTES"):
        decode(large, scarce)
    assert decode(large, scarce, 100).image.size == (200, 150)


def test_a_panorama_of_20_000_pixels_is_scaled_down_while_it_is_decoded():
    wide = Image.new("L", (20_000, 3_400), 90)
    limits = PhotoLimits(150_000_000, 250_000_000)
    for data in (saved(wide, "JPEG"), saved(wide, "PNG", compress_level=1)):
        photo = decode(data, limits, 448)
        assert (photo.width, photo.height) == (20_000, 3_400)
        assert 448 <= min(photo.image.size) < 900
        assert difference(photo.image, Image.new("RGB", photo.image.size, (90,) * 3)) < 2


def test_an_avif_whose_picture_is_larger_than_its_header_says_is_refused_unread():
    data = bytearray(written("AVIF"))
    assert largest_av1_picture(bytes(data)) == (320, 240)
    place = data.index(b"ispe") + 8
    data[place : place + 8] = struct.pack(">II", 32, 24)
    with pytest.raises(InvalidPhotoError, match="declares 32 × 24 pixels and holds 320 × 240"):
        declared_pixels(bytes(data), LIMITS)


def test_a_heic_whose_picture_is_larger_than_its_header_says_is_refused():
    data = bytearray(written("HEIF", drawn_photo(640, 480)))
    place = data.index(b"ispe") + 8
    data[place : place + 8] = struct.pack(">II", 32, 24)
    with pytest.raises(InvalidPhotoError):
        decode(bytes(data), LIMITS)


def test_a_box_that_only_looks_like_the_one_with_places_does_not_hide_an_avifs_size():
    data = bytearray(written("AVIF"))
    start, picture = int.from_bytes(data[:4], "big"), data.index(b"mdat") + 4
    decoy = struct.pack(">I", 24) + b"free" + b"iloc" + bytes(12)
    place = data.index(struct.pack(">I", picture), data.index(b"iloc"))
    data[place : place + 4] = struct.pack(">I", picture + len(decoy))
    assert largest_av1_picture(bytes(data[:start] + decoy + data[start:])) == (320, 240)
