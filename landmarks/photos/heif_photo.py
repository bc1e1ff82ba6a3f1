"""HEIC and HEIF, by pillow-heif: libheif with libde265. What `irot` and `imir` say is applied."""

from __future__ import annotations

from typing import TYPE_CHECKING

from landmarks.photos.opened_photo import LoadedPhoto, from_rows, reduction

if TYPE_CHECKING:
    from pillow_heif import HeifImage

# YUV of up to 4:4:4 and 10 bits, and RGB, for a moment both.
_BYTES_PER_PIXEL = 5
# Pillow's picture, and its RGB copy.
_COPIES_BYTES = 8


class HeifPhoto:
    """The primary image of a HEIF file, never its thumbnail."""

    format = "HEIF"

    def __init__(self, data: bytes) -> None:
        """Read the boxes; raises nearly anything on damaged files."""
        # Not at the top: nothing that only reads headers of other formats should load it.
        import pillow_heif
        from pillow_heif import options

        # Cores are divided among photos, not within one.
        options.DECODE_THREADS = 1
        options.THUMBNAILS = options.DEPTH_IMAGES = options.AUX_IMAGES = False
        opened = pillow_heif.open_heif(data, convert_hdr_to_8bit=True, remove_stride=False)
        self._image: HeifImage = opened[opened.primary_index]
        self.width, self.height = self._image.size

    def decoding_bytes(self, least: int | None) -> int:
        """Return about how many bytes of memory `load` takes."""
        copies = 0 if reduction(self.width, self.height, least) > 1 else _COPIES_BYTES
        return self.width * self.height * (_BYTES_PER_PIXEL + copies)

    def load(self, least: int | None) -> LoadedPhoto:
        """Decode it, upright; raises nearly anything on damaged files."""
        data = self._image.data
        width, height = self._image.size  # a header may say otherwise before decoding
        image = from_rows(
            self._image.mode,
            (width, height),
            data,
            self._image.stride,
            reduction(width, height, least),
        )
        # The orientation in its EXIF is left out: readers of HEIF follow the boxes alone.
        for key in ("icc_profile", "nclx_profile"):
            if key in self._image.info:
                image.info[key] = self._image.info[key]
        return LoadedPhoto(image, width, height)

    def close(self) -> None:
        """Nothing is open."""
