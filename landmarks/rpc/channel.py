"""Channels: balanced over all addresses of a target, capped, and kept alive.

A target is what gRPC resolves: `127.0.0.1:50051`, `dns:///encoder-vgg16:50051` (one address per
replica behind a headless service) or `ipv4:127.0.0.1:50051,127.0.0.1:50052`. Calls go round
robin over its addresses; those that a name gets later are found within seconds. Share one channel
per target: a channel is a connection pool. Calls pass the current request id on, and the API key
if there is one.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import grpc

from landmarks.errors import ConfigurationError
from landmarks.observability import request_id
from landmarks.rpc.following_channel import following, following_aio
from landmarks.security.tls import NO_TLS, Tls

_Request = TypeVar("_Request")
_Call = TypeVar("_Call")

# Retried if the server has not seen the call, or says that a retry is safe. Overload is not
# retried here: callers wait as long as the server says. Nor is a batch of photos: one of them may
# have crashed the server, and the next replica should not follow.
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

# Room for the largest photo that is accepted by default.
MAX_MESSAGE_BYTES = 160 * 1024 * 1024
# The metadata of a caller's API key: `authorization: Bearer KEY`.
KEY_HEADER = "authorization"


def channel_options() -> list[tuple[str, int | str]]:
    """Return the options of every channel in the system."""
    return [
        ("grpc.service_config", _SERVICE_CONFIG),
        ("grpc.enable_retries", 1),
        ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
        ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
        ("grpc.keepalive_time_ms", 30_000),
        ("grpc.keepalive_timeout_ms", 10_000),
        # Without it, a server that hangs is noticed after a minute, whatever the line above says.
        ("grpc.http2.ping_timeout_ms", 10_000),
        # A replica that has come back is found within seconds, not after the default two minutes.
        ("grpc.max_reconnect_backoff_ms", 3_000),
        ("grpc.initial_reconnect_backoff_ms", 300),
        ("grpc.dns_min_time_between_resolutions_ms", 3_000),
        ("grpc.enable_http_proxy", 0),
    ]


def open_channel(target: str, tls: Tls = NO_TLS, api_key: str = "") -> grpc.Channel:
    """Open a channel for threads; with TLS if `tls` has a CA.

    Raises ConfigurationError if a file of `tls` cannot be used.
    """
    options = _options_of(target, tls)
    headers = _Headers(key_headers(api_key))
    credentials = tls.channel_credentials() if tls.calls else None

    def open_one() -> grpc.Channel:
        if credentials is not None:
            channel = grpc.secure_channel(target, credentials, options=options)
        else:
            channel = grpc.insecure_channel(target, options=options)
        return grpc.intercept_channel(channel, headers)

    return following(target, open_one)


def open_aio_channel(target: str, tls: Tls = NO_TLS, api_key: str = "") -> grpc.aio.Channel:
    """Open a channel for the running event loop, otherwise as `open_channel`."""
    options = _options_of(target, tls)
    own = key_headers(api_key)
    # Two, as gRPC takes an interceptor for one kind of call only.
    interceptors = [_UnaryHeaders(own), _StreamHeaders(own)]
    credentials = tls.channel_credentials() if tls.calls else None

    def open_one() -> grpc.aio.Channel:
        if credentials is not None:
            return grpc.aio.secure_channel(
                target, credentials, options=options, interceptors=interceptors
            )
        return grpc.aio.insecure_channel(target, options=options, interceptors=interceptors)

    return following_aio(target, open_one)


def key_headers(api_key: str) -> dict[str, str]:
    """Return the metadata that identifies the caller; empty without a key.

    Raises ConfigurationError if the key cannot be sent.
    """
    if not api_key:
        return {}
    if not (api_key.isascii() and api_key.isprintable()):
        raise ConfigurationError("the API key has characters that no key has; copy it again")
    return {KEY_HEADER: f"Bearer {api_key}"}


def _options_of(target: str, tls: Tls) -> list[tuple[str, int | str]]:
    if not tls.calls:
        return channel_options()
    if tls.server_name:
        return [*channel_options(), ("grpc.ssl_target_name_override", tls.server_name)]
    if target.startswith(("ipv4:", "ipv6:")) and "," in target:
        raise ConfigurationError(
            f"{target} is several addresses, which no certificate names together; set"
            " LANDMARKS_TLS_SERVER_NAME to a name that the certificates of all have"
        )
    return channel_options()


@dataclass(frozen=True)
class _Details(grpc.ClientCallDetails):
    """The details of a call; gRPC's own class has no constructor."""

    method: str
    timeout: float | None
    metadata: Any
    credentials: grpc.CallCredentials | None
    wait_for_ready: bool | None
    compression: grpc.Compression | None


class _Headers(grpc.UnaryUnaryClientInterceptor, grpc.UnaryStreamClientInterceptor):
    def __init__(self, own: Mapping[str, str]) -> None:
        self._own = own

    def intercept_unary_unary(
        self,
        continuation: Callable[[grpc.ClientCallDetails, _Request], _Call],
        client_call_details: grpc.ClientCallDetails,
        request: _Request,
    ) -> _Call:
        return continuation(_with_headers(client_call_details, self._own), request)

    def intercept_unary_stream(
        self,
        continuation: Callable[[grpc.ClientCallDetails, _Request], _Call],
        client_call_details: grpc.ClientCallDetails,
        request: _Request,
    ) -> _Call:
        return continuation(_with_headers(client_call_details, self._own), request)


class _UnaryHeaders(grpc.aio.UnaryUnaryClientInterceptor):
    def __init__(self, own: Mapping[str, str]) -> None:
        self._own = own

    async def intercept_unary_unary(
        self,
        continuation: Callable[[grpc.aio.ClientCallDetails, _Request], Awaitable[_Call]],
        client_call_details: grpc.aio.ClientCallDetails,
        request: _Request,
    ) -> _Call:
        return await continuation(_with_headers_aio(client_call_details, self._own), request)


class _StreamHeaders(grpc.aio.UnaryStreamClientInterceptor):
    def __init__(self, own: Mapping[str, str]) -> None:
        self._own = own

    async def intercept_unary_stream(
        self,
        continuation: Callable[[grpc.aio.ClientCallDetails, _Request], Awaitable[_Call]],
        client_call_details: grpc.aio.ClientCallDetails,
        request: _Request,
    ) -> _Call:
        return await continuation(_with_headers_aio(client_call_details, self._own), request)


def _with_headers(
    details: grpc.ClientCallDetails, own: Mapping[str, str]
) -> grpc.ClientCallDetails:
    metadata = {**request_id.headers(), **own, **dict(details.metadata or ())}
    return _Details(
        details.method,
        details.timeout,
        tuple(metadata.items()),
        details.credentials,
        details.wait_for_ready,
        details.compression,
    )


def _with_headers_aio(
    details: grpc.aio.ClientCallDetails, own: Mapping[str, str]
) -> grpc.aio.ClientCallDetails:
    metadata = {**request_id.headers(), **own, **dict(details.metadata or ())}
    return grpc.aio.ClientCallDetails(
        details.method,
        details.timeout,
        grpc.aio.Metadata(*metadata.items()),
        details.credentials,
        details.wait_for_ready,
    )
