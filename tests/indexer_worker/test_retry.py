"""Retries: which calls, how long, and when they end early."""

import inspect
import random
import threading

import pytest
from tenacity import RetryCallState, Retrying

from indexer_worker import retried_calls
from indexer_worker.retry import BACKOFF, RetryPolicy, once
from landmarks.errors import DeadlineError, InvalidInputError, OverloadedError, UnavailableError


class Flaky:
    """A store whose calls fail as often as there are failures."""

    def __init__(self, *failures: Exception) -> None:
        self.failures = list(failures)
        self.calls = 0

    def read(self, key: str, *, suffix: str = "") -> str:
        self.calls += 1
        if self.failures:
            raise self.failures.pop(0)
        return key + suffix

    def count(self) -> str:
        return self.read("counted")


def retried(store: Flaky, seconds: float = 60, stop: threading.Event | None = None) -> Flaky:
    policy = RetryPolicy(seconds, stop or threading.Event())
    return policy.retrying(store, (Flaky.read,))


def test_a_named_call_is_retried_until_it_succeeds():
    store = Flaky(
        UnavailableError("away"), OverloadedError("busy", retry_after=0.01), DeadlineError("late")
    )
    assert retried(store).read("a", suffix="b") == "ab"
    assert store.calls == 4


@pytest.mark.parametrize("call", [lambda s: s.count(), lambda s: once(s).read("a")])
def test_any_other_call_is_made_once(call):
    store = Flaky(UnavailableError("away"))
    with pytest.raises(UnavailableError, match="away"):
        call(retried(store))
    assert store.calls == 1
    assert once(store) is store


def test_an_error_that_will_not_pass_is_raised_at_once():
    store = Flaky(InvalidInputError("never"))
    with pytest.raises(InvalidInputError, match="never"):
        retried(store).read("a")
    assert store.calls == 1


def test_the_last_error_is_raised_where_a_server_asks_for_more_time_than_is_left():
    store = Flaky(UnavailableError("away"), OverloadedError("busy", retry_after=600))
    with pytest.raises(OverloadedError, match="busy"):
        retried(store, seconds=30).read("a")
    assert store.calls == 2


def test_no_call_is_retried_once_the_worker_stops():
    stop = threading.Event()
    stop.set()
    store = Flaky(UnavailableError("away"))
    with pytest.raises(UnavailableError):
        retried(store, stop=stop).read("a")
    assert store.calls == 1


def test_a_worker_that_stops_ends_a_wait():
    stop = threading.Event()
    store = Flaky(*[OverloadedError("busy", retry_after=300) for _ in range(3)])
    timer = threading.Timer(0.2, stop.set)
    timer.start()
    with pytest.raises(OverloadedError):
        retried(store, seconds=3000, stop=stop).read("a")
    timer.join()
    assert store.calls == 2


def test_pauses_grow_spread_and_heed_the_servers_hint(monkeypatch):
    def pause(error: Exception, attempt: int, chance: float) -> float:
        monkeypatch.setattr(random, "uniform", lambda low, high: low + chance * (high - low))
        state = RetryCallState(Retrying(), None, (), {})
        state.attempt_number = attempt + 1
        state.set_exception((type(error), error, None))
        return BACKOFF(state)

    away = UnavailableError("away")
    longest = [pause(away, attempt, 1.0) for attempt in range(20)]
    assert longest == sorted(longest)
    assert longest[0] < 1
    assert longest[-1] <= 10
    assert pause(away, 5, 0.0) == 0
    assert pause(OverloadedError("full", retry_after=3), 0, 0.5) >= 3


def test_a_retried_call_may_hold_another():
    outer, inner = Flaky(), retried(Flaky(UnavailableError("away")))
    policy = RetryPolicy(60, threading.Event())
    failures = [UnavailableError("also away")]

    def call() -> str:
        found = inner.read("a")
        if failures:
            raise failures.pop()
        return outer.read(found)

    assert policy.call(call) == "a"


def test_no_retried_call_yields():
    calls = [
        call
        for name in ("JOBS", "MAPS", "COLLECTIONS", "POINTS", "ENCODERS", "SOURCES", "SENDER")
        for call in getattr(retried_calls, name)
    ]
    assert len(calls) > 20
    assert not [call for call in calls if inspect.isgeneratorfunction(inspect.unwrap(call))]
