"""Which kind of file some bytes are, by their first ones; video is refused as such."""

from __future__ import annotations

from landmarks.errors import InvalidPhotoError

JXL_STREAM = b"\xff\x0a"
JXL_CONTAINER = b"\0\0\0\x0cJXL \r\n\x87\n"
_HEIF_BRANDS = frozenset(
    {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"}
)
_AVIF_BRANDS = frozenset({b"avif", b"avis"})
_MOST_BRANDS_BYTES = 256
_VIDEOS = {
    b"\x1a\x45\xdf\xa3": "Matroska or WebM",
    b"\x30\x26\xb2\x75\x8e\x66\xcf\x11": "Windows Media",
    b"\0\0\x01\xba": "MPEG",
    b"\0\0\x01\xb3": "MPEG",
    b"FLV\x01": "Flash",
}
_OLD_QUICKTIME = frozenset({b"moov", b"mdat", b"wide"})
_TRANSPORT_PACKET = 188


def isobmff_kind(data: bytes) -> str:
    """Return "HEIF", "AVIF" or "CR3" for such a file; "" for any other.

    Source: ISO/IEC 14496-12 (the box `ftyp`), 23008-12, AV1 Image File Format.
    """
    if data[4:8] != b"ftyp":
        return ""
    end = min(int.from_bytes(data[:4], "big"), _MOST_BRANDS_BYTES)
    major = data[8:12]
    brands = {data[place : place + 4] for place in range(16, end, 4)} | {major}
    if major == b"crx ":
        return "CR3"
    if major in _AVIF_BRANDS or (major in {b"mif1", b"msf1"} and brands & _AVIF_BRANDS):
        return "AVIF"
    return "HEIF" if brands & _HEIF_BRANDS else ""


def refuse_video(data: bytes) -> None:
    """Raise InvalidPhotoError if the bytes are a video's. To be asked when they are no photo's."""
    if name := _video(data):
        raise InvalidPhotoError(
            f"the file is a video ({name}), not a photo; send a photo, such as a frame of it saved"
            " as JPEG"
        )


def _video(data: bytes) -> str:
    if data[4:8] == b"ftyp":
        return "QuickTime" if data[8:12] == b"qt  " else "MP4"
    if data[4:8] in _OLD_QUICKTIME:
        return "QuickTime"
    if data[:4] == b"RIFF" and data[8:12] == b"AVI ":
        return "AVI"
    for start in (0, 4):  # cameras put a time of four bytes before each packet
        packet = _TRANSPORT_PACKET + start
        if len(data) > 3 * packet and all(data[start + n * packet] == 0x47 for n in range(3)):
            return "MPEG transport stream"
    return next((name for start, name in _VIDEOS.items() if data.startswith(start)), "")
