"""Notifies watchers that a job may have changed, over one Redis subscription for all."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import redis.asyncio
import structlog

from landmarks.job_store.store import CHANGES_CHANNEL

_log = structlog.get_logger(__name__)
_RECONNECT_SECONDS = 1.0
_LISTEN_SECONDS = 30.0


class JobChanges:
    """Subscribes on the first watch. A change may be missed while Redis is unreachable."""

    def __init__(self, redis_url: str) -> None:
        self._url = redis_url
        self._watchers: dict[str, set[asyncio.Event]] = {}
        self._task: asyncio.Task[None] | None = None

    @contextmanager
    def watch(self, job_id: str) -> Iterator[asyncio.Event]:
        """Yield an event that is set whenever the job has changed."""
        if self._task is None:
            self._task = asyncio.create_task(self._run())
        changed = asyncio.Event()
        self._watchers.setdefault(job_id, set()).add(changed)
        try:
            yield changed
        finally:
            watchers = self._watchers[job_id]
            watchers.discard(changed)
            if not watchers:
                del self._watchers[job_id]

    async def close(self) -> None:
        """End the subscription."""
        task, self._task = self._task, None
        while task is not None and not task.done():
            task.cancel()  # again, since redis-py swallows one that comes while it connects
            await asyncio.wait([task], timeout=0.5)

    async def _run(self) -> None:
        while True:
            try:
                await self._listen()
            except (redis.exceptions.RedisError, OSError) as error:
                _log.warning("subscription to job changes lost; reconnecting", reason=str(error))
            await asyncio.sleep(_RECONNECT_SECONDS)

    async def _listen(self) -> None:
        client = redis.asyncio.Redis.from_url(self._url, socket_connect_timeout=5)
        async with client, client.pubsub() as subscription:
            await subscription.subscribe(CHANGES_CHANNEL)
            while True:
                message = await subscription.get_message(
                    ignore_subscribe_messages=True, timeout=_LISTEN_SECONDS
                )
                if message is not None:
                    for changed in self._watchers.get(message["data"].decode(), ()):
                        changed.set()
