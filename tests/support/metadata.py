"""EXIF, XMP and IPTC for tests, and containers that Pillow does not write them into."""

import struct
from collections.abc import Mapping
from fractions import Fraction
from uuid import UUID

from PIL import Image

# ImageDescription, Make, Model, DateTimeOriginal, OffsetTimeOriginal, BodySerialNumber, LensModel
SHOT = {
    0x010E: "A tower",
    0x010F: "NIKON CORPORATION",
    0x0110: "NIKON D750",
    0x9003: "2024:05:01 12:00:00",
    0x9011: "+02:00",
    0xA431: "4711",
    0xA434: "50mm f/1.8",
}
PLACE = (50.895, 4.341)
FACTS = {
    "taken": "2024-05-01T12:00:00+02:00",
    "camera": "NIKON D750",
    "lens": "50mm f/1.8",
    "caption": "A tower",
    "place": {"lat": 50.895, "lon": 4.341},
}
_RDF = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/">'
    '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description'
    ' rdf:about="" xmlns:xmp="http://ns.adobe.com/xap/1.0/"'
    ' xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:exif="http://ns.adobe.com/exif/1.0/"'
    ' xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/"'
    ' xmlns:tiff="http://ns.adobe.com/tiff/1.0/" {}>{}</rdf:Description></rdf:RDF></x:xmpmeta>'
)


def exif(tags: Mapping[int, object] = SHOT, place: tuple[float, float] | None = PLACE) -> bytes:
    """Return EXIF as Pillow takes it, with `Exif` in front; latitude and longitude in degrees."""
    data = Image.Exif()
    for tag, value in tags.items():
        if tag >= 0x8000:
            data.get_ifd(0x8769)[tag] = value
        else:
            data[tag] = value
    if place is not None:
        where = data.get_ifd(0x8825)
        for tag, letters, degrees in ((1, "NS", place[0]), (3, "EW", place[1])):
            where[tag] = letters[degrees < 0]
            seconds = Fraction(round(abs(degrees) * 3_600_000), 1000)
            where[tag + 1] = (seconds // 3600, seconds // 60 % 60, seconds % 60)
    return data.tobytes()


def tiff_of(data: bytes) -> bytes:
    """Return EXIF as a TIFF, without the `Exif` in front."""
    return data.removeprefix(b"Exif\0\0")


def xmp(attributes: str = "", elements: str = "") -> bytes:
    """Return a packet of XMP with attributes and elements of its description."""
    return _RDF.format(attributes, elements).encode()


def xmp_list(name: str, *values: str, kind: str = "Bag") -> str:
    """Return an element of XMP that holds a list."""
    items = "".join(f"<rdf:li>{value}</rdf:li>" for value in values)
    return f"<{name}><rdf:{kind}>{items}</rdf:{kind}></{name}>"


def iptc(*parts: tuple[int, bytes]) -> bytes:
    """Return IPTC of parts of its second record."""
    return b"".join(struct.pack(">BBBH", 0x1C, 2, kind, len(data)) + data for kind, data in parts)


def photoshop(data: bytes) -> bytes:
    """Return a segment of a JPEG with IPTC in Photoshop's image resources."""
    resource = b"8BIM\x04\x25\x01a" + struct.pack(">I", 1) + b"x\0"  # another, with a name
    resource += b"8BIM\x04\x04\0\0" + struct.pack(">I", len(data)) + data
    contents = b"Photoshop 3.0\0" + resource
    return b"\xff\xed" + struct.pack(">H", len(contents) + 2) + contents


def box(kind: bytes, contents: bytes) -> bytes:
    """Return a box, as files of ISO 14496-12 consist of."""
    return struct.pack(">I", len(contents) + 8) + kind + contents


def jxl(*boxes_: bytes) -> bytes:
    """Return the container of a JPEG XL, without a picture."""
    start = box(b"JXL ", b"\r\n\x87\n") + box(b"ftyp", b"jxl \0\0\0\0jxl ")
    return start + box(b"jxlc", b"\xff\x0a") + b"".join(boxes_)


def heif(
    tags: bytes, packet: bytes, *, base: int = 0, version: int = 1, inside: bool = False
) -> bytes:
    """Return a HEIC with EXIF and XMP as items, without a picture.

    `base` is part of where they are, in the version 0 to 2 of `iloc`; `inside` the `meta` box.
    """
    tags = struct.pack(">I", 6) + tags
    wide = ">I" if version == 2 else ">H"

    def described(number: int, kind: bytes) -> bytes:
        return box(b"infe", b"\2\0\0\0" + struct.pack(">HH", number, 0) + kind)

    def placed(number: int, place: int, size: int) -> bytes:
        method = struct.pack(">H", int(inside)) if version else b""
        extent = (struct.pack(">I", 0) if version else b"") + struct.pack(">II", place - base, size)
        return struct.pack(wide, number) + method + struct.pack(">HIH", 0, base, 1) + extent

    start = box(b"ftyp", b"heic\0\0\0\0mif1heic")
    items = b"\0\0\0\0\0\3" + described(1, b"hvc1\0") + described(2, b"Exif\0")
    items += described(3, b"mime\0application/rdf+xml\0")
    place = 0

    def meta() -> bytes:
        sizes = b"\x44\x44" if version else b"\x44\x40"
        places = bytes([version, 0, 0, 0]) + sizes + struct.pack(wide, 2)
        places += placed(3, place + len(tags), len(packet)) + placed(2, place, len(tags))
        parts = box(b"hdlr", b"\0" * 24) + box(b"iloc", places) + box(b"iinf", items)
        if inside:
            parts += box(b"idat", tags + packet)
        return box(b"meta", b"\0\0\0\0" + parts)

    if not inside:
        place = base  # any that can be written: it changes no size
        place = len(start) + len(meta()) + 8
    return start + meta() + (b"" if inside else box(b"mdat", tags + packet))


def cr3(image: bytes, shot: bytes, place: bytes, packet: bytes) -> bytes:
    """Return the metadata of a CR3, of TIFFs with one directory each."""
    canon = UUID("85c0b687-820f-11e0-8111-f4ce462b6a48").bytes
    parts = box(b"CNCV", b"x") + box(b"CMT1", image) + box(b"CMT2", shot) + box(b"CMT4", place)
    in_packet = UUID("be7acfcb-97a9-42e8-9c71-999491e3afac").bytes + packet
    movie = box(b"moov", box(b"uuid", canon + parts) + box(b"mvhd", b"\0" * 100))
    return box(b"ftyp", b"crx \0\0\0\1crx isom") + movie + box(b"uuid", in_packet)


def raf(jpeg: bytes) -> bytes:
    """Return the header of a RAF, and its preview."""
    head = b"FUJIFILMCCD-RAW 0201".ljust(84, b"\0") + struct.pack(">II", 148, len(jpeg))
    return head.ljust(148, b"\0") + jpeg


def directory(tags: Mapping[int, tuple[int, int, bytes]], order: str = "<") -> bytes:
    """Return a TIFF of one directory; a tag has a kind, a count and bytes."""
    start = b"II*\0" if order == "<" else b"MM\0*"
    place = 8 + 2 + 12 * len(tags) + 4
    entries, values = b"", b""
    for tag, (kind, count, data) in sorted(tags.items()):
        value = data.ljust(4, b"\0")
        if len(data) > 4:
            value = struct.pack(order + "I", place + len(values))
            values += data
        entries += struct.pack(order + "HHI", tag, kind, count) + value
    count = struct.pack(order + "H", len(tags))
    return start + struct.pack(order + "I", 8) + count + entries + b"\0\0\0\0" + values
