import math
import struct
import warnings
import zlib
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from landmarks.errors import InvalidInputError, InvalidPhotoError
from landmarks.photos.box import Box
from landmarks.photos.decode import declared_pixels, decode, pixels_declared_early
from landmarks.photos.file_headers import webp_size
from landmarks.photos.limits import PhotoLimits
from tests.support.photos import drawn_photo, exif, png_declaring, saved

LIMITS = PhotoLimits(max_bytes=1_000_000, max_pixels=1_000_000)
PHOTO = drawn_photo()


def difference(image, other):
    return np.abs(np.asarray(image, np.int16) - np.asarray(other, np.int16)).mean()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"])
def test_each_accepted_format_is_decoded(kind):
    photo = decode(saved(PHOTO, kind), LIMITS)
    assert (photo.width, photo.height, photo.format, photo.image.mode) == (320, 240, kind, "RGB")
    assert difference(photo.image, PHOTO) < 12  # GIF has 256 colours


@pytest.mark.parametrize("kind", ["PPM", "ICO", "TGA"])
def test_other_formats_are_refused_by_name_of_those_accepted(kind):
    with pytest.raises(
        InvalidPhotoError, match=r"JPEG, PNG, WebP, GIF, BMP, TIFF, HEIC, AVIF.* RAW"
    ):
        decode(saved(PHOTO.resize((64, 64)), kind), LIMITS)


def test_no_bytes_are_refused():
    with pytest.raises(InvalidPhotoError, match="empty"):
        declared_pixels(b"", LIMITS)


def test_bytes_that_are_no_photo_are_refused():
    with pytest.raises(InvalidPhotoError, match="not a photo"):
        declared_pixels(b"%PDF-1.7 surely not a photo", LIMITS)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"])
def test_a_truncated_file_is_refused(kind):
    data = saved(PHOTO, kind)
    with pytest.raises(InvalidPhotoError, match=r"truncated|damaged"):
        decode(data[: len(data) // 2], LIMITS)


@pytest.mark.parametrize("size", [10, 30, 60, 120])
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"])
def test_a_file_cut_in_its_header_is_refused_or_unknown(kind, size):
    with pytest.raises(InvalidPhotoError):
        decode(saved(PHOTO, kind)[:size], LIMITS)


def test_damage_anywhere_is_a_photo_or_a_refusal_and_nothing_else():
    random = np.random.default_rng(0)
    for kind in ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"):
        data = np.frombuffer(saved(PHOTO.resize((64, 48)), kind), np.uint8)
        for _ in range(40):
            damaged = data.copy()
            places = random.integers(0, min(len(data), 400), 4)
            damaged[places] = random.integers(0, 256, 4)
            try:
                decode(damaged.tobytes(), LIMITS)
            except InvalidPhotoError:
                continue


def test_too_many_bytes_are_refused_before_they_are_looked_at():
    with pytest.raises(InvalidPhotoError, match=r"1,000,001 bytes.*1,000,000.*_PHOTO_BYTES"):
        declared_pixels(bytes(1_000_001), LIMITS)


def test_a_decompression_bomb_is_refused_from_its_header():
    with pytest.raises(InvalidPhotoError, match=r"40,000 × 40,000.*1,000,000.*_PHOTO_PIXELS"):
        declared_pixels(png_declaring(40_000, 40_000), LIMITS)


def test_the_header_alone_gives_the_pixels():
    assert declared_pixels(saved(PHOTO, "JPEG")[:2000], LIMITS) == 320 * 240


def test_a_jpegs_first_bytes_give_its_pixels_or_leave_them_to_the_whole_file():
    jpeg = saved(PHOTO, "JPEG")
    assert pixels_declared_early(jpeg, LIMITS) == declared_pixels(jpeg, LIMITS)
    assert pixels_declared_early(saved(PHOTO, "PNG"), LIMITS) is None
    assert pixels_declared_early(jpeg[:100], LIMITS) is None
    comments = jpeg[:2] + 2 * (b"\xff\xfe\x20\x00" + bytes(0x2000 - 2)) + jpeg[2:]
    assert pixels_declared_early(comments, LIMITS) is None
    assert declared_pixels(comments, LIMITS) == 320 * 240


def test_pixels_over_a_limit_are_not_reported_early():
    jpeg = saved(PHOTO, "JPEG")
    assert pixels_declared_early(jpeg, PhotoLimits(len(jpeg) - 1, 1_000_000)) is None
    assert pixels_declared_early(jpeg, PhotoLimits(len(jpeg), 320 * 240 - 1)) is None
    assert pixels_declared_early(jpeg, PhotoLimits(len(jpeg), 320 * 240)) == 320 * 240


def turned(orientation):
    """Return the pixels to store so that `orientation` makes them upright."""
    back = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    return PHOTO.transpose(back[orientation])


@pytest.mark.parametrize("orientation", range(2, 9))
@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP", "JPEG"])
def test_the_exif_orientation_is_applied(kind, orientation):
    options = {"lossless": True} if kind == "WEBP" else {"quality": 95} if kind == "JPEG" else {}
    photo = decode(saved(turned(orientation), kind, exif=exif(orientation), **options), LIMITS)
    assert (photo.width, photo.height) == photo.image.size == (320, 240)
    assert difference(photo.image, PHOTO) < 2


def test_a_jpeg_is_scaled_down_while_decoding_no_further_than_allowed():
    large = drawn_photo(1000, 800)
    photo = decode(saved(large, "JPEG", exif=exif(6)), LIMITS, decode_size=200)
    assert (photo.width, photo.height) == (800, 1000)
    assert photo.image.size == (200, 250)
    assert decode(saved(large, "JPEG"), LIMITS, decode_size=500).image.size == (1000, 800)


def grey16():
    values = np.asarray(PHOTO.convert("L"), np.uint16) * 257
    return Image.fromarray(values)


def transparent():
    layered = PHOTO.convert("RGBA")
    layered.putalpha(Image.linear_gradient("L").resize(PHOTO.size))
    return layered


def on_white(image):
    layered = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), layered).convert("RGB")


