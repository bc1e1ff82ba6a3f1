"""Ports for the servers that tests start, below those that the system gives to clients.

A port that the system itself hands out is free again until a server listens on it, and meanwhile
another process, or another of pytest's, may be given the same.
"""

from __future__ import annotations

import os
import random
import socket

_FIRST, _LAST = 10_000, 32_000
_SHARES = 8  # of pytest's processes, gw0 to gw7
_SHARE = (_LAST - _FIRST) // _SHARES

_own = _FIRST + _SHARE * (int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:]) % _SHARES)
_given = random.randrange(_SHARE)


def free_port() -> int:
    """Return a port that nothing listens on now; not one that was returned of late."""
    return free_ports_in_a_row(1)


def free_ports(count: int) -> list[int]:
    """Return distinct ports, as `free_port`."""
    return [free_port() for _ in range(count)]


def free_ports_in_a_row(count: int) -> int:
    """Return the first of `count` ports in a row, as `free_port`."""
    global _given
    for _ in range(_SHARE):
        first = _own + _given
        _given = (_given + count) % (_SHARE - count)
        if all(map(_is_free, range(first, first + count))):
            return first
    raise AssertionError(f"no {count} free ports in a row from {_own} to {_own + _SHARE}")


def _is_free(port: int) -> bool:
    # On all addresses, as some servers listen on.
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", port))
        except OSError:
            return False
    return True
