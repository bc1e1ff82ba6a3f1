"""gRPC methods made of functions that block: each call runs in a thread."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from functools import partial, wraps
from typing import Protocol, TypeAlias, TypeVar

import grpc

from landmarks.errors import DeadlineError

_RequestT = TypeVar("_RequestT")
_ResponseT = TypeVar("_ResponseT")
_ServicerT = TypeVar("_ServicerT")
_Context: TypeAlias = grpc.aio.ServicerContext[_RequestT, _ResponseT]
_Blocking: TypeAlias = Callable[[_ServicerT, _RequestT], _ResponseT]
_Method: TypeAlias = Callable[
    [_ServicerT, _RequestT, _Context[_RequestT, _ResponseT]], Coroutine[None, None, _ResponseT]
]


class StartsJobs(Protocol):
    """A servicer with threads kept for starting jobs."""

    @property
    def starting(self) -> Executor:
        """The threads in which jobs are started."""
        ...


_StarterT = TypeVar("_StarterT", bound=StartsJobs)


def in_thread(
    method: _Blocking[_ServicerT, _RequestT, _ResponseT],
) -> _Method[_ServicerT, _RequestT, _ResponseT]:
    """Return the gRPC method that runs `method` in a thread."""

    @wraps(method)
    async def call(
        self: _ServicerT, request: _RequestT, context: _Context[_RequestT, _ResponseT]
    ) -> _ResponseT:
        del context
        return await asyncio.to_thread(method, self, request)

    return call


def starting_job(
    method: _Blocking[_StarterT, _RequestT, _ResponseT],
) -> _Method[_StarterT, _RequestT, _ResponseT]:
    """Return the gRPC method that runs `method`, which reads a source, until the call's deadline.

    A source's server or mount may hang, so these calls have threads of their own: the others go
    on. The method raises DeadlineError when the call's time is up.
    """

    @wraps(method)
    async def call(
        self: _StarterT, request: _RequestT, context: _Context[_RequestT, _ResponseT]
    ) -> _ResponseT:
        # With the call's context variables, one of which is its request id.
        run = partial(contextvars.copy_context().run, method, self, request)
        try:
            async with asyncio.timeout(context.time_remaining()):
                return await asyncio.get_running_loop().run_in_executor(self.starting, run)
        except TimeoutError:
            raise DeadlineError(
                "the source could not be read in time; check that its server or mount is reachable"
            ) from None

    return call
