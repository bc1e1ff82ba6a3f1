"""What is inside a photo: by format, by precedence, and what cannot be right."""

import io
import json
import random
import struct
import zlib
from datetime import UTC, datetime

import pytest
from PIL import Image, PngImagePlugin, TiffImagePlugin

from landmarks.photos.metadata.read import FactsWanted, Sidecar, facts_of
from tests.support import metadata
from tests.support.metadata import FACTS, PLACE, SHOT, box, directory, exif, tiff_of, xmp, xmp_list
from tests.support.photos import saved

NOW = datetime(2026, 1, 1, tzinfo=UTC)
PICTURE = Image.new("RGB", (16, 12), "red")
PACKET = xmp('xmp:Rating="4"', xmp_list("dc:subject", "tower", "night"))
USUAL = FactsWanted()
BOTH = {**FACTS, "rating": 4.0, "keywords": ["tower", "night"]}


def facts(data: bytes, *sidecars: Sidecar, wanted: FactsWanted = USUAL) -> dict:
    return facts_of(io.BytesIO(data), sidecars, wanted, NOW)


def jpeg(tags: bytes | None = None, packet: bytes | None = None, iptc: bytes = b"") -> bytes:
    options = {"exif": tags} if tags else {}
    options |= {"xmp": packet} if packet else {}
    data = saved(PICTURE, "JPEG", **options)
    return data[:2] + (metadata.photoshop(iptc) if iptc else b"") + data[2:]


def png() -> bytes:
    text = PngImagePlugin.PngInfo()
    text.add_itxt("XML:com.adobe.xmp", PACKET.decode(), zip=True)
    return saved(PICTURE, "PNG", exif=exif(), pnginfo=text)


def tiff() -> bytes:
    tags = Image.Exif()
    tags.load(exif())
    found = TiffImagePlugin.ImageFileDirectory_v2()
    found[700], found.tagtype[700] = PACKET, 1
    tags[700] = PACKET
    return saved(PICTURE, "TIFF", exif=tags)


def jp2() -> bytes:
    packet = bytes.fromhex("be7acfcb97a942e89c71999491e3afac") + PACKET
    tags = b"JpgTiffExif->JP2" + tiff_of(exif())
    return saved(PICTURE, "JPEG2000") + box(b"uuid", packet) + box(b"uuid", tags)


FILES = {
    "JPEG": lambda: jpeg(exif(), PACKET),
    "PNG": png,
    "TIFF": tiff,
    "WebP": lambda: saved(PICTURE, "WEBP", exif=exif(), xmp=PACKET),
    "AVIF": lambda: saved(PICTURE, "AVIF", exif=exif(), xmp=PACKET),
    "JPEG 2000": jp2,
    "JPEG XL": lambda: metadata.jxl(
        box(b"Exif", b"\0\0\0\0" + tiff_of(exif())), box(b"xml ", PACKET)
    ),
    "JPEG XL of a phone": lambda: metadata.jxl(
        box(b"Exif", b"\0\0\0\0" + exif()), box(b"xml ", PACKET)
    ),
    "HEIC": lambda: metadata.heif(exif(), PACKET),
    "HEIC of libheif": lambda: metadata.heif(exif(), PACKET, base=100, version=0),
    "HEIC of many items": lambda: metadata.heif(exif(), PACKET, version=2),
    "HEIC with items inside": lambda: metadata.heif(exif(), PACKET, inside=True),
    "RAF": lambda: metadata.raf(jpeg(exif(), PACKET)),
}


@pytest.mark.parametrize("kind", FILES)
def test_each_format_has_its_exif_and_its_xmp_read(kind):
    assert facts(FILES[kind]()) == BOTH


def test_a_cr3_has_its_directories_and_its_xmp_read():
    def ascii_(text: str) -> tuple[int, int, bytes]:
        return 2, len(text) + 1, text.encode() + b"\0"

    def degrees(value: float) -> tuple[int, int, bytes]:
        return 5, 3, struct.pack("<6I", round(value * 1000), 1000, 0, 1, 0, 0)

    image = {0x010F: ascii_("Canon"), 0x0110: ascii_("Canon EOS R5"), 0x010E: ascii_("A tower")}
    shot = {0x9003: ascii_(SHOT[0x9003]), 0x9011: ascii_("+02:00"), 0xA434: ascii_("50mm f/1.8")}
    where = {
        1: ascii_("N"),
        2: degrees(PLACE[0]),
        3: ascii_("E"),
        4: degrees(PLACE[1]),
    }
    data = metadata.cr3(directory(image), directory(shot), directory(where), PACKET)
    assert facts(data) == {**BOTH, "camera": "Canon EOS R5"}


