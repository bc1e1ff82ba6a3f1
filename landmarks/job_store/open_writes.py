"""Writes to points that Qdrant has not acknowledged yet, in Redis. Thread-safe.

A write that failed may have reached some copies of its points, and Qdrant does not correct the
others. So each write is noted here, with the ids of its points, before the first copy can have it,
and taken out once it is acknowledged. What stays was begun by who died, or gave up: no copy alone
says how things are with these points. No second write to them is noted meanwhile, but deletions,
which are above all that was noted before.

landmarks:writes:<collection>  hash: a name → generation, holder and ids of a write
landmarks:writes               set of the collections that have any
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import cast
from uuid import UUID

import redis

from landmarks.job_store import lua_scripts as scripts
from landmarks.job_store.redis_client import redis_address, redis_failures

_COLLECTIONS = "landmarks:writes"
_ID_BYTES = 16


@dataclass(frozen=True)
class OpenWrite:
    """A write that is not acknowledged.

    `holder` is the lease of who writes (`Lease.holder`), or another text. `deletes`: somebody has
    decided to delete these points, if they are older than `generation`.
    """

    name: str
    collection: str
    generation: int
    holder: str
    ids: frozenset[UUID]
    deletes: bool = False


class OpenWrites:
    """Notes writes and finds them. Every method raises UnavailableError without Redis."""

    def __init__(self, client: redis.Redis, url: str) -> None:
        self._redis = client
        self._address = redis_address(url)
        self._begin = client.register_script(scripts.BEGIN_WRITE)
        self._close = client.register_script(scripts.CLOSE_WRITES)

    def begin(
        self,
        collection: str,
        holder: str,
        ids: Collection[UUID],
        *,
        seen: int = 0,
        instead_of: Sequence[OpenWrite] = (),
        name: str = "",
    ) -> OpenWrite | None:
        """Note a write and give it a generation: above `seen`, and above any before.

        It takes the place of others, if any. Returns None if yet another is noted for one of these
        points. With a `name` of the caller's, it can be repeated.
        """
        write = OpenWrite(name or new_name(), collection, 0, holder, frozenset(ids))
        generation = self._noted(write, seen, instead_of)
        return replace(write, generation=generation) if generation else None

    def begin_deletion(
        self, collection: str, holder: str, ids: Collection[UUID], *, seen: int = 0
    ) -> OpenWrite:
        """Note a deletion, whatever else is noted for these points; its generation is above it."""
        write = OpenWrite(new_name(), collection, 0, holder, frozenset(ids), deletes=True)
        return replace(write, generation=self._noted(write, seen))

    def _noted(self, write: OpenWrite, seen: int, instead_of: Sequence[OpenWrite] = ()) -> int:
        arguments: list[str | int | bytes] = [
            write.collection,
            write.name,
            _header(write),
            _packed(write.ids),
            seen,
            int(not write.deletes),
            *(one.name for one in instead_of),
        ]
        with redis_failures(self._address):
            return int(cast("bytes", self._begin(args=arguments)))

    def keep(self, write: OpenWrite) -> None:
        """Note a write that has its generation already."""
        value = b"\n".join((str(write.generation).encode(), _header(write), _packed(write.ids)))
        with redis_failures(self._address):
            self._redis.sadd(_COLLECTIONS, write.collection)
            self._redis.hset(_key(write.collection), write.name, value)

    def close(self, write: OpenWrite) -> None:
        """Take out a write that is acknowledged; one that is not there is no error."""
        with redis_failures(self._address):
            self._close(args=[write.collection, write.name])

    def find(self, collection: str) -> list[OpenWrite]:
        """Return the writes to a collection, oldest first."""
        with redis_failures(self._address):
            found = cast("dict[bytes, bytes]", self._redis.hgetall(_key(collection)))
        writes = [_unpacked(collection, name, value) for name, value in found.items()]
        return sorted(writes, key=lambda one: one.generation)

    def collections(self) -> list[str]:
        """Return the collections that have such writes."""
        with redis_failures(self._address):
            members = cast("set[bytes]", self._redis.smembers(_COLLECTIONS))
        return sorted(one.decode() for one in members)


def new_name() -> str:
    """Return a name that no other write has."""
    return uuid.uuid4().hex


def _key(collection: str) -> str:
    return f"{_COLLECTIONS}:{collection}"


def _header(write: OpenWrite) -> bytes:
    return json.dumps([write.holder, write.deletes]).encode()  # which has no line feed


def _packed(ids: Collection[UUID]) -> bytes:
    return b"".join(one.bytes for one in ids)


def _unpacked(collection: str, name: bytes, value: bytes) -> OpenWrite:
    generation, header, ids = value.split(b"\n", 2)
    holder, deletes = json.loads(header)
    starts = range(0, len(ids), _ID_BYTES)
    return OpenWrite(
        name.decode(),
        collection,
        int(generation),
        str(holder),
        frozenset(UUID(bytes=ids[start : start + _ID_BYTES]) for start in starts),
        bool(deletes),
    )
