"""Clients of Qdrant: gRPC only, with deadlines and message caps, embedded or a cluster alike."""

from __future__ import annotations

import math

from qdrant_client import AsyncQdrantClient, QdrantClient

from landmarks.grpc_channel import channel_options
from landmarks.settings import QdrantSettings


def address_of(settings: QdrantSettings) -> str:
    """Return host:port, for messages."""
    return f"{settings.qdrant_host}:{settings.qdrant_port}"


def connect(settings: QdrantSettings) -> QdrantClient:
    """Return a client for threads. It connects when it is first used; close it when done.

    The compatibility check is off because it is REST, which the embedded server does not speak.
    """
    return QdrantClient(
        host=settings.qdrant_host,
        port=None,
        grpc_port=settings.qdrant_port,
        prefer_grpc=True,
        https=False,
        timeout=math.ceil(settings.qdrant_timeout_seconds),
        grpc_options=_options(),
        check_compatibility=False,
    )


def connect_async(settings: QdrantSettings) -> AsyncQdrantClient:
    """Return a client for the running event loop, otherwise as `connect`."""
    return AsyncQdrantClient(
        host=settings.qdrant_host,
        port=None,
        grpc_port=settings.qdrant_port,
        prefer_grpc=True,
        https=False,
        timeout=math.ceil(settings.qdrant_timeout_seconds),
        grpc_options=_options(),
        check_compatibility=False,
    )


def _options() -> dict[str, int | str]:
    return dict(channel_options())
