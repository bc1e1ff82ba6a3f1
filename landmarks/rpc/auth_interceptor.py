"""Who may call what, decided before a call's message is read."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Protocol

import grpc
import structlog

from landmarks.errors import LandmarksError
from landmarks.rpc.channel import KEY_HEADER
from landmarks.rpc.handler_wrapping import Context, Handler, within
from landmarks.security.caller import Caller, begin_call

_CLIENT = "client"


class AdmissionPolicy(Protocol):
    """Decides about calls."""

    def admit(self, method: str, sent: Mapping[str, str | bytes]) -> Caller:
        """Return the caller; `sent` is the metadata.

        `method` is as in /package.Service/Method. Raises UnauthenticatedError or ForbiddenError.
        """

    def count(self, method: str, request: object, caller: Caller, peer: str) -> None:
        """Check what an admitted call requests, and count it; `peer` is its address.

        Raises ForbiddenError or RateLimitedError.
        """


class AdmissionInterceptor(grpc.aio.ServerInterceptor):
    """Admits or refuses each call. Log lines of the call have the caller's name as `client`."""

    def __init__(self, policy: AdmissionPolicy) -> None:
        self._policy = policy

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler | None:
        """Return the method's handler if the caller may call it, else one that refuses."""
        method = handler_call_details.method
        sent = dict(handler_call_details.invocation_metadata or ())
        handler = await continuation(handler_call_details)
        if handler is None:  # first: a refusal would be counted under the method's name
            return None
        try:
            caller = self._policy.admit(method, sent)
        except LandmarksError as error:
            return _refusing(error)

        @asynccontextmanager
        async def counted(request: object, context: Context) -> AsyncIterator[None]:
            if caller.name:
                structlog.contextvars.bind_contextvars(**{_CLIENT: caller.name})
            self._policy.count(method, request, caller, context.peer())
            begin_call(lambda: self._policy.admit(method, sent))
            yield

        return within(counted, handler) or _refusing(
            LandmarksError(f"{method} has a form that this server does not serve")
        )


def bearer_of(sent: Mapping[str, str | bytes]) -> str:
    """Return the key of `authorization: Bearer KEY`; empty if there is none."""
    value = sent.get(KEY_HEADER)
    if not isinstance(value, str):
        return ""
    scheme, _, key = value.strip().partition(" ")
    return key.strip() if scheme.lower() == "bearer" else ""


def _refusing(error: LandmarksError) -> Handler:
    async def refuse(_requests: Any, _context: Context) -> AsyncIterator[bytes]:  # noqa: ANN401
        raise error
        yield b""  # which makes it a stream

    # A stream is read on demand; a single message is read before the handler runs.
    return grpc.stream_stream_rpc_method_handler(refuse)
