"""Conditions on places: near one, or in a box on the map."""

from __future__ import annotations

from dataclasses import dataclass

from qdrant_client import models

from landmarks.errors import InvalidInputError

# Qdrant leaves out what lies on the edge of a box, and with an index finds nothing at all in a box
# that touches a pole or the date line. So a box ends a little before, which is 1 cm for latitudes,
# and a second one of 40 cm lies across the date line. No place is stored nearer to a pole.
_EDGE = 1e-7  # degrees
_MOST_LATITUDE = 90 - 1e-8
_MOST_LONGITUDE = 180 - 1e-6


@dataclass(frozen=True)
class Near:
    """The place in the field `key` is within a distance of this one; degrees and metres."""

    key: str
    latitude: float
    longitude: float
    meters: float

    def __post_init__(self) -> None:
        _check_place(self.latitude, self.longitude)
        if not 0 < self.meters < float("inf"):
            raise InvalidInputError(
                f"the distance from a place is {self.meters} m; it must be more than 0",
                field="filter",
            )


@dataclass(frozen=True)
class Inside:
    """The place in the field `key` lies in a box, in degrees, edges included.

    If `west` is more than `east`, the box lies across the date line.
    """

    key: str
    south: float
    west: float
    north: float
    east: float

    def __post_init__(self) -> None:
        _check_place(self.south, self.west)
        _check_place(self.north, self.east)
        if self.south > self.north:
            raise InvalidInputError(
                f"the south of the box, {self.south}, is north of its north, {self.north}",
                field="filter",
            )


def near_circle(key: str, near: Near) -> models.FieldCondition:
    """Return the condition for Qdrant."""
    center = models.GeoPoint(lat=near.latitude, lon=near.longitude)
    return models.FieldCondition(
        key=key, geo_radius=models.GeoRadius(center=center, radius=near.meters)
    )


def inside_boxes(key: str, inside: Inside) -> models.Filter:
    """Return the condition for Qdrant: boxes that together cover the box."""
    west, east = inside.west - _EDGE, inside.east + _EDGE
    parts = [(west, east)]
    if inside.west > inside.east:
        parts = [(west, _MOST_LONGITUDE), (-_MOST_LONGITUDE, east)]
    across = west <= -_MOST_LONGITUDE or east >= _MOST_LONGITUDE or len(parts) > 1
    boxes = [(max(one, -_MOST_LONGITUDE), min(other, _MOST_LONGITUDE)) for one, other in parts]
    if across:
        boxes.append((_MOST_LONGITUDE - _EDGE, -_MOST_LONGITUDE + _EDGE))
    return models.Filter(should=[_box(key, inside, *one) for one in boxes])


def _box(key: str, inside: Inside, west: float, east: float) -> models.FieldCondition:
    north = min(inside.north + _EDGE, _MOST_LATITUDE)
    south = max(inside.south - _EDGE, -_MOST_LATITUDE)
    box = models.GeoBoundingBox(
        top_left=models.GeoPoint(lat=north, lon=west),
        bottom_right=models.GeoPoint(lat=south, lon=east),
    )
    return models.FieldCondition(key=key, geo_bounding_box=box)


def _check_place(latitude: float, longitude: float) -> None:
    if not (-90 <= latitude <= 90 and -180 <= longitude <= 180):
        raise InvalidInputError(
            f"{latitude}, {longitude} is not a place: latitudes are -90 to 90, longitudes -180 to"
            " 180, in degrees",
            field="filter",
        )