@pytest.mark.parametrize("start", [b"IIRO", b"IIRS", b"IIU\0", b"MMOR"])
def test_raw_files_that_are_tiff_by_another_name_are_read(start):
    data = tiff_of(exif()) if start[:2] == b"II" else directory({0x0110: (2, 3, b"X1\0")}, ">")
    if start[:2] == b"II" and data[:2] == b"MM":
        data = directory({0x0110: (2, 3, b"X1\0")})
    assert facts(start + data[4:]).get("camera")


def test_a_photo_without_metadata_has_no_facts():
    for kind in ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "JPEG2000"):
        assert facts(saved(PICTURE, kind)) == {}
    assert facts(b"") == facts(b"not a photo") == {}


@pytest.mark.parametrize(
    ("date", "zone", "taken"),
    [
        ("2024:05:01 12:00:00", "-05:30", "2024-05-01T12:00:00-05:30"),
        ("2024:05:01 12:00:00", "Z", "2024-05-01T12:00:00Z"),
        ("2024-05-01T12:00:00", "+00:00", "2024-05-01T12:00:00Z"),
        ("2024:05:01 12:00:00", "", "2024-05-01T12:00:00Z"),
        ("2024:05:01 12:00", "", "2024-05-01T12:00:00Z"),
    ],
)
def test_a_date_is_rfc_3339_with_its_zone_or_says_that_none_is_known(date, zone, taken):
    found = facts(jpeg(exif({0x9003: date, 0x9011: zone}, None)))
    assert found["taken"] == taken
    assert found.get("taken_zone") == (None if zone else "unknown")


@pytest.mark.parametrize(
    ("tags", "place", "problem"),
    [
        ({0x9003: "0000:00:00 00:00:00"}, None, "not a date"),
        ({0x9003: "2024:02:30 12:00:00"}, None, "not a date"),
        ({0x9003: "2087:05:01 12:00:00"}, None, "to come"),
        ({0x9003: "1024:05:01 12:00:00"}, None, "before photography"),
        ({0x9003: "last summer"}, None, "not a date"),
        ({}, (50.895, 200.0), "outside"),
        ({}, (-91.0, 4.0), "outside"),
        ({}, (0.0, 0.0), "without a signal"),
        ({0x4746: 99}, None, "rating"),
    ],
)
def test_a_value_that_cannot_be_right_is_a_note_and_not_stored(tags, place, problem):
    found = facts(jpeg(exif({0x010F: "Canon", **tags}, place)))
    assert problem in found.pop("metadata_problem")
    assert found == {"camera": "Canon"}


def test_a_zone_that_no_place_has_is_a_note_and_the_date_stays():
    found = facts(jpeg(exif({0x9003: "2024:05:01 12:00:00", 0x9011: "+77:00"}, None)))
    assert (found["taken"], found["taken_zone"]) == ("2024-05-01T12:00:00Z", "unknown")
    assert "+77:00" in found["metadata_problem"]


def test_a_blank_date_is_unknown_without_a_note():
    assert facts(jpeg(exif({0x9003: "    :  :     :  :  "}, None))) == {}


def test_the_southern_and_western_halves_are_negative():
    assert facts(jpeg(exif({}, (-22.9519, -43.2105)))) == {
        "place": {"lat": -22.9519, "lon": -43.2105}
    }


@pytest.mark.parametrize(
    ("make", "model", "camera"),
    [
        ("NIKON CORPORATION", "NIKON D750", "NIKON D750"),
        ("Canon", "Canon EOS 80D", "Canon EOS 80D"),
        ("Apple", "iPhone 15", "Apple iPhone 15"),
        ("OLYMPUS IMAGING CORP.  ", "E-M1", "OLYMPUS E-M1"),
        ("Konica Minolta Camera, Inc.", "DiMAGE A2", "Konica Minolta DiMAGE A2"),
        ("EASTMAN KODAK COMPANY", "KODAK DX4900", "KODAK DX4900"),
        ("samsung", "", "samsung"),
        ("", "ILCE-7M3", "ILCE-7M3"),
    ],
)
def test_a_camera_is_named_by_maker_and_model_once(make, model, camera):
    assert facts(jpeg(exif({0x010F: make, 0x0110: model}, None)))["camera"] == camera


