"""What both clients do around a call: one deadline, retries under overload, readable errors."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import grpc
from google.protobuf.message import Message

from landmarks.errors import DeadlineError, LandmarksError, OverloadedError, UnavailableError
from landmarks.rpc.status import error_from_rpc

DEFAULT_TARGET = "127.0.0.1:50050"

# At worst a busy encoder decodes a photo; the other calls read from memory.
SEARCH_SECONDS = 30.0
CALL_SECONDS = 10.0
# A stream is renewed at this age: no call is without a deadline.
WATCH_SECONDS = 300.0
# A job goes on while its watcher cannot reach the service.
WATCH_PATIENCE_SECONDS = 60.0
WATCH_PAUSE_SECONDS = 1.0
PAGE_SIZE = 500

# How often a call is made while the service is busy. More would keep it busy.
_ATTEMPTS = 3

Answer = TypeVar("Answer", bound=Message)


@dataclass(frozen=True)
class RpcCall(Generic[Answer]):
    """One call: its full method, request, type of answer, and deadline in seconds."""

    method: str
    request: Message
    answer: type[Answer]
    seconds: float = CALL_SECONDS


@dataclass
class CallRetry:
    """The attempts of one call, all within its deadline."""

    target: str
    seconds: float
    _began: float = field(default_factory=time.monotonic)
    _made: int = 0

    def next_timeout(self) -> float:
        """Begin an attempt; return how many seconds it may take."""
        self._made += 1
        return max(0.001, self.seconds - (time.monotonic() - self._began))

    def pause(self, error: grpc.RpcError) -> float:
        """Return how many seconds to wait before the next attempt, as a busy service asks.

        Raises the `client_error` if another attempt cannot help or would come too late. What can be
        retried at once, the channel has retried already.
        """
        failure = client_error(error, self.target, self.seconds)
        if isinstance(failure, OverloadedError) and self._made < _ATTEMPTS:
            passed = time.monotonic() - self._began
            if passed + failure.retry_after < self.seconds:
                return failure.retry_after
        raise failure from error


@dataclass
class StreamRetry:
    """How long a stream that breaks is reopened."""

    target: str
    _broken_since: float | None = None

    def received(self) -> None:
        """Note that the stream delivered something."""
        self._broken_since = None

    def check(self, error: grpc.RpcError) -> None:
        """Raise the `client_error`, unless reopening the stream can help."""
        failure = client_error(error, self.target, WATCH_SECONDS)
        if isinstance(failure, DeadlineError):
            return  # a long job: the next stream begins with its present state
        if not isinstance(failure, UnavailableError):
            raise failure from error
        now = time.monotonic()
        self._broken_since = self._broken_since or now
        if now - self._broken_since > WATCH_PATIENCE_SECONDS:
            raise failure from error


def client_error(error: grpc.RpcError, target: str, seconds: float) -> LandmarksError:
    """Return the error for a failed call, with what to do about it."""
    failure = error_from_rpc(error, f"the search service at {target}")
    if isinstance(failure, UnavailableError):
        return UnavailableError(f"{failure}; is the stack running? start it with `landmarks up`")
    if isinstance(failure, DeadlineError):
        return DeadlineError(f"{failure} (no answer within {seconds:g} s)")
    return failure
