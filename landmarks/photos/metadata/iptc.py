"""Facts in IPTC. Sources: IPTC's Information Interchange Model 4, Photoshop's image resources."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime

from landmarks.photos.metadata.facts import Facts, caption_of, keywords_of
from landmarks.photos.metadata.values import offer_date

_MARK = 0x1C
_CHARACTERS, _UTF_8 = (1, 90), b"\x1b%G"
_KEYWORD, _DATE, _TIME, _CAPTION = (2, 25), (2, 55), (2, 60), (2, 120)
_WANTED = frozenset({_CHARACTERS, _KEYWORD, _DATE, _TIME, _CAPTION})
_RESOURCE, _IPTC = b"8BIM", 0x0404
_MOST_PARTS = 5000

Iptc = Mapping[tuple[int, int], list[str]]


def iptc_in_photoshop(resources: bytes) -> bytes:
    """Return the IPTC in Photoshop's image resources, or nothing."""
    place = 0
    for _ in range(_MOST_PARTS):
        if resources[place : place + 4] != _RESOURCE:
            break
        kind = int.from_bytes(resources[place + 4 : place + 6], "big")
        name = resources[place + 6 : place + 7]
        place += 6 + (2 + name[0] & ~1 if name else 2)
        size = int.from_bytes(resources[place : place + 4], "big")
        if kind == _IPTC:
            return resources[place + 4 : place + 4 + size]
        place += 4 + (size + 1 & ~1)
    return b""


def read_iptc(data: bytes) -> Iptc:
    """Return the texts that facts are read from, by record and number; what is damaged, not."""
    found: defaultdict[tuple[int, int], list[bytes]] = defaultdict(list)
    place = 0
    for _ in range(_MOST_PARTS):
        if len(data) < place + 5 or data[place] != _MARK:
            break
        key = data[place + 1], data[place + 2]
        size = int.from_bytes(data[place + 3 : place + 5], "big")
        place += 5
        if size & 0x8000:  # the size of the size
            length = min(size & 0x7FFF, 8)
            size = int.from_bytes(data[place : place + length], "big")
            place += length
        if key in _WANTED:
            found[key].append(data[place : place + size])
        place += size
    is_utf_8 = found.get(_CHARACTERS) == [_UTF_8]
    return {key: [_decoded(one, is_utf_8) for one in parts] for key, parts in found.items()}


def offer_iptc(facts: Facts, iptc: Iptc, now: datetime) -> None:
    """Offer the facts."""
    date, time = (iptc.get(key, [""])[0] for key in (_DATE, _TIME))
    if len(date) == 8:
        date = f"{date[:4]}-{date[4:6]}-{date[6:]}"
        if len(time) >= 6:
            date += f"T{time[:2]}:{time[2:4]}:{time[4:6]}{time[6:]}"
    offer_date(facts, "DateCreated", date, "", now)
    facts.offer("caption", lambda: caption_of("".join(iptc.get(_CAPTION, [])[:1])))
    facts.offer("keywords", lambda: keywords_of(iptc.get(_KEYWORD, [])))


def _decoded(data: bytes, is_utf_8: bool) -> str:
    try:  # most programs write UTF-8, and half of them say so
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("utf-8" if is_utf_8 else "cp1252", "replace")