def test_exif_comes_before_xmp_before_iptc_and_for_keywords_xmp_before_iptc():
    packet = xmp(
        'exif:DateTimeOriginal="2001-01-01" tiff:Model="X" exif:GPSLatitude="1,2.5N"'
        ' exif:GPSLongitude="3,4,30W"',
        xmp_list("dc:description", "of the XMP", kind="Alt") + xmp_list("dc:subject", "xmp"),
    )
    block = metadata.iptc((25, b"iptc"), (120, "d'été".encode()), (55, b"19990101"))
    assert facts(jpeg(exif(), packet, block)) == {**FACTS, "keywords": ["xmp"]}
    assert facts(jpeg(None, packet, block)) == {
        "taken": "2001-01-01T00:00:00Z",
        "taken_zone": "unknown",
        "camera": "X",
        "place": {"lat": 1.0416667, "lon": -3.075},
        "caption": "of the XMP",
        "keywords": ["xmp"],
    }
    assert facts(jpeg(None, None, block)) == {
        "taken": "1999-01-01T00:00:00Z",
        "taken_zone": "unknown",
        "caption": "d'été",
        "keywords": ["iptc"],
    }


def test_the_time_of_a_change_is_the_last_resort():
    assert facts(jpeg(exif({0x0132: "2020:01:01 10:00:00"}, None)))["taken"][:4] == "2020"
    changed = exif({0x0132: "2020:01:01 10:00:00"}, None)
    packet = xmp('photoshop:DateCreated="1985"')
    assert facts(jpeg(changed, packet))["taken"] == "1985-01-01T00:00:00Z"


def test_the_description_in_the_default_language_is_the_caption():
    words = (
        "<dc:description><rdf:Alt><rdf:li xml:lang='fr'>tour</rdf:li>"
        "<rdf:li xml:lang='x-default'>tower</rdf:li></rdf:Alt></dc:description>"
    )
    assert facts(jpeg(None, xmp("", words))) == {"caption": "tower"}


def test_what_cameras_write_as_description_is_no_caption():
    assert facts(jpeg(exif({0x010E: "OLYMPUS DIGITAL CAMERA         "}, None))) == {}


def test_a_sidecar_of_xmp_comes_before_the_file():
    packet = xmp('xmp:Rating="5"', xmp_list("dc:description", "edited", kind="Alt"))
    assert facts(jpeg(exif(), PACKET), Sidecar("a.xmp", packet)) == {
        **BOTH,
        "rating": 5.0,
        "caption": "edited",
    }


def test_googles_json_fills_what_the_file_lacks():
    beside = {
        "title": "a.jpg",
        "description": "A day out",
        "photoTakenTime": {"timestamp": "1714557600"},
        "geoData": {"latitude": 50.895, "longitude": 4.341, "altitude": 0.0},
        "people": [{"name": "Somebody"}],
    }
    sidecar = Sidecar("a.jpg.supplemental-metadata.json", json.dumps(beside).encode())
    assert facts(jpeg(), sidecar) == {
        "taken": "2024-05-01T10:00:00Z",
        "place": FACTS["place"],
        "caption": "A day out",
    }
    assert facts(jpeg(exif()), sidecar) == FACTS
    beside["geoData"] = {"latitude": 0.0, "longitude": 0.0}
    nowhere = Sidecar("a.json", json.dumps(beside).encode())
    assert set(facts(jpeg(), nowhere)) == {"taken", "caption"}
    for timestamp in ("-5000000000000", "1e5", "99999999999999999999", None, [1]):
        beside["photoTakenTime"] = {"timestamp": timestamp}
        found = facts(jpeg(), Sidecar("a.json", json.dumps(beside).encode()))
        assert "taken" not in found, timestamp


def test_places_and_serials_are_left_out_where_they_are_not_wanted():
    packet = xmp('exif:GPSLatitude="1,2N" exif:GPSLongitude="3,4E"')
    json_ = b'{"geoData": {"latitude": 1.5, "longitude": 2.5}}'
    beside = (Sidecar("a.xmp", packet), Sidecar("a.json", json_))
    found = facts(jpeg(exif(), packet), *beside, wanted=FactsWanted(places=False))
    assert set(found) == FACTS.keys() - {"place"}
    assert "4711" not in str(facts(jpeg(exif())))
    assert facts(jpeg(exif()), wanted=FactsWanted(serials=True))["serial"] == "4711"


