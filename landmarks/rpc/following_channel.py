"""Channels that follow their name: opened again when it has addresses that it did not have.

gRPC resolves a name again only when a connection ends, so a replica that is added gets no call
until then. And after a name had no address it waits longer and longer, up to two minutes, which no
option changes (findings/grpc-names-that-come-back.sh). A new channel resolves at once, and shares
the connections that are open already.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Generic, TypeVar

import grpc

from landmarks.rpc.name_watch import NameWatch, SeveralAddresses, name_in

_ChannelT = TypeVar("_ChannelT")


def following(target: str, open_one: Callable[[], grpc.Channel]) -> grpc.Channel:
    """Return a channel to `target` that `open_one` opens, as often as it is needed."""
    name = name_in(target)
    return FollowingChannel(_Current(NameWatch(name), open_one)) if name else open_one()


def following_aio(target: str, open_one: Callable[[], grpc.aio.Channel]) -> grpc.aio.Channel:
    """Do as `following`, for the running event loop."""
    name = name_in(target)
    return FollowingAioChannel(_Current(NameWatch(name), open_one)) if name else open_one()


def following_all(
    addresses: Sequence[str], open_one: Callable[[str], grpc.Channel]
) -> grpc.Channel:
    """Return a channel to every `host:port` of `addresses`; `open_one` opens one to a target."""
    if len(addresses) == 1:
        return following(addresses[0], partial(open_one, addresses[0]))
    several = SeveralAddresses(addresses)
    return FollowingChannel(_Current(several, lambda: open_one(several.target())))


def following_all_aio(
    addresses: Sequence[str], open_one: Callable[[str], grpc.aio.Channel]
) -> grpc.aio.Channel:
    """Do as `following_all`, for the running event loop."""
    if len(addresses) == 1:
        return following_aio(addresses[0], partial(open_one, addresses[0]))
    several = SeveralAddresses(addresses)
    return FollowingAioChannel(_Current(several, lambda: open_one(several.target())))


class _Current(Generic[_ChannelT]):
    """The channel that calls go to. One that was replaced lives as long as its calls."""

    def __init__(
        self, watch: NameWatch | SeveralAddresses, open_one: Callable[[], _ChannelT]
    ) -> None:
        self._watch = watch
        self._open_one = open_one
        self._lock = threading.Lock()
        self._seen = 0
        # The newest, and the one before: else its connections would end before they are shared.
        self._opened: list[_ChannelT] = []

    def get(self) -> _ChannelT:
        seen = self._watch.appearances()
        with self._lock:
            if seen != self._seen or not self._opened:
                self._opened = [self._open_one(), *self._opened[:1]]
                self._seen = seen
            return self._opened[0]

    def all(self) -> list[_ChannelT]:
        return self._opened


class _Method(Generic[_ChannelT]):
    """A method's callable, of whichever channel is current when it is called."""

    def __init__(
        self, current: _Current[_ChannelT], kind: str, path: str, codec: dict[str, Any]
    ) -> None:
        self._current = current
        self._kind, self._path, self._codec = kind, path, codec
        self._bound: tuple[_ChannelT | None, Any] = (None, None)

    def __call__(self, *request: Any, **options: Any) -> Any:  # noqa: ANN401 - gRPC's own types
        return self._now()(*request, **options)

    def with_call(self, *request: Any, **options: Any) -> Any:  # noqa: ANN401
        return self._now().with_call(*request, **options)

    def future(self, *request: Any, **options: Any) -> Any:  # noqa: ANN401
        return self._now().future(*request, **options)

    def _now(self) -> Any:  # noqa: ANN401
        channel = self._current.get()
        bound = self._bound
        if bound[0] is not channel:
            method = getattr(channel, self._kind)(self._path, **self._codec)
            self._bound = bound = (channel, method)
        return bound[1]


class _Methods(Generic[_ChannelT]):
    def __init__(self, current: _Current[_ChannelT]) -> None:
        self._current = current

    def unary_unary(self, method: str, **codec: Any) -> Any:  # noqa: ANN401
        return _Method(self._current, "unary_unary", method, codec)

    def unary_stream(self, method: str, **codec: Any) -> Any:  # noqa: ANN401
        return _Method(self._current, "unary_stream", method, codec)

    def stream_unary(self, method: str, **codec: Any) -> Any:  # noqa: ANN401
        return _Method(self._current, "stream_unary", method, codec)

    def stream_stream(self, method: str, **codec: Any) -> Any:  # noqa: ANN401
        return _Method(self._current, "stream_stream", method, codec)


class FollowingChannel(_Methods[grpc.Channel], grpc.Channel):  # type: ignore[misc]
    """For threads."""

    def subscribe(
        self, callback: Callable[[grpc.ChannelConnectivity], None], try_to_connect: bool = False
    ) -> None:
        """See `grpc.Channel`; of the channel that is current now."""
        self._current.get().subscribe(callback, try_to_connect)

    def unsubscribe(self, callback: Callable[[grpc.ChannelConnectivity], None]) -> None:
        """See `grpc.Channel`."""
        for channel in self._current.all():
            channel.unsubscribe(callback)

    def close(self) -> None:
        """Close every channel."""
        for channel in self._current.all():
            channel.close()

    def __enter__(self) -> FollowingChannel:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


class FollowingAioChannel(_Methods[grpc.aio.Channel], grpc.aio.Channel):  # type: ignore[misc]
    """For one event loop."""

    def get_state(self, try_to_connect: bool = False) -> grpc.ChannelConnectivity:
        """See `grpc.aio.Channel`; of the channel that is current now."""
        return self._current.get().get_state(try_to_connect)

    async def wait_for_state_change(self, last_observed_state: grpc.ChannelConnectivity) -> None:
        """See `grpc.aio.Channel`."""
        await self._current.get().wait_for_state_change(last_observed_state)

    async def channel_ready(self) -> None:
        """See `grpc.aio.Channel`."""
        await self._current.get().channel_ready()

    async def close(self, grace: float | None = None) -> None:
        """Close every channel."""
        for channel in self._current.all():
            await channel.close(grace)

    async def __aenter__(self) -> FollowingAioChannel:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.close()
