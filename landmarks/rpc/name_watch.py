"""Notices that a name has addresses that it did not have before."""

from __future__ import annotations

import ipaddress
import socket
import threading
import time

_LOOK_UP_SECONDS = 3.0
# Targets of these kinds are addresses.
_ADDRESSES = ("ipv4:", "ipv6:", "unix:", "unix-abstract:")


def name_in(target: str) -> str:
    """Return the host name that gRPC resolves for `target`; empty if that has addresses only."""
    if target.startswith(_ADDRESSES):
        return ""
    # `dns:///host:port`, `dns://server/host:port` and `dns:host:port` as well as `host:port`.
    place = target.removeprefix("dns:").rpartition("/")[2]
    host = place.rpartition(":")[0] or place
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return "" if host == "localhost" else host
    return ""


class NameWatch:
    """Looks a name up while it is being asked about; safe to use from many threads.

    The lookup runs in a thread of its own, as it may take seconds.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._lock = threading.Lock()
        self._looking = False
        self._next = 0.0
        self._addresses: frozenset[str] | None = None  # not looked up yet
        self._appearances = 0

    def appearances(self) -> int:
        """Return how often new addresses have appeared, as far as is known by now."""
        with self._lock:
            now = time.monotonic()
            if not self._looking and now >= self._next:
                self._looking, self._next = True, now + _LOOK_UP_SECONDS
                threading.Thread(target=self._look_up, name="name-watch", daemon=True).start()
            return self._appearances

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
