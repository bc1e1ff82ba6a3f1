"""Points by the source that they are of."""

from __future__ import annotations

from landmarks.vector_store.collections import Collections
from landmarks.vector_store.filters import Equals, Filter
from landmarks.vector_store.point_store import PointStore


def uri_of_source(
    collections: Collections, points: PointStore, gallery: str, source: str
) -> str | None:
    """Return the uri of some point of a source, in any collection of a gallery; None: none has."""
    chosen = Filter(must=(Equals("source", source),))
    for state in collections.states(gallery):
        for point in points.scan(state.lineage.name, chosen, ["uri"]):
            return str(point.payload.get("uri", ""))
    return None
