"""The landmarks of the sample gallery, one line each to add another."""

from evaluation.sample.landmarks.ancient import ANCIENT
from evaluation.sample.landmarks.bridges import BRIDGES
from evaluation.sample.landmarks.domes import DOMES
from evaluation.sample.landmarks.figures import FIGURES
from evaluation.sample.landmarks.soreq_cave import SOREQ_CAVE
from evaluation.sample.landmarks.towers import TOWERS
from evaluation.sample.landmarks.water import WATER
from evaluation.sample.scene import Landmark

__all__ = ["LANDMARKS"]

LANDMARKS: dict[str, Landmark] = {
    landmark.name: landmark
    for landmark in sorted(
        (*TOWERS, *ANCIENT, *WATER, *BRIDGES, *DOMES, *FIGURES, SOREQ_CAVE),
        key=lambda each: each.name,
    )
}
