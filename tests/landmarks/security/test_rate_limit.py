"""How often a client may ask, by a clock of the test's own."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from landmarks.errors import RateLimitedError
from landmarks.security.rate_limit import RateLimiter, client_at, client_of_peer


class Clock:
    """Stands still unless it is moved."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def admitted(limiter: RateLimiter, client: str, calls: int) -> int:
    count = 0
    for _ in range(calls):
        try:
            limiter.take(client)
        except RateLimitedError:
            continue
        count += 1
    return count


def test_a_burst_is_let_through_and_no_more(clock: Clock) -> None:
    limiter = RateLimiter(rate=2, burst=5, clock=clock)
    assert admitted(limiter, "a", 20) == 5


def test_a_client_that_waits_for_retry_after_is_let_through(clock: Clock) -> None:
    limiter = RateLimiter(rate=2, burst=1, clock=clock)
    limiter.take("a")
    with pytest.raises(RateLimitedError) as refused:
        limiter.take("a")
    assert refused.value.retry_after == pytest.approx(0.5)
    clock.now += refused.value.retry_after
    limiter.take("a")


def test_a_client_that_asks_too_often_does_not_have_to_wait_longer_for_it(clock: Clock) -> None:
    limiter = RateLimiter(rate=1, burst=1, clock=clock)
    assert admitted(limiter, "a", 1000) == 1
    clock.now += 1
    assert admitted(limiter, "a", 1000) == 1


def test_one_client_takes_nothing_from_another(clock: Clock) -> None:
    limiter = RateLimiter(rate=1, burst=3, clock=clock)
    assert admitted(limiter, "loud", 100) == 3
    assert admitted(limiter, "quiet", 100) == 3


def test_cheaper_calls_may_be_made_more_often(clock: Clock) -> None:
    limiter = RateLimiter(rate=1, burst=2, clock=clock)
    for _ in range(40):
        limiter.take("a", cost=0.05)
    with pytest.raises(RateLimitedError):
        limiter.take("a", cost=0.05)


def test_what_costs_more_than_a_burst_waits_for_a_full_one(clock: Clock) -> None:
    limiter = RateLimiter(rate=1, burst=4, clock=clock)
    limiter.take("a", cost=64)
    with pytest.raises(RateLimitedError) as refused:
        limiter.take("a", cost=64)
    assert refused.value.retry_after == pytest.approx(4)


@given(
    rate=st.floats(0.1, 50),
    burst=st.integers(1, 20),
    pauses=st.lists(st.floats(0, 3), min_size=1, max_size=60),
)
def test_no_window_has_more_calls_than_its_burst_and_its_rate_allow(
    rate: float, burst: int, pauses: list[float]
) -> None:
    clock = Clock()
    limiter = RateLimiter(rate, burst, clock)
    times = []
    for pause in pauses:
        clock.now += pause
        times += [clock.now] * admitted(limiter, "a", 3)
    for first in range(len(times)):
        for last in range(first, len(times)):
            assert last - first + 1 <= burst + rate * (times[last] - times[first]) + 1e-6


def test_clients_that_have_gone_are_forgotten(clock: Clock) -> None:
    limiter = RateLimiter(rate=10, burst=1, clock=clock)
    for number in range(10_000):
        clock.now += 0.01
        limiter.take(f"client {number}")
    assert len(limiter._full_at) < 2_000


@pytest.mark.parametrize(
    ("peer", "client"),
    [
        ("ipv4:192.0.2.7:50123", "192.0.2.7"),
        ("ipv6:%5B::1%5D:50123", "::/64"),
        ("ipv6:[2001:db8:1:2:3:4:5:6]:1", "2001:db8:1:2::/64"),
        ("ipv6:%5B2001:db8:1:2::9%5D:2", "2001:db8:1:2::/64"),
        ("ipv6:%5B::ffff:192.0.2.7%5D:2", "192.0.2.7"),
        ("ipv6:%5Bfe80::1%25eth0%5D:2", "fe80::/64"),
        ("unix:/run/socket", "unix:/run/socket"),
    ],
)
def test_a_client_is_its_address_or_its_network_and_never_its_port(peer: str, client: str) -> None:
    assert client_of_peer(peer) == client


def test_what_is_no_address_is_its_own_client() -> None:
    assert client_at("") == ""
