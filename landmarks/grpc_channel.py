"""Channels: balanced over all addresses of a target, capped, and kept alive.

A target is anything gRPC resolves: `127.0.0.1:50051`, `dns:///encoder-vgg16:50051` (one address
per replica behind a headless service) or `ipv4:127.0.0.1:50051,127.0.0.1:50052`. Calls go round
robin over its addresses. Share one channel per target: a channel is a connection pool. Calls pass
the current request id on.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import grpc

from landmarks import request_id

_Request = TypeVar("_Request")
_Call = TypeVar("_Call")

# Retried before the server has seen the call, or where the server says that it is safe. Overload
# is not retried here: callers wait it out by the server's own hint. Nor is a batch of photos: one
# of them may be what took the server down, and the next replica should not follow.
_SERVICE_CONFIG = json.dumps(
    {
        "loadBalancingConfig": [{"round_robin": {}}],
        "methodConfig": [
            {
                "name": [{}],
                "retryPolicy": {
                    "maxAttempts": 4,
                    "initialBackoff": "0.1s",
                    "maxBackoff": "2s",
                    "backoffMultiplier": 2,
                    "retryableStatusCodes": ["UNAVAILABLE"],
                },
            },
            {
                "name": [
                    {"service": "landmarkapi.encoder.v1.EncoderService", "method": "BatchEncode"}
                ]
            },
        ],
    }
)

MAX_MESSAGE_BYTES = 64 * 1024 * 1024


def channel_options() -> list[tuple[str, int | str]]:
    """Return the options of every channel in the system."""
    return [
        ("grpc.service_config", _SERVICE_CONFIG),
        ("grpc.enable_retries", 1),
        ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
        ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
        ("grpc.keepalive_time_ms", 30_000),
        ("grpc.keepalive_timeout_ms", 10_000),
        # A replica that has come back is found within seconds, not after the default two minutes.
        ("grpc.max_reconnect_backoff_ms", 3_000),
        ("grpc.initial_reconnect_backoff_ms", 300),
        ("grpc.dns_min_time_between_resolutions_ms", 3_000),
        ("grpc.enable_http_proxy", 0),
    ]


def open_channel(target: str) -> grpc.Channel:
    """Open a channel for threads."""
    channel = grpc.insecure_channel(target, options=channel_options())
    return grpc.intercept_channel(channel, _RequestId())


def open_aio_channel(target: str) -> grpc.aio.Channel:
    """Open a channel for the running event loop."""
    return grpc.aio.insecure_channel(
        target,
        options=channel_options(),
        # Two, as gRPC takes an interceptor for one kind of call only.
        interceptors=[_UnaryRequestId(), _StreamRequestId()],
    )


@dataclass(frozen=True)
class _Details(grpc.ClientCallDetails):
    """What a call is made with; gRPC's own has no constructor."""

    method: str
    timeout: float | None
    metadata: Any
    credentials: grpc.CallCredentials | None
    wait_for_ready: bool | None
    compression: grpc.Compression | None


class _RequestId(grpc.UnaryUnaryClientInterceptor, grpc.UnaryStreamClientInterceptor):
    def intercept_unary_unary(
        self,
        continuation: Callable[[grpc.ClientCallDetails, _Request], _Call],
        client_call_details: grpc.ClientCallDetails,
        request: _Request,
    ) -> _Call:
        return continuation(_with_request_id(client_call_details), request)

    def intercept_unary_stream(
        self,
        continuation: Callable[[grpc.ClientCallDetails, _Request], _Call],
        client_call_details: grpc.ClientCallDetails,
        request: _Request,
    ) -> _Call:
        return continuation(_with_request_id(client_call_details), request)


class _UnaryRequestId(grpc.aio.UnaryUnaryClientInterceptor):
    async def intercept_unary_unary(
        self,
        continuation: Callable[[grpc.aio.ClientCallDetails, _Request], Awaitable[_Call]],
        client_call_details: grpc.aio.ClientCallDetails,
        request: _Request,
    ) -> _Call:
        return await continuation(_with_request_id_aio(client_call_details), request)


class _StreamRequestId(grpc.aio.UnaryStreamClientInterceptor):
    async def intercept_unary_stream(
        self,
        continuation: Callable[[grpc.aio.ClientCallDetails, _Request], Awaitable[_Call]],
        client_call_details: grpc.aio.ClientCallDetails,
        request: _Request,
    ) -> _Call:
        return await continuation(_with_request_id_aio(client_call_details), request)


def _with_request_id(details: grpc.ClientCallDetails) -> grpc.ClientCallDetails:
    metadata = {**request_id.headers(), **dict(details.metadata or ())}
    return _Details(
        details.method,
        details.timeout,
        tuple(metadata.items()),
        details.credentials,
        details.wait_for_ready,
        details.compression,
    )


def _with_request_id_aio(details: grpc.aio.ClientCallDetails) -> grpc.aio.ClientCallDetails:
    metadata = {**request_id.headers(), **dict(details.metadata or ())}
    return grpc.aio.ClientCallDetails(
        details.method,
        details.timeout,
        grpc.aio.Metadata(*metadata.items()),
        details.credentials,
        details.wait_for_ready,
    )
