"""Photos with an embedded profile are what they look like."""

import numpy as np
import pytest
from PIL import Image

from landmarks.photos.decode import decode
from landmarks.photos.decoding_rules import PREVIOUS
from landmarks.photos.limits import PhotoLimits
from tests.support.colour_profiles import (
    ADOBE_RGB,
    DISPLAY_P3,
    SRGB,
    grey_profile,
    in_space,
    rgb_profile,
)
from tests.support.photos import drawn_photo, saved

LIMITS = PhotoLimits(20_000_000, 20_000_000)
PHOTO = drawn_photo()
P3 = rgb_profile(DISPLAY_P3)
ADOBE = rgb_profile(ADOBE_RGB, 2.2)


def difference(one: Image.Image, other: Image.Image) -> float:
    return float(np.abs(np.asarray(one, float) - np.asarray(other, float)).mean())


def decoded(data: bytes) -> Image.Image:
    return decode(data, LIMITS).image


@pytest.mark.parametrize("profile", [P3, ADOBE], ids=["Display P3", "Adobe RGB"])
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "WEBP"])
def test_a_photo_in_wide_colours_looks_as_it_does_in_srgb(profile, kind):
    options = {"JPEG": {"quality": 95, "subsampling": 0}, "WEBP": {"lossless": True}}
    wide = saved(in_space(PHOTO, profile), kind, icc_profile=profile, **options.get(kind, {}))
    assert difference(decoded(wide), PHOTO) < 1.5
    assert difference(decode(wide, LIMITS, rules=PREVIOUS).image, PHOTO) > 2.5


def test_transparency_outlives_the_conversion():
    wide = in_space(PHOTO, ADOBE)
    wide.putalpha(Image.linear_gradient("L").resize(PHOTO.size))
    plain = PHOTO.copy()
    plain.putalpha(wide.getchannel("A"))
    assert difference(decoded(saved(wide, icc_profile=ADOBE)), decoded(saved(plain))) < 1
    palette = in_space(PHOTO, ADOBE).quantize(256)
    expected = decoded(saved(palette.convert("RGB"), icc_profile=ADOBE))
    assert difference(decoded(saved(palette, icc_profile=ADOBE)), expected) == 0


@pytest.mark.parametrize("deep", [False, True])
def test_grey_has_its_own_profile_or_that_of_equal_parts(deep):
    grey = PHOTO.convert("L")
    levels = np.asarray(grey)
    image = Image.fromarray(levels.astype(np.uint16) * 257) if deep else grey
    linear = decoded(saved(image, "TIFF", icc_profile=grey_profile(1.0)))
    light = levels / 255
    expected = 255 * np.where(light > 0.0031308, 1.055 * light ** (1 / 2.4) - 0.055, 12.92 * light)
    assert np.abs(np.asarray(linear.getchannel("R"), float) - expected).max() < 3
    as_rgb = decoded(saved(grey.convert("RGB"), "TIFF", icc_profile=ADOBE))
    assert difference(decoded(saved(image, "TIFF", icc_profile=ADOBE)), as_rgb) == 0


@pytest.mark.parametrize(
    "profile",
    [
        rgb_profile(SRGB),
        P3[:200],
        P3[:-400],
        b"no profile" * 40,
        P3[:12] + b"link" + P3[16:],
        P3[:16] + b"CMYK" + P3[20:],
        P3[:16] + b"Lab " + P3[20:],
        P3 + b"mpet",
        grey_profile(1.0),
        P3 + bytes(5_000_000),
    ],
    ids=[
        "sRGB",
        "no tags",
        "cut short",
        "other bytes",
        "link",
        "CMYK",
        "Lab",
        "unbounded",
        "grey",
        "huge",
    ],
)
def test_a_profile_that_means_nothing_leaves_the_pixels_as_they_are(profile):
    data = saved(PHOTO, "TIFF", icc_profile=profile)
    assert difference(decoded(data), PHOTO) == 0


def test_ink_without_a_profile_and_with_one_of_other_colours_is_read_as_before():
    ink = PHOTO.convert("CMYK")
    plain = decoded(saved(ink, "TIFF"))
    assert difference(decoded(saved(ink, "TIFF", icc_profile=P3)), plain) == 0
