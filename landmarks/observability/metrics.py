"""Metrics of every service: calls, how long they took, and failures by kind.

docs/observability.md says what each metric means. The encoder's are in `encoder_service.metrics`.
"""

from __future__ import annotations

from functools import cache

import grpc
from prometheus_client import Counter, Histogram

CALL_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)

_calls = Counter(
    "landmarks_grpc_server_calls",
    "Calls that have ended.",
    ["grpc_service", "grpc_method", "grpc_code"],
)
_seconds = Histogram(
    "landmarks_grpc_server_call_seconds",
    "How long calls took.",
    ["grpc_service", "grpc_method"],
    buckets=CALL_SECONDS,
)
_failures = Counter(
    "landmarks_failures",
    "Failures reported to callers, or that kept a worker from its work, by kind of error.",
    ["kind"],
)


def call_ended(method: str, code: grpc.StatusCode, seconds: float) -> None:
    """Count a call of `method`, as in /package.Service/Method."""
    _count_of(method, code).inc()
    _seconds_of(method).observe(seconds)


def failed(error: BaseException) -> None:
    """Count a failure by the error's class; see `landmarks.errors` for ours."""
    _failures.labels(type(error).__name__).inc()


# Looking a child up by its labels takes half the time of counting. Only methods that a server has
# are counted, so these are few.
@cache
def _count_of(method: str, code: grpc.StatusCode) -> Counter:
    return _calls.labels(*_names(method), code.name)


@cache
def _seconds_of(method: str) -> Histogram:
    return _seconds.labels(*_names(method))


def _names(method: str) -> tuple[str, str]:
    service, _, name = method.lstrip("/").partition("/")
    return service, name
