"""Asking a collection as the search service does, and how long the answers take."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Sequence
from uuid import UUID

import numpy as np

from landmarks.vector_store.async_store import SearchStore
from landmarks.vector_store.queries import Query
from landmarks.vector_store.settings import VectorStoreSettings


def found_by(
    settings: VectorStoreSettings, collection: str, queries: Sequence[Query]
) -> list[list[UUID]]:
    """Return the points that each query finds, asked one after another."""

    async def ask() -> list[list[UUID]]:
        async with _store(settings) as store:
            answers = [await store.query(collection, [query]) for query in queries]
        return [[hit.id for hit in hits] for [hits] in answers]

    return asyncio.run(ask())


def waits(
    settings: VectorStoreSettings,
    collection: str,
    queries: Sequence[Query],
    clients: int,
    seconds: float,
    warm_seconds: float,
) -> list[float]:
    """Return how many seconds each answer took; every client asks again once it is answered.

    Each has a connection of its own, all are in one process. What was asked while they warmed up
    is left out; there is one answer at least.
    """

    async def client(place: int) -> list[float]:
        took: list[float] = []
        number = place * len(queries) // clients
        async with _store(settings) as store:
            begin = time.monotonic() + warm_seconds
            while (begun := time.monotonic()) < begin + seconds or not took:
                await store.query(collection, [queries[number % len(queries)]])
                number += 1
                if begun >= begin:
                    took.append(time.monotonic() - begun)
        return took

    async def all_clients() -> list[float]:
        found = await asyncio.gather(*(client(place) for place in range(clients)))
        return [one for took in found for one in took]

    return asyncio.run(all_clients())


def percentile_ms(seconds: Sequence[float], percent: float) -> float:
    """Return a percentile of times, in milliseconds."""
    return 1000 * float(np.percentile(seconds, percent))


@contextlib.asynccontextmanager
async def _store(settings: VectorStoreSettings) -> AsyncIterator[SearchStore]:
    store = SearchStore(settings)
    try:
        yield store
    finally:
        await store.close()
