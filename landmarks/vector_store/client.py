"""Clients of Qdrant: gRPC only, with deadlines and message caps, embedded or a cluster alike.

The API key and TLS are those of Qdrant's own client.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import grpc
from qdrant_client import AsyncQdrantClient, QdrantClient
from qdrant_client.connection import get_async_channel, get_channel

from landmarks.rpc.channel import channel_options
from landmarks.rpc.following_channel import following, following_aio
from landmarks.rpc.name_watch import name_in
from landmarks.settings import QdrantSettings


def address_of(settings: QdrantSettings) -> str:
    """Return host:port, for messages."""
    return f"{settings.qdrant_host}:{settings.qdrant_port}"


def connect(settings: QdrantSettings) -> QdrantClient:
    """Return a client for threads. It connects when it is first used; close it when done.

    Raises ConfigurationError if a TLS file cannot be used.
    """
    with _unencrypted_key_is_known():
        client = QdrantClient(**_arguments(settings))
    if name_in(address_of(settings)):
        remote: Any = client._client
        open_one = partial(get_channel, **_channel_arguments(remote))
        remote._grpc_channel_pool = [following(address_of(settings), open_one)]
    return client


def connect_async(settings: QdrantSettings) -> AsyncQdrantClient:
    """Return a client for the running event loop, otherwise as `connect`."""
    with _unencrypted_key_is_known():
        client = AsyncQdrantClient(**_arguments(settings))
    if name_in(address_of(settings)):
        remote: Any = client._client
        open_one = partial(get_async_channel, **_channel_arguments(remote))
        remote._grpc_channel_pool = [following_aio(address_of(settings), open_one)]
    return client


def open_aio_channel(settings: QdrantSettings) -> grpc.aio.Channel:
    """Open a channel for calls with Qdrant's own messages and `key_metadata` in each.

    The client's own channel adds the key by an interceptor, which costs more than sending the call.

    Raises ConfigurationError if a TLS file cannot be used.
    """
    target, options = address_of(settings), channel_options()
    credentials = settings.tls.channel_credentials() if settings.qdrant_tls else None

    def open_one() -> grpc.aio.Channel:
        if credentials is None:
            return grpc.aio.insecure_channel(target, options=options)
        return grpc.aio.secure_channel(target, credentials, options=options)

    return following_aio(target, open_one)


def key_metadata(settings: QdrantSettings) -> tuple[tuple[str, str], ...]:
    """Return the metadata with the API key, as Qdrant's own client sends it."""
    key = settings.qdrant_api_key
    return (("api-key", key.get_secret_value()),) if key else ()


@contextmanager
def _unencrypted_key_is_known() -> Iterator[None]:
    """Keep the client from warning of a key without TLS, which the settings decide."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Api key is used with an insecure connection")
        yield


def _arguments(settings: QdrantSettings) -> dict[str, Any]:
    key = settings.qdrant_api_key
    return {
        "host": settings.qdrant_host,
        "port": None,
        "grpc_port": settings.qdrant_port,
        "prefer_grpc": True,
        "https": settings.qdrant_tls,
        "api_key": key.get_secret_value() if key else None,
        "timeout": math.ceil(settings.qdrant_timeout_seconds),
        "grpc_options": {**dict(channel_options()), **_tls_options(settings)},
        # The check is REST, which the embedded server does not speak.
        "check_compatibility": False,
        # More channels of the same options would share the connections of one.
        "pool_size": 1,
    }


def _channel_arguments(remote: Any) -> dict[str, Any]:  # noqa: ANN401
    """Return what Qdrant's client would open its channel with. It takes none from outside."""
    return {
        "host": remote._host,
        "port": remote._grpc_port,
        "ssl": remote._https,
        "metadata": remote._grpc_headers,
        "options": remote._grpc_options,
    }


def _tls_options(settings: QdrantSettings) -> dict[str, bytes | None]:
    """Return the client's arguments for its TLS credentials."""
    if not settings.qdrant_tls:
        return {}
    files = settings.tls.contents()
    return {
        "root_certificates": files.ca,
        "private_key": files.key,
        "certificate_chain": files.certificate,
    }
