"""The size of the pictures inside an AVIF file, which may differ from what its boxes declare.

libavif decodes the whole picture and scales it to the declared size.
"""

from __future__ import annotations

from collections.abc import Iterator

_SEQUENCE_HEADER, _TEMPORAL_DELIMITER = 1, 2
_MOST_EXTENTS = 5000
_MOST_BOXES = 200
_HEADER_BYTES = 128


def largest_av1_picture(data: bytes) -> tuple[int, int]:
    """Return the width and height of the largest picture; 0 × 0 if there is none.

    Source: AV1 bitstream specification 5.5.1; ISO/IEC 14496-12, the box `iloc`.
    """
    sizes = [_size(data[place : place + _HEADER_BYTES]) for place in _item_places(data)]
    return max(sizes, key=lambda size: size[0] * size[1], default=(0, 0))


def _item_places(data: bytes) -> Iterator[int]:
    """Yield where the data of each item start: of its first extent in the file."""
    meta, meta_end = _box(data, 0, len(data), b"meta")
    inside = meta + 4, meta_end  # after its version
    place, end = _box(data, *inside, b"iloc")
    if end - place < 8:
        return
    version, place = data[place], place + 4
    left = _MOST_EXTENTS

    def number(size: int) -> int:
        nonlocal place
        value = int.from_bytes(data[place : place + size], "big")
        place += size
        return value

    sizes = number(2)
    offset_size, length_size, base_size = sizes >> 12, sizes >> 8 & 15, sizes >> 4 & 15
    index_size = sizes & 15 if version in {1, 2} else 0
    for _ in range(number(4 if version == 2 else 2)):
        if place >= end:
            return
        number(4 if version == 2 else 2)  # the item's id
        from_start = number(2) & 15 == 0 if version in {1, 2} else True
        number(2)
        base = number(base_size)
        for extent in range(number(2)):
            left -= 1
            if left < 0 or place >= end:
                return
            number(index_size)
            offset = number(offset_size)
            number(length_size)
            if extent == 0:
                # Data inside the box `idat` are those of the items that have no file offset.
                start = 0 if from_start else _box(data, *inside, b"idat")[0]
                yield start + base + offset


def _box(data: bytes, place: int, end: int, name: bytes) -> tuple[int, int]:
    """Return where the contents of the first box of a name start and end; an empty place if none.

    Source: ISO/IEC 14496-12, 4.2.
    """
    for _ in range(_MOST_BOXES):
        size, start = int.from_bytes(data[place : place + 4], "big"), place + 8
        if size == 1:
            size, start = int.from_bytes(data[start : start + 8], "big"), start + 8
        stop = place + size if size else end
        if place + 8 > end or stop < start:
            break
        if data[place + 4 : place + 8] == name:
            return start, min(stop, end)
        place = stop
    return end, end


def _size(start: bytes) -> tuple[int, int]:
    """Return the size in a sequence header at the start of some data; 0 × 0 if there is none."""
    place = 0
    while place + 2 < len(start):
        kind, has_size = start[place] >> 3 & 15, start[place] >> 1 & 1
        place += 2 if start[place] >> 2 & 1 else 1
        size, shift = 0, 0
        while has_size and place < len(start):
            size |= (start[place] & 127) << shift
            shift += 7
            place += 1
            if not start[place - 1] & 128:
                break
        if kind == _SEQUENCE_HEADER:
            return _sequence_size(_Bits(start[place:]))
        if kind != _TEMPORAL_DELIMITER or not has_size:
            break
        place += size
    return 0, 0


class _Bits:
    """Reads numbers from the highest bit on; zeros behind the end."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._place = 0

    def __call__(self, count: int) -> int:
        end = self._place + count
        window = self._data[self._place // 8 : -(-end // 8)]
        value = int.from_bytes(window.ljust(-(-end // 8) - self._place // 8, b"\0"), "big")
        self._place = end
        return value >> (-end % 8) & ((1 << count) - 1)


def _sequence_size(bits: _Bits) -> tuple[int, int]:
    bits(4)  # the profile, and whether it is a still picture
    if bits(1):  # the short header of those
        bits(5)
    else:
        _pass_operating_points(bits)
    width_bits, height_bits = bits(4) + 1, bits(4) + 1
    return bits(width_bits) + 1, bits(height_bits) + 1


def _pass_operating_points(bits: _Bits) -> None:
    delay_bits = 0
    if bits(1):  # times
        bits(32), bits(32)
        if bits(1):
            zeros = 0
            while zeros < 32 and not bits(1):
                zeros += 1
            bits(zeros)
        if bits(1):  # the decoder's model
            delay_bits = bits(5) + 1
            bits(32), bits(5), bits(5)
    has_delays = bits(1)
    for _ in range(bits(5) + 1):
        bits(12)
        if bits(5) > 7:
            bits(1)
        if delay_bits and bits(1):
            bits(delay_bits), bits(delay_bits), bits(1)
        if has_delays and bits(1):
            bits(4)
