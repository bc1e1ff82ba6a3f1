"""Clients of Qdrant: gRPC only, with deadlines and message caps, embedded or a cluster alike.

An API key goes along as Qdrant's own client sends it, and TLS is that client's too.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import grpc
from qdrant_client import AsyncQdrantClient, QdrantClient

from landmarks.rpc.channel import channel_options
from landmarks.settings import QdrantSettings


def address_of(settings: QdrantSettings) -> str:
    """Return host:port, for messages."""
    return f"{settings.qdrant_host}:{settings.qdrant_port}"


def connect(settings: QdrantSettings) -> QdrantClient:
    """Return a client for threads. It connects when it is first used; close it when done.

    Raises ConfigurationError where a file of TLS cannot be used.
    """
    with _unencrypted_key_is_known():
        return QdrantClient(**_arguments(settings))


def connect_async(settings: QdrantSettings) -> AsyncQdrantClient:
    """Return a client for the running event loop, otherwise as `connect`."""
    with _unencrypted_key_is_known():
        return AsyncQdrantClient(**_arguments(settings))


def open_aio_channel(settings: QdrantSettings) -> grpc.aio.Channel:
    """Open a channel for calls by Qdrant's own messages, with `key_metadata` in each.

    The client's channel adds the key, and what else it might be told to, by an interceptor, which
    costs a call more than to send it does.

    Raises ConfigurationError where a file of TLS cannot be used.
    """
    target, options = address_of(settings), channel_options()
    if not settings.qdrant_tls:
        return grpc.aio.insecure_channel(target, options=options)
    return grpc.aio.secure_channel(target, settings.tls.channel_credentials(), options=options)


def key_metadata(settings: QdrantSettings) -> tuple[tuple[str, str], ...]:
    """Return what tells Qdrant in a call who calls, as its own client does."""
    key = settings.qdrant_api_key
    return (("api-key", key.get_secret_value()),) if key else ()


@contextmanager
def _unencrypted_key_is_known() -> Iterator[None]:
    """Keep the client from warning of a key without TLS: that is what the settings say."""
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
    }


def _tls_options(settings: QdrantSettings) -> dict[str, bytes | None]:
    """Return what the client makes credentials of, under the names that it takes them by."""
    if not settings.qdrant_tls:
        return {}
    files = settings.tls.contents()
    return {
        "root_certificates": files.ca,
        "private_key": files.key,
        "certificate_chain": files.certificate,
    }
