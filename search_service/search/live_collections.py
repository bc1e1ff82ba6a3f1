"""Which collections are live, remembered for a moment: a search then costs one query a model."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping

from landmarks.errors import NotFoundError
from landmarks.vector_store.async_store import SearchStore
from landmarks.vector_store.collections import LiveCollection

_REMEMBER_SECONDS = 1.5


class LiveCollections:
    """The live collection of each model of a gallery.

    Collections are asked by their own names, not by alias, so that query, digest and answer are
    of one collection even while an alias is moved.
    """

    def __init__(self, store: SearchStore, remember_seconds: float = _REMEMBER_SECONDS) -> None:
        self._store = store
        self._remember_seconds = remember_seconds
        self._read: dict[str, tuple[float, Mapping[str, LiveCollection]]] = {}
        self._reading = asyncio.Lock()

    async def of(self, gallery: str, *, fresh: bool = False) -> Mapping[str, LiveCollection]:
        """Return the live collections of `gallery` by model, in the order of their names.

        `fresh` reads them again, whatever is remembered.

        Raises NotFoundError where nothing is live; it says which galleries there are.
        """
        asked_at = time.monotonic()
        read_at, live = self._read.get(gallery, (-1.0, {}))
        if live and not fresh and read_at >= asked_at - self._remember_seconds:
            return live
        async with self._reading:  # many searches at once read once
            read_at, live = self._read.get(gallery, (-1.0, {}))
            oldest = asked_at if fresh else time.monotonic() - self._remember_seconds
            if read_at < oldest or not live:
                read_at = time.monotonic()
                live = {one.lineage.model: one for one in await self._store.live_of(gallery)}
                if not live:
                    self._read.pop(gallery, None)
                    raise await self._unknown(gallery)
                self._read[gallery] = (read_at, live)
        return live

    async def one(self, gallery: str, model: str, *, fresh: bool = False) -> LiveCollection:
        """Return one model's live collection.

        Raises NotFoundError; it says which models the gallery is indexed with.
        """
        live = await self.of(gallery, fresh=fresh)
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