def test_what_cannot_be_read_of_a_sidecar_is_a_note_and_the_file_is_read():
    entities = b'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">]>' + xmp()
    for sidecar, problem in (
        (Sidecar("a.xmp", entities), "a.xmp: the XMP has a document type"),
        (Sidecar("a.xmp", b"<x"), "a.xmp: the XMP cannot be read"),
        (Sidecar("a.xmp", b"<a>" * 5000), "more elements"),
        (Sidecar("a.json", b"[" * 100_000), "a.json: the JSON cannot be read"),
        (Sidecar("a.json", b"\xff"), "a.json: the JSON cannot be read"),
        (Sidecar("a.xmp", problem="it is gone"), "a.xmp: it is gone"),
    ):
        found = facts(jpeg(exif()), sidecar)
        assert problem in found.pop("metadata_problem")
        assert found == FACTS


def test_compressed_metadata_of_a_jpeg_xl_are_a_note():
    found = facts(metadata.jxl(box(b"brob", b"Exif" + b"\x0b\0\x80")))
    assert "Brotli" in found["metadata_problem"]


def test_damaged_exif_is_a_note_and_the_xmp_is_read():
    found = facts(jpeg(b"Exif\0\0nothing of the kind", PACKET))
    assert "EXIF" in found.pop("metadata_problem")
    assert found == {"rating": 4.0, "keywords": ["tower", "night"]}


class CountingReads(io.BytesIO):
    """A file that counts how often it is read, and how many bytes."""

    calls = size = 0

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        self.calls += 1
        self.size += len(data)
        return data


def test_the_pixels_of_a_file_are_not_read():
    noise = Image.frombytes("RGB", (600, 600), random.Random(1).randbytes(600 * 600 * 3))
    for kind in ("JPEG", "PNG", "WEBP", "TIFF", "AVIF"):
        file = CountingReads(saved(noise, kind, exif=exif()))
        assert facts_of(file, (), USUAL, NOW) == FACTS, kind
        assert file.size < 20_000 < len(file.getvalue()), kind


@pytest.mark.parametrize("kind", FILES)
def test_files_that_are_cut_or_damaged_never_fail_and_are_read_in_few_calls(kind):
    whole = FILES[kind]()
    generator = random.Random(kind)
    damaged = [whole[: len(whole) * n // 60] for n in range(60)]
    for _ in range(200):
        data = bytearray(whole)
        for _ in range(generator.choice((1, 4, 30))):
            data[generator.randrange(len(data))] = generator.choice((0, 1, 127, 255))
        damaged.append(bytes(data))
    for data in damaged:
        file = CountingReads(data)
        found = facts_of(file, (), FactsWanted(serials=True), NOW)
        assert (
            "cannot be read: " not in found.get("metadata_problem", "")
            or "XMP" in found["metadata_problem"]
        ), "only what the parsers themselves refuse"
        assert file.calls < 5000


@pytest.mark.parametrize(
    "data",
    [
        b"\xff\xd8" + b"\xff\xe1\0\x02" * 200_000,
        b"\xff\xd8\xff" + b"\xff" * 1_000_000,
        b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sI", 0, b"IDAT", 0) * 100_000,
        b"RIFF\xff\xff\xff\xffWEBP" + b"ANMF\0\0\0\0" * 100_000,
        box(b"ftyp", b"heic") + box(b"free", b"") * 100_000,
        box(b"ftyp", b"heic") + box(b"meta", b"\0" * 4 + b"\0\0\0\x08free" * 300_000),
        directory({0x8769: (4, 1, b"\x08\0\0\0")}) * 2,
        b"II*\0\x08\0\0\0" + b"\xff" * 1_000_000,
    ],
)
def test_files_of_endless_parts_are_followed_only_so_far(data):
    file = CountingReads(data)
    found = facts_of(file, (), USUAL, NOW)
    assert set(found) <= {"metadata_problem"}
    assert file.calls < 11_000
    assert file.size < 6_000_000


def test_xmp_that_unpacks_to_far_more_is_a_note():
    text = b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(b" " * 50_000_000)
    chunk = struct.pack(">I4s", len(text), b"iTXt") + text + struct.pack(">I", zlib.crc32(text))
    found = facts(saved(PICTURE, "PNG")[:33] + chunk)
    assert "more than 4194304 bytes" in found["metadata_problem"]
