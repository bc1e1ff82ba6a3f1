"""A photo re-encoded into any format is its own nearest, upright, by a real encoder."""

from io import BytesIO

import numpy as np
import pillow_heif
import pillow_jxl
import pytest
from PIL import Image

from encoder_service.loader import load_encoder
from encoder_service.settings import EncoderSettings
from landmarks.photos.decode import decode
from landmarks.photos.limits import PhotoLimits
from tests.support.photos import drawn_photo, exif, saved
from tests.support.raw_files import camera_raw, dng, jpeg_of, planes

pillow_heif.register_heif_opener()
assert pillow_jxl.Encoder
pytestmark = [pytest.mark.integration, pytest.mark.needs(weights="scratch")]

LIMITS = PhotoLimits(150_000_000, 250_000_000)
PHOTO = drawn_photo(640, 480)
OTHERS = [drawn_photo(640, 480, seed) for seed in range(1, 9)]
OPTIONS = {
    "JPEG": {"quality": 95},
    "PNG": {"compress_level": 1},
    "WEBP": {"quality": 95},
    "GIF": {},
    "BMP": {},
    "TIFF": {},
    "HEIF": {"quality": 90},
    "AVIF": {"quality": 90, "speed": 10},
    "JXL": {"quality": 95, "effort": 3},
    "JPEG2000": {"quality_layers": [10], "quality_mode": "rates"},
}
TURNED = ["JPEG", "PNG", "WEBP", "TIFF", "HEIF", "AVIF"]


@pytest.fixture(scope="module")
def embedded():
    encoder = load_encoder("scratch", EncoderSettings.load({"precision": "float32"}))

    def embed(data):
        image = decode(data, LIMITS, encoder.spec.decode_size).image
        return encoder.embed(np.stack([encoder.preprocess(image)] * 2))[0]

    return embed


@pytest.fixture(scope="module")
def gallery(embedded):
    return np.stack([embedded(saved(photo)) for photo in (PHOTO, *OTHERS)])


@pytest.mark.parametrize("kind", OPTIONS)
def test_a_photo_in_any_format_is_its_own_nearest(kind, embedded, gallery):
    scores = gallery @ embedded(saved(PHOTO, kind, **OPTIONS[kind]))
    assert scores.argmax() == 0
    assert scores[0] > 0.99


@pytest.mark.parametrize("kind", ["NEF", "ARW", "KDC", "CR2", "ORF", "RW2", "RAF", "CRW", "CR3"])
def test_a_preview_in_any_raw_format_is_the_photos_nearest(kind, embedded, gallery):
    small = jpeg_of(OTHERS[0].resize((160, 120)))
    data = camera_raw(kind, jpeg_of(PHOTO.resize((1600, 1200))), small, (1640, 1240))
    scores = gallery @ embedded(data)
    assert scores.argmax() == 0
    assert scores[0] > 0.99


def test_a_developed_dng_is_the_photos_nearest(embedded, gallery):
    scores = gallery @ embedded(dng(PHOTO))
    assert scores.argmax() == 0
    assert scores[0] > 0.9  # LibRaw brightens it


@pytest.mark.parametrize("kind", TURNED)
def test_a_turned_copy_is_encoded_upright(kind, embedded):
    held = PHOTO.transpose(Image.Transpose.ROTATE_90)
    upright, turned = (
        embedded(saved(image, kind, **OPTIONS[kind], **how))
        for image, how in ((PHOTO, {}), (held, {"exif": exif(6)}))
    )
    assert upright @ turned > 0.999


def test_a_turned_jpeg_xl_and_dng_are_encoded_upright(embedded, tmp_path):
    held = PHOTO.transpose(Image.Transpose.ROTATE_90)
    vectors = []
    for image, how in ((PHOTO, {}), (held, {"exif": exif(6)})):
        (tmp_path / "photo.jpg").write_bytes(jpeg_of(image, **how))
        file = BytesIO()
        with Image.open(tmp_path / "photo.jpg") as opened:
            opened.save(file, "JXL", lossless_jpeg=True)
        vectors.append(embedded(file.getvalue()))
    assert vectors[0] @ vectors[1] > 0.999
    assert embedded(dng(PHOTO)) @ embedded(dng(held, 6)) > 0.999


def test_16_bit_planes_are_encoded_as_their_8_bit_copy(embedded):
    deep = planes(np.asarray(PHOTO, np.uint16) * 257, PHOTO.height, 16)
    assert embedded(deep) @ embedded(saved(PHOTO)) > 0.9999
