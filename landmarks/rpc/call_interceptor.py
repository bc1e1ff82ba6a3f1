"""Gives every call a request id, turns its errors into statuses, and counts it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc
import structlog

from landmarks.errors import OverloadedError
from landmarks.observability import metrics, request_id
from landmarks.rpc.handler_wrapping import Context, Handler, within
from landmarks.rpc.status import abort_status, code_from_number, status_of

_log = structlog.get_logger(__name__)


class CallInterceptor(grpc.aio.ServerInterceptor):
    """Turns every exception of a handler into its status, and logs those that are our own fault.

    Lines that are logged during the call have its request id
    (`landmarks.observability.request_id`).
    """

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler | None:
        """Wrap the method's handler."""
        handler = await continuation(handler_call_details)
        method = handler_call_details.method
        if handler is None:
            return None
        return within(lambda _, context: _observed(context, method), handler) or handler


@asynccontextmanager
async def _observed(context: Context, method: str) -> AsyncIterator[None]:
    started = time.monotonic()
    sent = dict(context.invocation_metadata() or ())
    # Never unbound: each call runs in its own task.
    id_ = request_id.bind(sent.get(request_id.HEADER))
    # Trailing, as initial metadata would end the client's right to retry.
    context.set_trailing_metadata(((request_id.HEADER, id_),))
    code = grpc.StatusCode.OK
    try:
        yield
        code = _code_set(context)
    except grpc.aio.AbortError:
        code = _code_set(context)
        raise
    except (asyncio.CancelledError, GeneratorExit):
        code = _code_of_leaving(context)
        raise
    except Exception as error:  # noqa: BLE001 - the one place that maps them all
        status = status_of(error)
        code = code_from_number(status.code)
        metrics.failed(error)
        if code is grpc.StatusCode.INTERNAL:
            _log.error("request failed", method=method, exc_info=error)
        else:
            # Under overload, a line for each refusal would slow the calls that are served.
            log = _log.debug if isinstance(error, OverloadedError) else _log.info
            log("request refused", method=method, code=status.code, reason=status.message)
        # Aborting alone leaves the span of the call, if there is one, as a success.
        context.set_code(code)
        context.set_details(status.message)
        await context.abort_with_status(abort_status(status, ((request_id.HEADER, id_),)))
    finally:
        metrics.call_ended(method, code, time.monotonic() - started)


def _code_set(context: Context) -> grpc.StatusCode:
    code: Any = context.code()  # despite its stub: None, or the number on the wire
    return code if isinstance(code, grpc.StatusCode) else code_from_number(code or 0)


def _code_of_leaving(context: Context) -> grpc.StatusCode:
    """Return what the caller saw of a call that was cancelled while it ran."""
    left = context.time_remaining()
    timed_out = left is not None and left <= 0
    return grpc.StatusCode.DEADLINE_EXCEEDED if timed_out else grpc.StatusCode.CANCELLED
