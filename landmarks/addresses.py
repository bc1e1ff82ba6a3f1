"""Addresses in settings: `host` or `host:port`, several with commas between them."""

from __future__ import annotations

import ipaddress
import re

_LAST_PORT = 65535
# What a URL or a slip of the keyboard has and no host name.
_NOT_A_HOST = re.compile(r"[\s/@:\[\]]")
# A resolver of gRPC's own, as in `dns://10.0.0.2/qdrant`.
_RESOLVER = "dns:"


def parse_addresses(text: str, default_port: int) -> tuple[str, ...]:
    """Return each address of a list as `host:port`, an IPv6 address in brackets.

    Raises ValueError that says which address cannot be used, and why.
    """
    parts = [part.strip() for part in text.split(",")]
    if not all(parts):
        raise ValueError(f"{text!r} has an empty address; give host or host:port")
    return tuple(dict.fromkeys(_address(part, default_port) for part in parts))


def split_address(address: str) -> tuple[str, int]:
    """Return host and port of a `host:port`; IPv6 keeps its brackets."""
    host, _, port = address.rpartition(":")
    return host, int(port)


def literal_ip(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Return the address that `host` writes out; None if it is a name."""
    bracketed = host.startswith("[") and host.endswith("]")
    try:
        return ipaddress.ip_address(host[1:-1] if bracketed else host)
    except ValueError:
        return None


def _address(part: str, default_port: int) -> str:
    if part.startswith(_RESOLVER):
        return f"{part}:{default_port}"
    if isinstance(literal_ip(part), ipaddress.IPv6Address):  # else its end would be a port
        return f"[{part.strip('[]')}]:{default_port}"
    host, colon, port = part.rpartition(":")
    if not colon:
        host, port = part, str(default_port)
    if not port.isdecimal() or not 1 <= int(port) <= _LAST_PORT:
        raise ValueError(f"{part!r} has no port between 1 and {_LAST_PORT} after its last colon")
    if not host or (_NOT_A_HOST.search(host) and literal_ip(host) is None):
        raise ValueError(f"{part!r} is not host or host:port, as in qdrant:6334 or [::1]:6334")
    return f"{host}:{int(port)}"
