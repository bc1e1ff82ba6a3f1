"""Whose call it is that a proxy forwards: the address it names, if the settings trust the proxy."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

from landmarks.errors import ConfigurationError


class TrustedProxies:
    """The addresses and networks of proxies that say truly whose calls they forward."""

    def __init__(self, networks: Sequence[str]) -> None:
        """Raise ConfigurationError if one is neither an address nor a network."""
        try:
            self._networks = [ipaddress.ip_network(one, strict=False) for one in networks]
        except ValueError as error:
            raise ConfigurationError(
                f"LANDMARKS_TRUSTED_PROXIES: {error}; name addresses or networks such as 10.0.0.0/8"
            ) from error

    def trust(self, address: str) -> bool:
        """Return whether `address` is one of the proxies."""
        try:
            parsed = ipaddress.ip_address(address.partition("%")[0])
        except ValueError:
            return False
        mapped = getattr(parsed, "ipv4_mapped", None)
        return any((mapped or parsed) in network for network in self._networks)

    def caller(self, address: str, forwarded: Sequence[str]) -> str:
        """Return the caller's address; `forwarded` are the values of `X-Forwarded-For`, in order.

        Each proxy adds the address that called it at the end. So the caller is the last that is no
        proxy of ours; what stands before it, anybody may have written.
        """
        hops = [hop.strip() for value in forwarded for hop in value.split(",") if hop.strip()]
        while hops and self.trust(address):
            address = _without_port(hops.pop())
        return address


def _without_port(hop: str) -> str:
    """Return the address in `192.0.2.7:50123` or `[2001:db8::1]:443`; some proxies add a port."""
    if hop.startswith("["):
        return hop[1:].partition("]")[0]
    return hop.partition(":")[0] if hop.count(":") == 1 else hop
