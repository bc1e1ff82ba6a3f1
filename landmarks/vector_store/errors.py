"""The one place where Qdrant's failures become `landmarks.errors`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import grpc
from google.rpc.code_pb2 import Code
from qdrant_client.common.client_exceptions import ResourceExhaustedResponse

from landmarks.errors import (
    DiskFullError,
    InvalidInputError,
    LandmarksError,
    NotFoundError,
    OverloadedError,
    UnavailableError,
    UnsupportedError,
)
from landmarks.rpc.status import error_from_status, rpc_status, too_large
from landmarks.vector_store.cluster_failures import disk_is_full, peer_lags, peers_are_away

# How gRPC for Python reports it, as our other services would.
_NO_SUCH_METHOD = "Method not found!"
# Qdrant's codes for nodes of its cluster that are away, or do not answer in time.
_OF_PEERS = (Code.INTERNAL, Code.DEADLINE_EXCEEDED)


@contextmanager
def qdrant_failures(address: str, *, callers_deadline: bool = False) -> Iterator[None]:
    """Turn the failures of a call of qdrant-client, sync or async, into `landmarks.errors`.

    `address` is Qdrant's, for messages. Wrap only the call itself. `callers_deadline`: its time is
    what the caller has left, so that it may be over without Qdrant being slow.
    """
    try:
        yield
    except grpc.RpcError as error:
        raise _from_rpc(error, address, callers_deadline=callers_deadline) from error
    except ResourceExhaustedResponse as error:
        raise OverloadedError(
            f"Qdrant at {address}: {error.message}", retry_after=float(error.retry_after_s)
        ) from error
    except ValueError as error:  # from the client's own checks, and its local mode
        text = str(error)
        kind = NotFoundError if "not found" in text else InvalidInputError
        raise kind(f"Qdrant: {text}") from error


def is_engine_failure(error: LandmarksError) -> bool:
    """Say whether Qdrant failed by itself (INTERNAL), as at a damaged file."""
    return type(error) is LandmarksError


def _from_rpc(error: grpc.RpcError, address: str, *, callers_deadline: bool) -> LandmarksError:
    status = rpc_status(error, f"Qdrant at {address}")
    if error_of_size := too_large(status):
        return error_of_size
    if status.code == Code.RESOURCE_EXHAUSTED and (seconds := _retry_after(error)):
        return OverloadedError(status.message, retry_after=seconds)
    if status.code == Code.FAILED_PRECONDITION:
        # Qdrant's code for a shard or replica that is not ready; it has nothing to do with lineage.
        return UnavailableError(status.message)
    if status.code in (Code.UNAUTHENTICATED, Code.PERMISSION_DENIED):
        # Not our caller's fault: it lasts until an operator sets the right key.
        return UnavailableError(
            f"{status.message}; set LANDMARKS_QDRANT_API_KEY to the key that Qdrant has"
        )
    if status.code == Code.INTERNAL and disk_is_full(status.message):
        return DiskFullError(
            f"{status.message} (Qdrant's disk is full: searches go on, writes wait)"
        )
    if status.code in _OF_PEERS and peers_are_away(status.message):
        return UnavailableError(
            f"{status.message} (nodes of Qdrant's cluster are away; what needs them waits)"
        )
    if status.code == Code.DEADLINE_EXCEEDED and not callers_deadline:
        # A cluster may take that long to find that a node is away. The write is to be repeated.
        return UnavailableError(f"{status.message} within LANDMARKS_QDRANT_TIMEOUT_SECONDS")
    if status.code == Code.NOT_FOUND and peer_lags(status.message):
        return UnavailableError(f"{status.message} (a node of Qdrant's cluster lags behind)")
    if status.code == Code.UNIMPLEMENTED and status.message.endswith(_NO_SUCH_METHOD):
        return UnsupportedError(
            f"{status.message} Is that address Qdrant's? Set LANDMARKS_QDRANT_HOST and"
            " LANDMARKS_QDRANT_PORT"
        )
    return error_from_status(status)


def _retry_after(error: grpc.RpcError) -> float:
    """Return how many seconds Qdrant asks callers to wait; 0 if it does not say."""
    if isinstance(error, grpc.aio.AioRpcError):
        for key, value in error.trailing_metadata():
            if key == "retry-after" and isinstance(value, str) and value.isdecimal():
                return float(value)
    return 0.0
