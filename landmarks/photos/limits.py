"""How large a photo may be, and the settings that say so."""

from __future__ import annotations

from dataclasses import dataclass

MAX_PHOTO_BYTES_SETTING = "LANDMARKS_MAX_PHOTO_BYTES"


@dataclass(frozen=True)
class PhotoLimits:
    """Most bytes of a file, and most pixels that its header may declare.

    `pixels_setting` is the one that raises the latter, for messages.
    """

    max_bytes: int
    max_pixels: int
    pixels_setting: str = "LANDMARKS_MAX_PHOTO_PIXELS"
