"""Which RAW format some bytes are, if any. To be asked before Pillow, which opens its thumbnail."""

from __future__ import annotations

from collections.abc import Sequence

from landmarks.photos.file_kinds import isobmff_kind
from landmarks.photos.tiff_directories import Directory, is_reduced, tiff_directories

_STARTS = {
    b"FUJIFILMCCD-RAW": "RAF",
    b"II\x1a\0\0\0HEAPCCDR": "CRW",
    b"IIRO": "ORF",
    b"IIRS": "ORF",
    b"MMOR": "ORF",
    b"IIU\0": "RW2",
}
_TIFF_STARTS = (b"II*\0", b"MM\0*")
_COMPRESSION, _PHOTOMETRIC, _MAKE = 259, 262, 271
_DNG_VERSION, _KODAK_DIRECTORY = 50706, 65024
_COLOUR_FILTERS, _LINEAR_RAW = 32803, 34892
# Sony's, Samsung's, Nikon's, Kodak's and Pentax's own.
_RAW_COMPRESSIONS = frozenset({32767, 32769, 32770, 34713, 65000, 65535})
_MAKERS = {"NIKON": "NEF", "SONY": "ARW", "EASTMAN": "KDC", "KODAK": "KDC"}


def raw_kind(data: bytes, directories: Sequence[Directory] | None = None) -> str:
    """Return "DNG", "CR2", …, "RAW" for a maker that has no name here; "" if it is no RAW file."""
    for start, name in _STARTS.items():
        if data.startswith(start):
            return name
    if isobmff_kind(data) == "CR3":
        return "CR3"
    if data[:4] not in _TIFF_STARTS:
        return ""
    if data[8:10] == b"CR" and data[:2] == b"II":
        return "CR2"
    found = tiff_directories(data) if directories is None else directories
    if any(_DNG_VERSION in one.counts for one in found):
        return "DNG"
    if not (any(map(_is_raw, found)) or _only_thumbnails(found)):
        return ""
    maker = next((one.texts[_MAKE] for one in found if one.texts.get(_MAKE)), "").upper()
    return next((name for start, name in _MAKERS.items() if maker.startswith(start)), "RAW")


def _is_raw(directory: Directory) -> bool:
    return (
        directory.number(_PHOTOMETRIC) in {_COLOUR_FILTERS, _LINEAR_RAW}
        or directory.number(_COMPRESSION) in _RAW_COMPRESSIONS
        or _KODAK_DIRECTORY in directory.counts
    )


def _only_thumbnails(found: Sequence[Directory]) -> bool:
    pages = [one for one in found if one.is_page]
    return bool(pages) and all(map(is_reduced, pages))
