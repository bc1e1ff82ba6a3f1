"""A gallery of famous landmarks that is drawn, not photographed: it needs no network."""

from evaluation.sample.gallery import Photo, ensure_sample_gallery

__all__ = ["Photo", "ensure_sample_gallery"]
