"""One shared channel per target, reopened when the certificate of this process is replaced.

A channel keeps the certificate it was opened with, and would go on using it after it has expired.
The old channel is closed when its calls have had time to end.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

import grpc
import structlog

from landmarks.errors import ConfigurationError
from landmarks.rpc.channel import open_aio_channel, open_channel
from landmarks.security.tls import NO_TLS, Stamp, Tls

_log = structlog.get_logger(__name__)

AnyChannel = TypeVar("AnyChannel")
# More than any call between our services may take.
_GRACE_SECONDS = 180.0


@dataclass(frozen=True)
class _OpenChannel(Generic[AnyChannel]):
    channel: AnyChannel
    stamp: Stamp


class _ChannelCache(Generic[AnyChannel]):
    def __init__(
        self,
        tls: Tls,
        open_one: Callable[[str, Tls], AnyChannel],
        retire: Callable[[AnyChannel], None],
    ) -> None:
        self._tls = tls
        self._open_one = open_one
        self._retire = retire
        self._opened: dict[str, _OpenChannel[AnyChannel]] = {}

    def get(self, target: str) -> AnyChannel:
        """Return the channel to `target`; raises ConfigurationError if none can be opened."""
        present = self._opened.get(target)
        try:
            stamp = self._tls.stamp() if self._tls.calls else ()
            if present is not None and present.stamp == stamp:
                return present.channel
            opened = _OpenChannel(self._open_one(target, self._tls), stamp)
        except ConfigurationError as error:
            if present is None:
                raise
            # While files are being replaced they do not match; the next call looks again.
            _log.warning("the old channel stays in use", target=target, reason=str(error))
            return present.channel
        self._opened[target] = opened
        if present is not None:
            _log.info("connecting with the new certificate", target=target)
            self._retire(present.channel)
        return opened.channel

    def take_all(self) -> list[AnyChannel]:
        """Return every channel, to be closed, and forget it."""
        channels = [opened.channel for opened in self._opened.values()]
        self._opened.clear()
        return channels


class Channels:
    """Channels for threads. Safe to use from many."""

    def __init__(self, tls: Tls = NO_TLS) -> None:
        self._lock = threading.Lock()
        self._timers: list[threading.Timer] = []
        self._before: list[grpc.Channel] = []
        self._shared = _ChannelCache(tls, open_channel, self._close_later)

    def get(self, target: str) -> grpc.Channel:
        """Return the channel to `target`; raises ConfigurationError if none can be opened."""
        with self._lock:
            return self._shared.get(target)

    def close(self) -> None:
        """Close every channel."""
        with self._lock:
            for timer in self._timers:
                timer.cancel()
            for channel in (*self._shared.take_all(), *self._before):
                channel.close()
            self._timers.clear()
            self._before.clear()

    def _close_later(self, channel: grpc.Channel) -> None:
        timer = threading.Timer(_GRACE_SECONDS, self._close_now, [channel])
        timer.daemon = True
        self._timers.append(timer)
        self._before.append(channel)
        timer.start()

    def _close_now(self, channel: grpc.Channel) -> None:
        with self._lock:
            if channel in self._before:
                self._before.remove(channel)
                self._timers = [timer for timer in self._timers if timer.is_alive()]
                channel.close()


class AsyncChannels:
    """The same for one event loop."""

    def __init__(self, tls: Tls = NO_TLS) -> None:
        self._closing: set[asyncio.Task[None]] = set()
        self._shared = _ChannelCache(tls, open_aio_channel, self._close_later)

    def get(self, target: str) -> grpc.aio.Channel:
        """Return the channel to `target`; raises ConfigurationError if none can be opened."""
        return self._shared.get(target)

    async def close(self) -> None:
        """Close every channel."""
        for channel in self._shared.take_all():
            await channel.close()
        for task in self._closing:
            task.cancel()
        await asyncio.gather(*self._closing, return_exceptions=True)

    def _close_later(self, channel: grpc.aio.Channel) -> None:
        task = asyncio.get_running_loop().create_task(_closed(channel))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)


async def _closed(channel: grpc.aio.Channel) -> None:
    try:
        await asyncio.sleep(_GRACE_SECONDS)
    finally:
        await channel.close()
