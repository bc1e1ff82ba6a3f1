"""Which collections are live, remembered for a moment: a search then costs one query a model."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass

from cachetools import TLRUCache

from landmarks.errors import NotFoundError
from landmarks.vector_store.async_store import SearchStore
from landmarks.vector_store.collections import LiveCollection

_REMEMBER_SECONDS = 1.5
_MOST_GALLERIES = 1024


@dataclass(frozen=True)
class _Read:
    """The live collections of a gallery, and when reading them began, by `time.monotonic`."""

    began: float
    live: Mapping[str, LiveCollection]


class LiveCollections:
    """The live collection of each model of a gallery.

    Collections are queried by their own names, not by alias, so that query, digest and answer are
    of one collection even while an alias is moved.
    """

    def __init__(self, store: SearchStore, remember_seconds: float = _REMEMBER_SECONDS) -> None:
        self._store = store
        self._cache: TLRUCache[str, _Read] = TLRUCache(
            _MOST_GALLERIES,
            ttu=lambda _gallery, read, _now: read.began + remember_seconds,
            timer=time.monotonic,
        )
        self._reading = asyncio.Lock()

    async def of_gallery(
        self, gallery: str, *, fresh: bool = False
    ) -> Mapping[str, LiveCollection]:
        """Return the live collections of `gallery` by model, in the order of their names.

        `fresh` reads them again, even if they are cached.

        Raises NotFoundError where no collection is live; it lists the galleries that exist.
        """
        called = time.monotonic()
        read = self._cache.get(gallery)
        if read is not None and not fresh:
            return read.live
        async with self._reading:  # many searches at once read once
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

        Raises NotFoundError; it says which models the gallery is indexed with.
        """
        live = await self.of_gallery(gallery, fresh=fresh)
        if model not in live:
            raise NotFoundError(
                f"gallery {gallery!r} is not indexed with model {model!r}, but with"
                f" {', '.join(live)}; index it with `landmarks index SOURCE --gallery {gallery}"
                f" --models {model}`"
            )
        return live[model]

    async def _unknown(self, gallery: str) -> NotFoundError:
        known = await self._store.galleries()
        there_are = f"there are: {', '.join(known)}" if known else "there is none yet"
        return NotFoundError(
            f"there is no gallery {gallery!r}; {there_are}; fill one with"
            f" `landmarks index SOURCE --gallery {gallery}`"
        )
