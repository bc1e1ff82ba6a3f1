"""A photo's bytes, which a library may read in so many calls and no more."""

from __future__ import annotations

from io import BytesIO

from landmarks.errors import InvalidPhotoError


class BoundedReads(BytesIO):
    """The bytes of a file. Raises InvalidPhotoError once it is read in too many small pieces.

    Pillow's parsers are loops in Python, with some calls for each segment, chunk, block or tag, and
    one call for each byte that belongs to none. So the number of calls bounds how long they take,
    whatever the format.
    """

    def __init__(self, data: bytes, calls: int) -> None:
        super().__init__(data)
        self._calls = calls

    def allow(self, calls: int) -> None:
        """Allow so many calls from now on."""
        self._calls = calls

    def read(self, size: int | None = -1, /) -> bytes:
        """Read as any file."""
        self._calls -= 1
        if self._calls < 0:
            raise InvalidPhotoError(
                "the photo's file consists of far more parts than a photo needs; save it again"
                " from an image editor"
            )
        return super().read(size)
