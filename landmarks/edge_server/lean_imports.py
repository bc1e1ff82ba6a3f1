"""Qdrant's messages without Qdrant's client, and without gRPC.

Importing the client takes 50 MB and a second; gRPC takes 15 MB. What only serves needs neither the
one nor, in a shard's process, the other. Both are for the main module of a process: code
that needs the rest of these packages afterwards does not find it.
"""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.util import find_spec, module_from_spec
from types import ModuleType

_MESSAGES = ("points_pb2", "collections_pb2", "qdrant_common_pb2", "json_with_int_pb2")


def leave_out_the_client() -> None:
    """Have this process import `qdrant_client.grpc` without the client around it."""
    _without_running("qdrant_client")


def leave_out_grpc() -> None:
    """Have this process import the messages of `qdrant_client.grpc` alone, and no services."""
    _without_running("qdrant_client")
    package = _without_running("qdrant_client.grpc")
    for name in _MESSAGES:
        module = vars(import_module(f"qdrant_client.grpc.{name}"))
        vars(package).update({key: one for key, one in module.items() if not key.startswith("_")})


def _without_running(name: str) -> ModuleType:
    """Add a package whose `__init__` is not run: its submodules are found in its folder."""
    spec = find_spec(name)
    if spec is None:
        raise ImportError(f"{name} is not installed")
    return sys.modules.setdefault(name, module_from_spec(spec))