MODES = {
    "CMYK JPEG": (PHOTO.convert("CMYK"), "JPEG", {"quality": 95}, PHOTO, 3),
    "16-bit PNG": (grey16(), "PNG", {}, PHOTO.convert("L").convert("RGB"), 0.01),
    "16-bit TIFF": (grey16(), "TIFF", {}, PHOTO.convert("L").convert("RGB"), 0.01),
    "palette PNG": (PHOTO.quantize(256), "PNG", {}, PHOTO, 6),
    "RGBA PNG": (transparent(), "PNG", {}, on_white(transparent()), 0.01),
    "RGBA WebP": (transparent(), "WEBP", {"lossless": True}, on_white(transparent()), 1),
    "LA PNG": (transparent().convert("LA"), "PNG", {}, on_white(transparent().convert("LA")), 0.01),
    "grey JPEG": (
        PHOTO.convert("L"),
        "JPEG",
        {"quality": 95},
        PHOTO.convert("L").convert("RGB"),
        2,
    ),
    "one bit PNG": (PHOTO.convert("1"), "PNG", {}, PHOTO.convert("1").convert("RGB"), 0.01),
    "LAB TIFF": (Image.new("LAB", (320, 240), (128, 128, 128)), "TIFF", {}, None, 0),
    "float TIFF": (
        Image.fromarray(np.asarray(PHOTO.convert("L"), np.float32) / 255),
        "TIFF",
        {},
        PHOTO.convert("L").convert("RGB"),
        1,
    ),
    "32-bit TIFF": (
        Image.fromarray(np.asarray(PHOTO.convert("L"), np.int32) * 257),
        "TIFF",
        {},
        PHOTO.convert("L").convert("RGB"),
        0.01,
    ),
}


@pytest.mark.parametrize("name", MODES)
def test_any_mode_becomes_rgb(name):
    image, kind, options, expected, most = MODES[name]
    photo = decode(saved(image, kind, **options), LIMITS)
    assert photo.image.mode == "RGB"
    if expected is not None:
        assert difference(photo.image, expected) <= most


def test_transparency_by_colour_or_palette_becomes_white():
    colour_key = saved(Image.new("RGB", (8, 8), (1, 2, 3)), "PNG", transparency=(1, 2, 3))
    assert decode(colour_key, LIMITS).image.getpixel((4, 4)) == (255, 255, 255)
    palette = Image.new("P", (8, 8), 1)
    palette.putpalette([9, 9, 9, 7, 7, 7])
    bytes_key = saved(palette, "PNG", transparency=b"\xff\x00")
    assert decode(bytes_key, LIMITS).image.getpixel((4, 4)) == (255, 255, 255)


def test_the_first_frame_of_an_animation_is_taken():
    frames = [Image.new("RGB", (40, 30), colour) for colour in ("red", "blue")]
    data = saved(frames[0], "GIF", save_all=True, append_images=frames[1:])
    photo = decode(data, LIMITS)
    assert photo.image.getpixel((5, 5)) == (255, 0, 0)


def test_a_jpeg_with_pictures_inside_is_a_jpeg():
    data = saved(PHOTO, "MPO", save_all=True, append_images=[PHOTO])
    assert decode(data, LIMITS).format == "JPEG"


