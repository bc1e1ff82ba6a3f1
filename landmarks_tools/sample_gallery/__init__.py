"""A gallery of famous landmarks that is drawn, not photographed: it needs no network."""

from landmarks_tools.sample_gallery.gallery import Photo, ensure_sample_gallery

__all__ = ["Photo", "ensure_sample_gallery"]
