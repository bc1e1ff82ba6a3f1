"""The limits of one request to an encoder."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from landmarkapi.encoder.v1 import encoder_pb2 as pb
from landmarks.rpc.channel import MAX_MESSAGE_BYTES

# For an encoder that states no limit.
_DEFAULT_PHOTO_BYTES = 20 * 1024 * 1024
_DEFAULT_BATCH_PHOTOS = 32
# Of several photos: more in one request gain nothing, and take memory at both ends.
_BATCH_BYTES = 64 * 1024 * 1024
# Besides the photos' bytes: names, and some bytes per photo.
_OVERHEAD_BYTES = 64 * 1024


@dataclass(frozen=True)
class RequestLimits:
    """The most that one request to an encoder may hold; `total_bytes` is of several photos.

    A photo that has more goes alone.
    """

    photo_bytes: int
    photos: int
    total_bytes: int

    def parts(self, sizes: Sequence[int]) -> Iterator[slice]:
        """Yield the slices of photos of these sizes in bytes that fit one request each.

        A photo that is too large for a request with others goes alone.
        """
        start, total = 0, 0
        for place, size in enumerate(sizes):
            if place > start and not self.holds(place - start + 1, total + size):
                yield slice(start, place)
                start, total = place, 0
            total += size
        if sizes:
            yield slice(start, len(sizes))

    def holds(self, photos: int, total_bytes: int) -> bool:
        """Say whether a request with so many photos and bytes is accepted."""
        return photos <= self.photos and total_bytes <= self.total_bytes


def request_limits(limits: pb.InputLimits) -> RequestLimits:
    """Return the limits of a request, by the encoder's own and the caps on messages."""
    total = min(limits.max_request_bytes or MAX_MESSAGE_BYTES, MAX_MESSAGE_BYTES) - _OVERHEAD_BYTES
    return RequestLimits(
        photo_bytes=min(limits.max_photo_bytes or _DEFAULT_PHOTO_BYTES, total),
        photos=limits.max_batch_photos or _DEFAULT_BATCH_PHOTOS,
        total_bytes=min(total, _BATCH_BYTES - _OVERHEAD_BYTES),
    )