def test_warnings_of_the_decoder_do_not_reach_the_log():
    data = saved(PHOTO, "TIFF")
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        for size in range(100, len(data), 9001):
            try:
                decode(data[:size], LIMITS)
            except InvalidPhotoError:
                continue
        decode(saved(Image.new("P", (8, 8)), "PNG", transparency=b"\xff\x00"), LIMITS)
    assert seen == []


@pytest.mark.parametrize(
    "options",
    [{"quality": 80}, {"lossless": True}, {"exif": b"Exif\0\0MM\0*\0\0\0\x08\0\0\0\0\0\0"}],
    ids=["VP8", "VP8L", "VP8X"],
)
def test_a_webp_says_its_size_before_pillow_makes_room_for_it(options):
    file = BytesIO()
    Image.new("RGB", (321, 123), "red").save(file, "WEBP", **options)
    assert webp_size(file.getvalue()) == (321, 123)


def test_a_webp_that_declares_a_huge_canvas_is_refused_unopened(monkeypatch):
    file = BytesIO()
    Image.new("RGBA", (64, 64), (0, 0, 0, 0)).save(file, "WEBP", exif=b"Exif\0\0MM\0*")
    data = bytearray(file.getvalue())
    assert data[12:16] == b"VP8X"
    data[24:30] = (16382).to_bytes(3, "little") * 2
    monkeypatch.setattr(Image, "open", None)
    with pytest.raises(InvalidPhotoError, match="16,383 × 16,383"):
        declared_pixels(bytes(data), LIMITS)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_a_box_is_a_part_of_the_upright_photo(kind, orientation):
    turned = saved(drawn_photo(480, 240), kind, exif=exif(orientation))
    whole = decode(turned, LIMITS).image
    box = Box(0.25, 0.5, 0.75, 1.0)
    part = decode(turned, LIMITS, box=box)
    assert part.image.size == (whole.width // 2, whole.height // 2)
    assert (part.width, part.height) == whole.size
    assert difference(part.image, whole.crop(box.pixels(*whole.size))) == 0


def test_a_part_of_a_jpeg_is_scaled_down_no_further_than_requested():
    data = saved(drawn_photo(960, 720), "JPEG")
    assert decode(data, LIMITS, 90).image.size == (120, 90)
    assert min(decode(data, LIMITS, 90, Box(0.5, 0.5, 1, 1)).image.size) >= 90
    assert decode(data, LIMITS, 90, Box(0.4, 0.4, 0.5, 0.5)).image.size == (96, 72)


def test_a_box_of_next_to_no_pixels_is_refused():
    with pytest.raises(InvalidPhotoError, match="3 × 240 pixels of the photo's 320 × 240"):
        decode(saved(PHOTO), LIMITS, box=Box(0.5, 0, 0.51, 1))


@pytest.mark.parametrize(
    "sides",
    [(0, 0, 0, 1), (0.5, 0, 0.4, 1), (-0.1, 0, 1, 1), (0, 0, 1, 1.1), (math.nan, 0, 1, 1)],
)
def test_a_box_that_encloses_nothing_or_reaches_beyond_is_refused(sides):
    with pytest.raises(InvalidInputError, match="is no part of a photo"):
        Box(*sides)


def test_a_jpeg_of_ever_more_scans_is_refused_and_what_only_looks_like_scans_is_not():
    data = saved(drawn_photo(64, 64), "JPEG", progressive=True)
    last = data.rindex(b"\xff\xda")
    repeated = data[:-2] + data[last:-2] * 150 + b"\xff\xd9"
    with pytest.raises(InvalidPhotoError, match="scans"):
        decode(repeated, LIMITS)
    # In a comment, and behind the end, as cameras put films there.
    comment = b"\xff\xfe" + (2 + 400).to_bytes(2, "big") + b"\xff\xda" * 200
    decode(data[:2] + comment + data[2:] + b"\xff\xda" * 200, LIMITS)


def tiled_tiff(width, height, tile):
    """A grey TIFF of one tile, which may be larger than the photo and has no data."""
    tags = [
        (256, width),
        (257, height),
        (258, 8),
        (259, 1),
        (262, 1),
        (277, 1),
        (322, tile),
        (323, tile),
        (324, 8),
        (325, 0),
    ]
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4)


def test_a_tiff_whose_tiles_are_far_larger_than_the_photo_is_refused():
    with pytest.raises(InvalidPhotoError, match="tiles"):
        decode(tiled_tiff(16, 16, 1 << 16), LIMITS)
    with pytest.raises(InvalidPhotoError, match="truncated or damaged"):
        decode(tiled_tiff(16, 16, 64), LIMITS)


# Headers that would take long to read: each a little past its limit, and a little before


