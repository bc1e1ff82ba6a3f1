"""Finds free ports on loopback, and ports that something listens on."""

from __future__ import annotations

import socket

from landmarks.errors import ConfigurationError
from landmarks_tools.local_stack.plan import HOST

# Below the range that systems use for ephemeral ports.
_FIRST, _LAST = 20051, 32000
_CONNECT_SECONDS = 2.0


def free_ports(count: int) -> list[int]:
    """Return distinct free ports. Another process may take one before it is used."""
    probes = [socket.create_server((HOST, 0)) for _ in range(count)]
    ports = [int(probe.getsockname()[1]) for probe in probes]
    for probe in probes:
        probe.close()
    return ports


def free_ports_in_a_row(count: int) -> int:
    """Return the first of `count` free ports in a row.

    Raises ConfigurationError if there are none.
    """
    for first in range(_FIRST, _LAST, count):
        if all(is_free(port) for port in range(first, first + count)):
            return first
    raise ConfigurationError(
        f"no {count} free ports in a row between {_FIRST} and {_LAST}; stop what uses them"
    )


def is_free(port: int) -> bool:
    """Return whether a server could listen on a port."""
    try:
        socket.create_server((HOST, port)).close()
    except OSError:
        return False
    return True


def listens(port: int) -> bool:
    """Return whether something listens on a port."""
    try:
        socket.create_connection((HOST, port), _CONNECT_SECONDS).close()
    except OSError:
        return False
    return True
