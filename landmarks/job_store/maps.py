"""Maps of collections, stored in Redis under the collection's name.

A map belongs to one collection, and so to one encoder: another digest has another collection.
"""

from __future__ import annotations

import json
import zlib
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Self, cast

import redis

from landmarks.job_store.redis_client import redis_address, redis_failures

_KEY = "landmarks:map:"


@dataclass(frozen=True)
class MapPoint:
    """A point's id, landmark, place in the unit square, and whether it is outside all clusters."""

    id: str
    landmark: str
    x: float
    y: float
    in_no_cluster: bool


@dataclass(frozen=True)
class GalleryMap:
    """The map of a collection, or of a sample of its points. `drawn` is aware."""

    collection: str
    points: tuple[MapPoint, ...]
    drawn: datetime
    collection_points: int
    perplexity: float
    trustworthiness: float

    def pack(self) -> bytes:
        """Return the map as compressed JSON."""
        values = asdict(self) | {"drawn": self.drawn.isoformat()}
        return zlib.compress(json.dumps(values).encode())

    @classmethod
    def unpack(cls, packed: bytes) -> Self:
        """Read what `pack` returned."""
        values = json.loads(zlib.decompress(packed))
        points = tuple(MapPoint(**point) for point in values["points"])
        drawn = datetime.fromisoformat(values["drawn"])
        return cls(**values | {"points": points, "drawn": drawn})


class MapStore:
    """Stores maps. Every method raises UnavailableError if Redis cannot be reached."""

    def __init__(self, client: redis.Redis, url: str) -> None:
        self._redis = client
        self._address = redis_address(url)

    def keep(self, found: GalleryMap) -> None:
        """Store a map, instead of the collection's earlier one."""
        with redis_failures(self._address):
            self._redis.set(_KEY + found.collection, found.pack())

    def find(self, collection: str) -> GalleryMap | None:
        """Return a collection's map, or None."""
        with redis_failures(self._address):
            packed = self._redis.get(_KEY + collection)
        return None if packed is None else GalleryMap.unpack(cast("bytes", packed))

    def mapped(self, collections: list[str]) -> set[str]:
        """Return which of the collections have a map."""
        with redis_failures(self._address):
            return {name for name in collections if self._redis.exists(_KEY + name)}

    def drop(self, collection: str) -> None:
        """Delete a collection's map, if it has one."""
        with redis_failures(self._address):
            self._redis.delete(_KEY + collection)

    def close(self) -> None:
        """Close the connection."""
        self._redis.close()
