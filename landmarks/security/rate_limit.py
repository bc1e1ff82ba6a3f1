"""How often a client may call: a token bucket for each, by the generic cell rate algorithm.

A bucket is one number, the time at which it will be full again (ITU-T I.371, "virtual scheduling").
Pure: the clock is passed in.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable

from landmarks.errors import RateLimitedError

_MANY = 1024


class RateLimiter:
    """Lets each client make `burst` calls at once, and `rate` a second in the long run.

    `clock` returns seconds that never go back. Buckets that are full again are forgotten.
    """

    def __init__(self, rate: float, burst: float, clock: Callable[[], float]) -> None:
        if rate <= 0 or burst < 1:
            raise ValueError("a rate is above 0, and a burst at least 1")
        self._seconds = 1 / rate  # of one call
        self._most = burst * self._seconds
        self._clock = clock
        self._full_at: dict[str, float] = {}
        self._forget_at = _MANY

    def take(self, client: str, cost: float = 1) -> None:
        """Count a call of `client`; raises RateLimitedError, and counts nothing, if it is too many.

        `cost` is how many calls it counts as, at most the burst: else it could never be made.
        """
        now = self._clock()
        cost = min(cost, self._most / self._seconds)
        full_at = max(self._full_at.get(client, now), now) + cost * self._seconds
        too_early = full_at - now - self._most
        if too_early > 1e-9:
            raise RateLimitedError(
                f"{client} calls more than {1 / self._seconds:g} times a second",
                retry_after=too_early,
            )
        self._full_at[client] = full_at
        if len(self._full_at) >= self._forget_at:
            self._forget(now)

    def _forget(self, now: float) -> None:
        self._full_at = {client: at for client, at in self._full_at.items() if at > now}
        # So that forgetting costs each call next to nothing, however many clients there are.
        self._forget_at = max(_MANY, 2 * len(self._full_at))


def client_at(address: str) -> str:
    """Return the client at an address: for IPv6 its /64 network, which is one subscriber."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.ip_network((parsed, 64), strict=False))
    return str(parsed)


def client_of_peer(peer: str) -> str:
    """Return the client of gRPC's name for a peer, such as `ipv4:127.0.0.1:50123`."""
    kind, _, rest = peer.partition(":")
    if kind not in ("ipv4", "ipv6"):
        return peer
    # gRPC escapes the brackets of IPv6.
    host = rest.replace("%5B", "[").replace("%5D", "]").rpartition(":")[0]
    return client_at(host.strip("[]").replace("%25", "%"))
