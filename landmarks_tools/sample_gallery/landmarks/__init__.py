"""The landmarks of the sample gallery, one line each to add another."""

from landmarks_tools.sample_gallery.landmarks.ancient import ANCIENT
from landmarks_tools.sample_gallery.landmarks.bridges import BRIDGES
from landmarks_tools.sample_gallery.landmarks.domes import DOMES
from landmarks_tools.sample_gallery.landmarks.figures import FIGURES
from landmarks_tools.sample_gallery.landmarks.soreq_cave import SOREQ_CAVE
from landmarks_tools.sample_gallery.landmarks.towers import TOWERS
from landmarks_tools.sample_gallery.landmarks.water import WATER
from landmarks_tools.sample_gallery.scene import Landmark

__all__ = ["LANDMARKS"]

LANDMARKS: dict[str, Landmark] = {
    landmark.name: landmark
    for landmark in sorted(
        (*TOWERS, *ANCIENT, *WATER, *BRIDGES, *DOMES, *FIGURES, SOREQ_CAVE),
        key=lambda each: each.name,
    )
}
