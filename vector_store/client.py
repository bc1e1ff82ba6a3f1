"""Clients of Qdrant: gRPC only, with deadlines and message caps, embedded or a cluster alike."""

from __future__ import annotations

import math
from typing import Any

from qdrant_client import AsyncQdrantClient, QdrantClient

from landmarks.grpc_channel import channel_options
from landmarks.settings import QdrantSettings


def address_of(settings: QdrantSettings) -> str:
    """Return host:port, for messages."""
    return f"{settings.qdrant_host}:{settings.qdrant_port}"


def connect(settings: QdrantSettings) -> QdrantClient:
    """Return a client for threads. It connects when it is first used; close it when done."""
    return QdrantClient(**_arguments(settings))


def connect_async(settings: QdrantSettings) -> AsyncQdrantClient:
    """Return a client for the running event loop, otherwise as `connect`."""
    return AsyncQdrantClient(**_arguments(settings))


def _arguments(settings: QdrantSettings) -> dict[str, Any]:
    return {
        "host": settings.qdrant_host,
        "port": None,
        "grpc_port": settings.qdrant_port,
        "prefer_grpc": True,
        "https": False,
        "timeout": math.ceil(settings.qdrant_timeout_seconds),
        "grpc_options": dict(channel_options()),
        # The check is REST, which the embedded server does not speak.
        "check_compatibility": False,
    }
