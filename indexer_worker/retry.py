"""Retrying calls whose failure will pass: overload, and parts that are unavailable for a while."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from contextvars import ContextVar
from functools import wraps
from typing import ParamSpec, TypeVar, cast

import structlog
from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception_type,
    stop_before_delay,
    stop_when_event_set,
)
from tenacity.nap import sleep_using_event
from tenacity.wait import wait_combine, wait_random_exponential

from landmarks.errors import DeadlineError, OverloadedError, UnavailableError

_log = structlog.get_logger(__name__)
_Parameters = ParamSpec("_Parameters")
_Result = TypeVar("_Result")
_Store = TypeVar("_Store")

TRANSIENT_ERRORS = (OverloadedError, UnavailableError, DeadlineError)
_FIRST_SECONDS = 0.25
_LONGEST_SECONDS = 10.0
_RETRIES_PER_LOG_LINE = 20

# Receives the reason of a wait that lasts, in the thread that waits.
on_long_wait: ContextVar[Callable[[str], None] | None] = ContextVar("on_long_wait", default=None)


def _hinted_seconds(state: RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    return error.retry_after if isinstance(error, OverloadedError) else 0.0


# Exponential with full jitter, so that waiting callers spread out, after what the server hints.
BACKOFF = wait_combine(
    wait_random_exponential(multiplier=_FIRST_SECONDS, max=_LONGEST_SECONDS), _hinted_seconds
)


class RetryPolicy:
    """Retries each call for up to `bound_seconds`, and no more once `stop` is set.

    Then the call's last error is raised.
    """

    def __init__(self, bound_seconds: float, stop: threading.Event) -> None:
        self._retrying = Retrying(
            retry=retry_if_exception_type(TRANSIENT_ERRORS),
            wait=BACKOFF,
            stop=stop_before_delay(bound_seconds) | stop_when_event_set(stop),
            sleep=sleep_using_event(stop),
            before_sleep=_log_wait,
            reraise=True,
        )

    def call(self, call: Callable[[], _Result]) -> _Result:
        """Return what `call` returns, at last; raises its last error."""
        return self._retrying.copy()(call)

    def retrying(self, store: _Store, methods: Iterable[Callable[..., object]]) -> _Store:
        """Return the store with these of its methods retried; all others are called once.

        `methods` are functions of its class. They must return when they are done, not yield, and
        may run twice: a call whose answer was lost has run.
        """
        names = frozenset(method.__name__ for method in methods)
        return cast("_Store", _RetryingStore(store, names, self))

    def wrapped(self, call: Callable[_Parameters, _Result]) -> Callable[_Parameters, _Result]:
        """Return `call`, retried."""

        @wraps(call)
        def retried(*arguments: _Parameters.args, **options: _Parameters.kwargs) -> _Result:
            return self.call(lambda: call(*arguments, **options))

        return retried


class _RetryingStore:
    """Stands for a store, and has its attributes."""

    def __init__(self, store: object, names: frozenset[str], policy: RetryPolicy) -> None:
        self.store = store
        self._names = names
        self._policy = policy

    def __getattr__(self, name: str) -> object:
        found = getattr(self.store, name)
        return self._policy.wrapped(found) if name in self._names else found


def once(store: _Store) -> _Store:
    """Return a store without its retries, for a call that must be current, or not be repeated."""
    return cast("_Store", store.store) if isinstance(store, _RetryingStore) else store


def _log_wait(state: RetryCallState) -> None:
    attempt = state.attempt_number - 1
    if attempt in (0, 5) or attempt % _RETRIES_PER_LOG_LINE == 0:
        error = state.outcome.exception() if state.outcome else None
        _log.warning("waiting", reason=str(error), seconds=round(state.upcoming_sleep, 2))
        if attempt and (show := on_long_wait.get()):
            show(str(error))
