"""Preprocessing: a photo is resized and normalised to a tensor."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Literal

import numpy as np
from PIL import Image

from encoder_service.models.base import FloatArray, Json

Fit = Literal["squash", "crop"]


@dataclass(frozen=True)
class Resized:
    """Resizes with Pillow's antialiased bilinear filter; then (x - mean) / scale, x in 0–255.

    `fit` is "squash": the whole photo, its aspect ratio lost; or "crop": the middle square.
    `decode_size` lets JPEGs be decoded at 1/2, 1/4 or 1/8 scale down to that size. It should be at
    least twice the input size: then only detail is lost that the filter would average away.
    """

    input_size: int
    fit: Fit
    mean: tuple[float, float, float]
    scale: tuple[float, float, float]
    decode_size: int | None

    def settings(self) -> Mapping[str, Json]:
        """Return every setting that affects the result."""
        return {**asdict(self), "filter": "pillow-bilinear"}

    def __call__(self, image: Image.Image) -> FloatArray:
        """Return one photo (mode RGB, any size) as (3, H, W) float32."""
        width, height = image.size
        box = (0.0, 0.0, float(width), float(height))
        if self.fit == "crop":
            # Resize a box, not crop after resizing: a photo of 30,000 × 1 would become enormous.
            side = min(width, height)
            left, top = (width - side) / 2, (height - side) / 2
            box = (left, top, left + side, top + side)
        size = (self.input_size, self.input_size)
        small = image.resize(size, Image.Resampling.BILINEAR, box=box)
        pixels = np.asarray(small).transpose(2, 0, 1)
        photo = np.empty(pixels.shape, dtype=np.float32)
        np.subtract(pixels, np.array(self.mean, np.float32)[:, None, None], out=photo)
        if self.scale != (1.0, 1.0, 1.0):
            np.divide(photo, np.array(self.scale, np.float32)[:, None, None], out=photo)
        return photo
