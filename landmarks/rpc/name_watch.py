"""Notices that a name has addresses that it did not have before."""

from __future__ import annotations

import ipaddress
import socket
import threading
import time
from collections.abc import Iterable, Sequence

from landmarks.addresses import literal_ip, split_address

_LOOK_UP_SECONDS = 3.0
# How long a channel to several names waits for addresses before it is opened without some.
_FIRST_LOOK_UP_SECONDS = 2.0
_IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
# Targets of these kinds are addresses.
_ADDRESSES = ("ipv4:", "ipv6:", "unix:", "unix-abstract:")


def name_in(target: str) -> str:
    """Return the host name that gRPC resolves for `target`; empty if that has addresses only."""
    if target.startswith(_ADDRESSES):
        return ""
    # `dns:///host:port`, `dns://server/host:port` and `dns:host:port` as well as `host:port`.
    place = target.removeprefix("dns:").rpartition("/")[2]
    host = place.rpartition(":")[0] or place
    return "" if host == "localhost" or literal_ip(host) else host


class NameWatch:
    """Looks a name up while it is being asked about; safe to use from many threads.

    The lookup runs in a thread of its own, as it may take seconds.
    """

    def __init__(self, name: str, *, first_counts: bool = False) -> None:
        """Watch `name`; `first_counts` says whether what the first lookup finds has appeared."""
        self._name = name
        self._lock = threading.Lock()
        self._looking = False
        self._next = 0.0
        self._looked_up = threading.Event()
        self._addresses: frozenset[str] | None = frozenset() if first_counts else None
        self._last_known: tuple[str, ...] = ()
        self._appearances = 0

    def appearances(self) -> int:
        """Return how often new addresses have appeared, as far as is known by now."""
        with self._lock:
            now = time.monotonic()
            if not self._looking and now >= self._next:
                self._looking, self._next = True, now + _LOOK_UP_SECONDS
                threading.Thread(target=self._look_up, name="name-watch", daemon=True).start()
            return self._appearances

    def await_first(self, seconds: float) -> None:
        """Wait until the name has been looked up once, but no longer than `seconds`."""
        self.appearances()
        self._looked_up.wait(seconds)

    def last_known(self) -> tuple[str, ...]:
        """Return the addresses that the name had when it last had any."""
        with self._lock:
            return self._last_known

    def _look_up(self) -> None:
        try:
            answers = socket.getaddrinfo(self._name, None, type=socket.SOCK_STREAM)
            found = frozenset(str(address[0]) for *_, address in answers)
        except (OSError, UnicodeError):
            found = frozenset()
        with self._lock:
            if self._addresses is not None and found - self._addresses:
                self._appearances += 1
            self._addresses, self._looking = found, False
            self._last_known = tuple(sorted(found)) or self._last_known
        self._looked_up.set()


class SeveralAddresses:
    """Several `host:port` as one target of gRPC, which takes addresses and no list of names."""

    def __init__(self, addresses: Sequence[str]) -> None:
        self._places = [split_address(address) for address in addresses]
        self._watches = {
            host: NameWatch(name_in(host) or host, first_counts=True)
            for host, _ in self._places
            if literal_ip(host) is None
        }
        self._waits = bool(self._watches)

    def appearances(self) -> int:
        """Return how often names have got new addresses; the first call waits for some."""
        if self._waits:
            self._waits = False
            for watch in self._watches.values():
                watch.appearances()  # all at once
            end = time.monotonic() + _FIRST_LOOK_UP_SECONDS
            for watch in self._watches.values():
                watch.await_first(max(0.0, end - time.monotonic()))
        return sum(watch.appearances() for watch in self._watches.values())

    def target(self) -> str:
        """Return the target with every address that is known by now.

        A name whose lookup fails keeps the addresses that it had.
        """
        found = {
            (ipaddress.ip_address(one), port): None
            for host, port in self._places
            for one in (
                self._watches[host].last_known() if host in self._watches else (host.strip("[]"),)
            )
        }
        if not found:  # then calls fail with what gRPC says about a name
            host, port = self._places[0]
            return f"{host}:{port}"
        return _target_of(found)


def _target_of(addresses: Iterable[tuple[_IpAddress, int]]) -> str:
    places = list(addresses)
    if all(address.version == 4 for address, _ in places):
        return "ipv4:" + ",".join(f"{address}:{port}" for address, port in places)
    # A target is of one kind; of the other, these are the same addresses.
    return "ipv6:" + ",".join(
        f"[{address if address.version == 6 else f'::ffff:{address}'}]:{port}"
        for address, port in places
    )
