"""The blocks of metadata that a photo's file has."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from landmarks.photos.metadata.exif import Exif
from landmarks.photos.metadata.facts import RefusedError


@dataclass
class Blocks:
    """EXIF, packets of XMP, and IPTC, of one photo; `problems` say what could not be read."""

    exif: Exif | None = None
    xmp: list[bytes] = field(default_factory=list)
    iptc: bytes = b""
    problems: list[str] = field(default_factory=list)

    def take_exif(self, read: Callable[[], Exif]) -> None:
        """Read EXIF if there is none yet; what is damaged is a problem of its own."""
        if self.exif is None:
            try:
                self.exif = read()
            except RefusedError as error:
                self.problems.append(str(error))
