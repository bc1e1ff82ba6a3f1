"""Several addresses become one target of gRPC, names looked up."""

from collections.abc import Iterator

import pytest

from landmarks.rpc import name_watch
from landmarks.rpc.name_watch import SeveralAddresses
from tests.support.dns_server import DnsServer, dns_server
from tests.support.processes import eventually


@pytest.fixture
def dns(monkeypatch: pytest.MonkeyPatch) -> Iterator[DnsServer]:
    monkeypatch.setattr(name_watch, "_LOOK_UP_SECONDS", 0.1)
    with dns_server(monkeypatch) as server:
        yield server


@pytest.mark.parametrize(
    ("addresses", "target"),
    [
        (["10.0.0.1:1", "10.0.0.2:2"], "ipv4:10.0.0.1:1,10.0.0.2:2"),
        (["[::1]:1", "[fe80::2]:2"], "ipv6:[::1]:1,[fe80::2]:2"),
        (["10.0.0.1:1", "[::1]:2"], "ipv6:[::ffff:10.0.0.1]:1,[::1]:2"),
    ],
)
def test_addresses_of_both_kinds_are_one_target(addresses: list[str], target: str) -> None:
    several = SeveralAddresses(addresses)
    assert several.appearances() == 0
    assert several.target() == target


def test_names_are_looked_up_and_keep_their_addresses_while_lookups_fail(dns: DnsServer) -> None:
    dns.zone = {"a.test": ["127.0.0.1", "127.0.0.2"]}
    several = SeveralAddresses(["a.test:1", "b.test:2", "127.0.0.3:3"])
    before = several.appearances()
    assert several.target() == "ipv4:127.0.0.1:1,127.0.0.2:1,127.0.0.3:3"

    dns.zone = {"b.test": ["127.0.0.4"]}
    eventually(lambda: several.appearances() > before, "b is seen")
    assert several.target() == "ipv4:127.0.0.1:1,127.0.0.2:1,127.0.0.4:2,127.0.0.3:3"

    before = several.appearances()
    dns.zone = {"a.test": ["127.0.0.5"]}
    eventually(lambda: several.appearances() > before, "the new address of a is seen")
    assert several.target() == "ipv4:127.0.0.5:1,127.0.0.4:2,127.0.0.3:3"


def test_where_no_name_has_an_address_the_target_names_one(dns: DnsServer) -> None:
    several = SeveralAddresses(["a.test:1", "b.test:2"])
    before = several.appearances()
    assert several.target() == "a.test:1"
    dns.zone = {"b.test": ["127.0.0.4"]}
    eventually(lambda: several.appearances() > before, "b is seen")
    assert several.target() == "ipv4:127.0.0.4:2"
