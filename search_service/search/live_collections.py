"""Which collections are live, cached briefly, so that a search costs one query per model."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass

from cachetools import TLRUCache

from landmarks.errors import NotFoundError
from landmarks.security.caller import present_caller
from landmarks.vector_store.async_store import SearchStore
from landmarks.vector_store.collection_info import LiveCollection

_CACHE_SECONDS = 1.5
_MOST_GALLERIES = 1024


@dataclass(frozen=True)
class _Read:
    """A gallery's live collections, and when the read began, on the clock of `time.monotonic`."""

    began: float
    live: Mapping[str, LiveCollection]


class LiveCollections:
    """The live collection of each model of a gallery.

    Collections are queried by name, not by alias, so that query, digest and answer belong to the
    same collection even while an alias moves.
    """

    def __init__(self, store: SearchStore, cache_seconds: float = _CACHE_SECONDS) -> None:
        self._store = store
        self._cache: TLRUCache[str, _Read] = TLRUCache(
            _MOST_GALLERIES,
            ttu=lambda _gallery, read, _now: read.began + cache_seconds,
            timer=time.monotonic,
        )
        self._reading = asyncio.Lock()

    async def of_gallery(
        self, gallery: str, *, fresh: bool = False
    ) -> Mapping[str, LiveCollection]:
        """Return the live collections of `gallery` by model, sorted by name.

        `fresh` reads them again even if they are cached.

        Raises NotFoundError if none is live; its message lists the existing galleries.
        """
        called = time.monotonic()
        read = self._cache.get(gallery)
        if read is not None and not fresh:
            return read.live
        async with self._reading:  # concurrent searches share one read
            read = self._cache.get(gallery)
            if read is None or (fresh and read.began < called):
                read = await self._read(gallery)
        return read.live

    async def _read(self, gallery: str) -> _Read:
        began = time.monotonic()
        live = {one.lineage.model: one for one in await self._store.live_of(gallery)}
        if not live:
            self._cache.pop(gallery, None)
            raise await self._unknown(gallery)
        read = self._cache[gallery] = _Read(began, live)
        return read

    async def of_model(self, gallery: str, model: str, *, fresh: bool = False) -> LiveCollection:
        """Return one model's live collection.

        Raises NotFoundError; its message lists the models the gallery is indexed with.
        """
        live = await self.of_gallery(gallery, fresh=fresh)
        if model not in live:
            raise NotFoundError(
                f"gallery {gallery!r} is not indexed with model {model!r}, only with"
                f" {', '.join(live)}; index it with `landmarks index SOURCE --gallery {gallery}"
                f" --models {model}`"
            )
        return live[model]

    async def _unknown(self, gallery: str) -> NotFoundError:
        known = [one for one in await self._store.galleries() if present_caller().may_use(one)]
        existing = f"existing galleries: {', '.join(known)}" if known else "no gallery exists yet"
        return NotFoundError(
            f"gallery {gallery!r} does not exist; {existing}; create it with"
            f" `landmarks index SOURCE --gallery {gallery}`"
        )
