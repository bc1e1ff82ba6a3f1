"""How large a photo may be, and the settings that say so."""

from __future__ import annotations

from dataclasses import dataclass

from landmarks.errors import InvalidPhotoError

MAX_PHOTO_BYTES_SETTING = "LANDMARKS_MAX_PHOTO_BYTES"
# A phone of 200 megapixels, and panoramas of 20,000 × 3,000.
DEFAULT_MAX_PHOTO_PIXELS = 250_000_000
# What decoding one photo may take at a time, in bytes; an encoder's container has 2 GiB.
DEFAULT_MAX_DECODING_BYTES = 1 << 30


@dataclass(frozen=True)
class PhotoLimits:
    """Most bytes of a file, most pixels that its header may declare, most bytes to decode it.

    `pixels_setting` is the one that raises the pixels, for messages.
    """

    max_bytes: int
    max_pixels: int
    pixels_setting: str = "LANDMARKS_MAX_PHOTO_PIXELS"
    max_decoding_bytes: int = DEFAULT_MAX_DECODING_BYTES
    decoding_setting: str = "LANDMARKS_MAX_DECODING_BYTES"

    def check_bytes(self, size: int) -> None:
        """Raise InvalidPhotoError if a file has too many bytes, or none."""
        if not size:
            raise InvalidPhotoError("the photo is empty (0 bytes); send the contents of its file")
        if size > self.max_bytes:
            raise InvalidPhotoError(
                f"the photo has {size:,} bytes, and at most {self.max_bytes:,} are accepted"
                f" ({MAX_PHOTO_BYTES_SETTING}); send a smaller copy"
            )

    def check_pixels(self, width: int, height: int) -> None:
        """Raise InvalidPhotoError if a header declares too many pixels, or none."""
        if width <= 0 or height <= 0:
            raise InvalidPhotoError(
                f"the photo's header is damaged (it declares {width:,} × {height:,} pixels); save"
                " it again from an image editor"
            )
        if width * height > self.max_pixels:
            raise InvalidPhotoError(
                f"the photo declares {width:,} × {height:,} pixels, and at most"
                f" {self.max_pixels:,} in all are accepted ({self.pixels_setting}); send a smaller"
                " copy"
            )

    def check_decoding(self, name: str, size: int) -> None:
        """Raise InvalidPhotoError if decoding a photo would take too many bytes of memory."""
        if size > self.max_decoding_bytes:
            raise InvalidPhotoError(
                f"to decode this {name} takes about {size / 1e6:,.0f} MB of memory, and at most"
                f" {self.max_decoding_bytes / 1e6:,.0f} MB are given to one photo"
                f" ({self.decoding_setting}); send a smaller copy, or a JPEG"
            )


# For tools that read the user's own files.
ANY_SIZE = PhotoLimits(1 << 30, 1 << 30, max_decoding_bytes=1 << 34)
