"""What is known of the copies of collections: the last check of each, and which are due for one.

landmarks:copies:checks  hash: collection → its last check, as JSON
landmarks:copies:due     set of the collections that were seen with a node away since
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Self

import redis

from landmarks.job_store.redis_client import redis_address, redis_failures

_CHECKS = "landmarks:copies:checks"
_DUE = "landmarks:copies:due"


@dataclass(frozen=True)
class CheckedNode:
    """What a node had of a collection: its photos, and how many points were wrong on it."""

    node: str
    photos: int
    missing: int = 0
    older: int = 0
    returned: int = 0
    unclear: int = 0
    different: int = 0


@dataclass(frozen=True)
class CopyCheck:
    """The last check of a collection's copies.

    `points` of `compared` ones differed; of `harmless` ones only marks did. `began` (aware) is when
    it began, and `generation` the number of a write then: what was written before was compared.
    """

    began: datetime
    generation: int
    nodes: tuple[CheckedNode, ...] = ()
    compared: int = 0
    points: int = 0
    harmless: int = 0
    examples: tuple[str, ...] = ()

    @property
    def agree(self) -> bool:
        """Whether no point differed."""
        return not self.points

    def to_json(self) -> str:
        """Return the check as JSON."""
        return json.dumps({**asdict(self), "began": self.began.isoformat()})

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Read what `to_json` returned."""
        values = json.loads(text)
        values["began"] = datetime.fromisoformat(values["began"])
        values["nodes"] = tuple(CheckedNode(**one) for one in values["nodes"])
        values["examples"] = tuple(values["examples"])
        return cls(**values)


class CopyChecks:
    """Stores checks. Every method raises UnavailableError if Redis cannot be reached."""

    def __init__(self, client: redis.Redis, url: str) -> None:
        self._redis = client
        self._address = redis_address(url)

    def close(self) -> None:
        """Close the connection."""
        self._redis.close()

    def keep(self, collection: str, check: CopyCheck) -> None:
        """Store a check, instead of the collection's earlier one; it is no longer due."""
        with redis_failures(self._address):
            self._redis.hset(_CHECKS, collection, check.to_json())
            self._redis.srem(_DUE, collection)

    def find(self, collection: str) -> CopyCheck | None:
        """Return a collection's last check, or None."""
        with redis_failures(self._address):
            found = self._redis.hget(_CHECKS, collection)
        return None if found is None else CopyCheck.from_json(found)

    def all(self) -> Mapping[str, CopyCheck]:
        """Return the last check of each collection."""
        with redis_failures(self._address):
            found = self._redis.hgetall(_CHECKS)
        return {_decoded(name): CopyCheck.from_json(text) for name, text in found.items()}

    def make_due(self, collections: Collection[str]) -> None:
        """Note that a node was away, so that these collections are due for a check."""
        if collections:
            with redis_failures(self._address):
                self._redis.sadd(_DUE, *collections)

    def due(self) -> set[str]:
        """Return the collections that are due for a check."""
        with redis_failures(self._address):
            return {_decoded(one) for one in self._redis.smembers(_DUE)}

    def drop(self, collection: str) -> None:
        """Forget a collection."""
        with redis_failures(self._address):
            self._redis.hdel(_CHECKS, collection)
            self._redis.srem(_DUE, collection)


def _decoded(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value
