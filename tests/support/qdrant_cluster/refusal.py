"""What a real cluster says when nodes are away, word by word."""

from __future__ import annotations

from collections.abc import Sequence

import grpc

_SERVICE = "Service internal error: "
_AWAY = f"{_SERVICE}Tonic status error: code: 'The service is currently unavailable', message: "
_TRANSIENT = (
    grpc.StatusCode.INTERNAL,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.CANCELLED,
)


class RefusalError(Exception):
    """A call that failed, with its status."""

    def __init__(self, code: grpc.StatusCode, details: str) -> None:
        super().__init__(details)
        self.code = code
        self.details = details

    @property
    def transient(self) -> bool:
        """Whether another copy may do better."""
        return self.code in _TRANSIENT


def internal(details: str) -> RefusalError:
    """Return an internal error."""
    return RefusalError(grpc.StatusCode.INTERNAL, f"{_SERVICE}{details}")


def refused_connection(address: str, *, known: bool) -> RefusalError:
    """Return the error of a peer whose port is closed; a `known` one was connected before."""
    if known:
        message = (
            '"tcp connect error", source: tonic::transport::Error(Transport, ConnectError('
            f'ConnectError("tcp connect error", {address}, Os {{ code: 111, kind:'
            ' ConnectionRefused, message: "Connection refused" })))'
        )
    else:
        message = f'"Failed to connect to http://{address}/, error: transport error"'
    return RefusalError(grpc.StatusCode.INTERNAL, _AWAY + message)


def silent_peer() -> RefusalError:
    """Return the error of a peer that accepts connections and answers nothing."""
    return RefusalError(
        grpc.StatusCode.DEADLINE_EXCEEDED,
        "Timeout error: Deadline Exceeded: code: 'Deadline expired before operation could"
        ' complete\', message: "Healthcheck timeout 2000ms exceeded"',
    )


def no_consensus() -> RefusalError:
    """Return the error of a change that no majority has agreed to."""
    return internal("Waiting for consensus operation commit failed. Timeout set at: 10 seconds")


def failed_reads(errors: Sequence[RefusalError], tried: int) -> RefusalError:
    """Return the error of a read that too few copies answered."""
    colon = ":" if errors else ""
    lines = "".join(f"\n  {one.details}" for one in errors)
    return internal(f"{len(errors)} of {tried} read operations failed{colon}{lines}")


def failed_shards(first: RefusalError, failed: int, all_of_them: int) -> RefusalError:
    """Return the error of a write that some shards have not taken."""
    if failed == all_of_them:
        return first
    prefix = _SERVICE if first.code == grpc.StatusCode.INTERNAL else ""
    return RefusalError(
        first.code,
        f"{prefix}{failed} out of {all_of_them} shards failed to apply operation. First error"
        f" captured: {first.details}",
    )


def no_collection(name: str) -> RefusalError:
    """Return the error of a collection that does not exist."""
    return RefusalError(grpc.StatusCode.NOT_FOUND, f"Not found: Collection `{name}` doesn't exist!")
