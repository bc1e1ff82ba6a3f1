"""The caller is the one that the last trusted proxy names, whatever a caller writes before it."""

import pytest

from landmarks.errors import ConfigurationError
from landmarks.security.proxies import TrustedProxies

PROXIES = TrustedProxies(("10.0.0.0/8", "2001:db8::1"))


@pytest.mark.parametrize(
    ("address", "forwarded", "caller"),
    [
        ("192.0.2.1", ["198.51.100.9"], "192.0.2.1"),  # no proxy of ours
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", ["198.51.100.9"], "198.51.100.9"),
        ("10.0.0.1", ["203.0.113.5, 198.51.100.9"], "198.51.100.9"),
        ("10.0.0.1", ["203.0.113.5", "198.51.100.9, 10.0.0.2"], "198.51.100.9"),
        ("10.0.0.1", ["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
        ("::ffff:10.0.0.1", ["198.51.100.9:4711"], "198.51.100.9"),
        ("2001:db8::1", ["[2001:db8::9]:4711"], "2001:db8::9"),
        ("10.0.0.1", ["unknown"], "unknown"),
        ("10.0.0.1", [" , "], "10.0.0.1"),
    ],
)
def test_the_caller_is_the_last_address_that_is_no_proxy(
    address: str, forwarded: list[str], caller: str
) -> None:
    assert PROXIES.caller(address, forwarded) == caller


def test_what_is_no_network_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"LANDMARKS_TRUSTED_PROXIES.*'ingress'"):
        TrustedProxies(("ingress",))
