"""Names in zip files as their makers meant them.

A zip file says of a name that it is UTF-8, or nothing (APPNOTE.TXT 6.3.10, appendix D). Of the
latter, Python's `zipfile` takes all for code page 437; macOS writes UTF-8, old Unix its locale,
and some tools of Windows backslashes.
"""

from __future__ import annotations

import struct
import zlib
from zipfile import ZipInfo

_IS_UTF8 = 0x800
_UNIX, _MACOS = 3, 19
_UNICODE_PATH = 0x7075  # an extra field with the name in UTF-8 (Info-ZIP)


def readable_name(member: ZipInfo) -> str:
    """Return a member's name in the likeliest encoding, with `/` between folders.

    The name that `zipfile` has, and opens the member by, stays what identifies the photo.
    """
    name = member.filename
    if not member.flag_bits & _IS_UTF8:
        name = _guessed(member)
    return name if "/" in name else name.replace("\\", "/")


def _guessed(member: ZipInfo) -> str:
    stored = member.orig_filename.encode("cp437", "replace")
    if (stated := _unicode_path(member.extra, stored)) is not None:
        return stated
    stored = stored.partition(b"\0")[0]  # as `zipfile` has it
    try:
        return stored.decode()  # text of another encoding is hardly ever valid UTF-8
    except UnicodeDecodeError:
        by_unix = member.create_system in (_UNIX, _MACOS)
        return stored.decode("cp1252", "replace") if by_unix else member.filename


def _unicode_path(extra: bytes, stored: bytes) -> str | None:
    """Return the name in the extra field for it, unless the member was renamed since."""
    while len(extra) > 4:
        kind, length = struct.unpack_from("<HH", extra)
        data, extra = extra[4 : 4 + length], extra[4 + length :]
        if kind == _UNICODE_PATH and len(data) > 5 and data[0] == 1:
            if struct.unpack_from("<I", data, 1)[0] != zlib.crc32(stored):
                return None
            try:
                return data[5:].decode().partition("\0")[0]
            except UnicodeDecodeError:
                return None
    return None
