"""Figure 5: photos with metadata beside the same photos without."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from PIL import Image

from benchmarks.harness import (
    Bench,
    CannotMeasureError,
    Case,
    Measurement,
    in_turn,
    ratios,
    typical,
)
from benchmarks.index.stack import IndexStack, index_stack
from benchmarks.serve.loads import batches

# Of an encoder's work, a measurement.
_SECONDS = 15.0
_LEAST_PHOTOS = 64
_XMP = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/">'
    '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description'
    ' rdf:about="" xmlns:xmp="http://ns.adobe.com/xap/1.0/"'
    ' xmlns:dc="http://purl.org/dc/elements/1.1/" xmp:Rating="4">'
    "<dc:subject><rdf:Bag><rdf:li>tower</rdf:li><rdf:li>night</rdf:li></rdf:Bag></dc:subject>"
    "</rdf:Description></rdf:RDF></x:xmpmeta>"
)


def case(model: str) -> Case:
    """Return the figure `index-5` of a model."""
    return Case({f"index-5-{model}": ">= 0.95"}, partial(_measure, model))


def _measure(model: str, bench: Bench) -> Mapping[str, Measurement]:
    with index_stack(model, bench.photos, 0) as stack:
        count = _LEAST_PHOTOS
        if not bench.effort.quick:
            rate = batches(bench, stack.encoder_target, model).rate()
            count = max(_LEAST_PHOTOS, round(rate * _SECONDS))
        plain, tagged = stack.photos / "plain", stack.photos / "tagged"
        _fill(plain, bench.photos, count, b"")
        _fill(tagged, bench.photos, count, _metadata())
        names = iter(f"g{number}" for number in range(1000))
        with_it, without = in_turn(
            bench.effort.repetitions,
            lambda: _rate(stack, next(names), tagged),
            lambda: _rate(stack, next(names), plain),
        )
    return {
        f"index-5-{model}": Measurement(
            ratios(with_it, without),
            f"{count} JPEG, as `index-1`; with EXIF (time, zone, camera, lens, place) and XMP"
            f" (rating, keywords): {typical(with_it, 'photos/s')}; without:"
            f" {typical(without, 'photos/s')}",
        )
    }


def _rate(stack: IndexStack, gallery: str, folder: Path) -> float:
    job, seconds = stack.index(gallery, folder)
    [progress] = job.progress
    return progress.encoded / seconds


def _fill(folder: Path, photos: Sequence[Path], count: int, segments: bytes) -> None:
    """Write so many JPEGs of different bytes, each with these segments at its beginning."""
    data = [photo.read_bytes() for photo in photos if photo.suffix.lower() in (".jpg", ".jpeg")]
    if not data:
        raise CannotMeasureError("there is no JPEG among the photos")
    folder.mkdir()
    for number in range(count):
        one = data[number % len(data)]
        path = folder / f"{number:06}.jpg"
        path.write_bytes(one[:2] + segments + one[2:] + number.to_bytes(8))


def _metadata() -> bytes:
    exif = Image.Exif()
    exif[0x010F], exif[0x0110] = "NIKON CORPORATION", "NIKON D750"
    shot, place = exif.get_ifd(0x8769), exif.get_ifd(0x8825)
    shot[0x9003], shot[0x9011], shot[0xA434] = "2024:05:01 12:00:00", "+02:00", "50mm f/1.8"
    place[1], place[2], place[3], place[4] = "N", (50.0, 53.0, 42.0), "E", (4.0, 20.0, 27.6)
    packet = b"http://ns.adobe.com/xap/1.0/\0" + _XMP.encode() + b" " * 2048
    return b"".join(
        b"\xff\xe1" + struct.pack(">H", len(one) + 2) + one for one in (exif.tobytes(), packet)
    )
