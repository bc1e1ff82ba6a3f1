"""Augmentation of a whole batch with a few tensor operations: no worker processes, one seed."""

from __future__ import annotations

import math

import torch
from torch.nn import functional

_MIN_AREA = 0.35
_MAX_STRETCH = 1.3
_MAX_DEGREES = 8.0
_COLOUR = 0.3
_GREY_PROBABILITY = 0.1


def augmented(photos: torch.Tensor, size: int, generator: torch.Generator) -> torch.Tensor:
    """Return random views of `photos`, uint8 (N, 3, H, W), as float32 (N, 3, size, size) in 0–255.

    Each view is a turned, stretched and perhaps mirrored crop of at least a third of the photo,
    with other light and colour.
    """
    return _recoloured(_cropped(photos.float(), size, generator), generator)


def _uniform(count: int, low: float, high: float, generator: torch.Generator) -> torch.Tensor:
    return torch.rand(count, generator=generator) * (high - low) + low


def _cropped(photos: torch.Tensor, size: int, generator: torch.Generator) -> torch.Tensor:
    count = len(photos)
    side = _uniform(count, _MIN_AREA, 1.0, generator).sqrt()
    stretch = _uniform(count, -1, 1, generator).mul(math.log(_MAX_STRETCH) / 2).exp()
    wide, high = (side * stretch).clamp(max=1), (side / stretch).clamp(max=1)
    mirror = torch.where(torch.rand(count, generator=generator) < 0.5, -1.0, 1.0)
    angle = _uniform(count, -1, 1, generator) * math.radians(_MAX_DEGREES)
    cos, sin = angle.cos(), angle.sin()
    shift_x = _uniform(count, -1, 1, generator) * (1 - wide)
    shift_y = _uniform(count, -1, 1, generator) * (1 - high)
    rows = [
        torch.stack([wide * mirror * cos, -wide * mirror * sin, shift_x], dim=1),
        torch.stack([high * sin, high * cos, shift_y], dim=1),
    ]
    grid = functional.affine_grid(torch.stack(rows, dim=1), [count, 3, size, size], False)
    return functional.grid_sample(photos, grid, padding_mode="reflection", align_corners=False)


def _recoloured(views: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    count = len(views)

    def factor(channels: int = 1, spread: float = _COLOUR) -> torch.Tensor:
        noise = torch.rand(count, channels, 1, 1, generator=generator)
        return 1 + spread * (2 * noise - 1)

    grey = views.mean(dim=1, keepdim=True)
    saturation = factor()
    saturation[torch.rand(count, generator=generator) < _GREY_PROBABILITY] = 0
    views = grey + (views - grey) * saturation
    mean = views.mean(dim=(1, 2, 3), keepdim=True)
    views = mean + (views - mean) * factor()
    return (views * factor() * factor(3, 0.1)).clamp(0, 255)
