"""The one place where Qdrant's failures become errors of ours."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import grpc
from google.rpc.code_pb2 import Code
from qdrant_client.common.client_exceptions import ResourceExhaustedResponse

from landmarks.errors import (
    InvalidInputError,
    LandmarksError,
    NotFoundError,
    OverloadedError,
    UnavailableError,
    UnsupportedError,
)
from landmarks.rpc.status import error_from_status, rpc_status

# How gRPC for Python says it, which our other services are made with.
_NO_SUCH_METHOD = "Method not found!"


@contextmanager
def qdrant_failures(address: str) -> Iterator[None]:
    """Turn what goes wrong in a call of qdrant-client, sync or async, into `landmarks.errors`.

    `address` is Qdrant's, for messages. Wrap the call, and nothing but the call.
    """
    try:
        yield
    except grpc.RpcError as error:
        raise _from_rpc(error, address) from error
    except ResourceExhaustedResponse as error:
        raise OverloadedError(
            f"Qdrant at {address}: {error.message}", retry_after=float(error.retry_after_s)
        ) from error
    except ValueError as error:  # how the client's own checks, and its local mode, say it
        text = str(error)
        kind = NotFoundError if "not found" in text else InvalidInputError
        raise kind(f"Qdrant: {text}") from error


def _from_rpc(error: grpc.RpcError, address: str) -> LandmarksError:
    status = rpc_status(error, f"Qdrant at {address}")
    if status.code == Code.RESOURCE_EXHAUSTED and (seconds := _retry_after(error)):
        return OverloadedError(status.message, retry_after=seconds)
    if status.code == Code.FAILED_PRECONDITION:
        # Qdrant's word for a shard or replica that is not ready; it knows nothing of lineage.
        return UnavailableError(status.message)
    if status.code in (Code.UNAUTHENTICATED, Code.PERMISSION_DENIED):
        # Whoever asked us has nothing to do with it. It is so until someone sets the key right.
        return UnavailableError(
            f"{status.message}; set LANDMARKS_QDRANT_API_KEY to the key that it was given"
        )
    if status.code == Code.UNIMPLEMENTED and status.message.endswith(_NO_SUCH_METHOD):
        return UnsupportedError(
            f"{status.message} Is it Qdrant that listens there? LANDMARKS_QDRANT_HOST and"
            " LANDMARKS_QDRANT_PORT say where it is looked for"
        )
    return error_from_status(status)


def _retry_after(error: grpc.RpcError) -> float:
    """Return in how many seconds Qdrant wants to be asked again; 0 where it does not say."""
    if isinstance(error, grpc.aio.AioRpcError):
        for key, value in error.trailing_metadata():
            if key == "retry-after" and isinstance(value, str) and value.isdecimal():
                return float(value)
    return 0.0