def segment(marker, body):
    return b"\xff" + bytes([marker]) + (len(body) + 2).to_bytes(2, "big") + body


def before_the_frame(data):
    jpeg = saved(drawn_photo(64, 64), "JPEG")
    return jpeg[:2] + data + jpeg[2:]


def chunk(kind, body):
    check = zlib.crc32(kind + body).to_bytes(4, "big")
    return len(body).to_bytes(4, "big") + kind + body + check


def in_a_png(data, place=33):
    png = saved(drawn_photo(64, 64), "PNG")
    return png[:place] + data + png[place:]


def in_a_gif(data):
    gif = saved(drawn_photo(64, 64), "GIF")
    place = 13 + 3 * 256  # the palette ends there
    return gif[:place] + data + gif[place:]


def striped_tiff(strips):
    tags = [(256, 8), (257, 8), (258, 8), (259, 1), (262, 1), (277, 1), (278, 1)]
    after = 8 + 2 + 12 * (len(tags) + 2) + 4
    entries = [(tag, 1, value) for tag, value in tags]
    entries += [(273, strips, after), (279, strips, after + 4 * strips)]
    packed = b"".join(struct.pack("<HHII", tag, 4, *rest) for tag, *rest in sorted(entries))
    numbers = struct.pack("<I", 8) * 2 * strips
    return b"II*\0" + struct.pack("<IH", 8, len(entries)) + packed + bytes(4) + numbers


HEADERS = {
    "segments": (lambda n: before_the_frame(segment(0xE3, b"") * n), 1900, 2100),
    "comments": (lambda n: before_the_frame(segment(0xFE, b"x" * 9) * n), 1900, 2100),
    "markers": (lambda n: before_the_frame(b"\xff\xd0" * n), 1900, 2100),
    "padding": (lambda n: before_the_frame(b"\xff" * n), 9000, 1_000_000),
    "tables": (lambda n: before_the_frame(segment(0xDB, (b"\0" + b"\1" * 64) * n)), 200, 300),
    "frames": (
        lambda n: before_the_frame(segment(0xC0, b"\x08\0\x10\0\x10\3" + b"\1\x11\0" * n)),
        3,
        6000,
    ),
    "EXIF": (lambda n: before_the_frame(segment(0xE1, b"Exif\0\0" + bytes(65_000)) * n), 30, 34),
    "image resources": (
        lambda n: before_the_frame(segment(0xED, b"Photoshop 3.0\0" + b"8BIM\4\4\0\0\0\0\0\0" * n)),
        1900,
        2100,
    ),
    "chunks": (lambda n: in_a_png(chunk(b"prVt", b"") * n), 2000, 6000),
    "colour profiles": (lambda n: in_a_png(chunk(b"iCCP", b"a\0\0") * n), 1, 9),
    "chunks after the pixels": (lambda n: in_a_png(chunk(b"prVt", b"") * n, -12), 20_000, 60_000),
    "blocks of a comment": (
        lambda n: in_a_gif(b"!\xfe" + (b"\xff" + b"x" * 255) * n + b"\0"),
        3000,
        6000,
    ),
    "strips": (striped_tiff, 30_000, 33_000),
}
WIDE = PhotoLimits(max_bytes=3_000_000, max_pixels=1_000_000)


@pytest.mark.parametrize("what", HEADERS)
def test_a_header_of_far_more_parts_than_a_photo_needs_is_refused(what):
    make, _, many = HEADERS[what]
    with pytest.raises(InvalidPhotoError, match=r"far more .* than a photo needs; save it again"):
        decode(make(many), WIDE)


@pytest.mark.parametrize("what", [one for one in HEADERS if one not in ("frames", "strips")])
def test_a_header_of_many_parts_is_read(what):
    make, few, _ = HEADERS[what]
    assert decode(make(few), WIDE).image.size == (64, 64)


def test_the_description_of_a_panorama_is_read():
    described = segment(0xE1, b"http://ns.adobe.com/xmp/extension/\0" + bytes(65_000)) * 40
    assert decode(before_the_frame(described), WIDE).image.size == (64, 64)


def test_more_segments_between_scans_than_a_photo_needs_are_refused():
    jpeg = saved(drawn_photo(64, 64), "JPEG", progressive=True)
    last = jpeg.rindex(b"\xff\xda")
    comment = b"\xff\xfe\0\x08" + b"\xff\xda" * 3  # looks like scans, so that they are counted
    assert decode(jpeg[:last] + comment * 90 + jpeg[last:], WIDE).image.size == (64, 64)
    with pytest.raises(InvalidPhotoError, match="far more segments"):
        decode(jpeg[:last] + comment * 2100 + jpeg[last:], WIDE)
