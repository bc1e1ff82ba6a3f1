"""A part of a photo, as callers mark it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from landmarkapi.encoder.v1 import encoder_pb2 as pb
from landmarks.errors import InvalidInputError


@dataclass(frozen=True)
class Box:
    """Sides as fractions of the upright photo's width and height, from the left and from the top.

    Raises InvalidInputError if they do not enclose anything, or reach beyond the photo.
    """

    left: float
    top: float
    right: float
    bottom: float

    def __post_init__(self) -> None:
        # Written so that a NaN fails too.
        if not (0 <= self.left < self.right <= 1 and 0 <= self.top < self.bottom <= 1):
            raise InvalidInputError(
                f"the box from left {self.left:g}, top {self.top:g} to right {self.right:g}, bottom"
                f" {self.bottom:g} is no part of a photo: its sides are fractions, 0 to 1, left"
                " less than right and top less than bottom",
                field="box",
            )

    @classmethod
    def of(cls, message: pb.Box) -> Self | None:
        """Read a message; an empty one is the whole photo, which is None."""
        if message == pb.Box():
            return None
        return cls(message.left, message.top, message.right, message.bottom)

    def message(self) -> pb.Box:
        """Return the same as a message."""
        return pb.Box(left=self.left, top=self.top, right=self.right, bottom=self.bottom)

    def pixels(self, width: int, height: int) -> tuple[int, int, int, int]:
        """Return left, top, right and bottom in an image of that size, at least a pixel apart."""
        left, top = int(self.left * width), int(self.top * height)
        right, bottom = round(self.right * width), round(self.bottom * height)
        return left, top, max(right, left + 1), max(bottom, top + 1)
