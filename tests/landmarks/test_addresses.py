"""Addresses as settings name them."""

import pytest

from landmarks.addresses import parse_addresses, split_address
from landmarks.errors import ConfigurationError
from landmarks.settings import QdrantSettings


@pytest.mark.parametrize(
    ("text", "addresses"),
    [
        ("qdrant", ("qdrant:6334",)),
        ("qdrant:7000", ("qdrant:7000",)),
        (" a , b:7000 ,10.0.0.3", ("a:6334", "b:7000", "10.0.0.3:6334")),
        ("::1", ("[::1]:6334",)),
        ("[::1],[fe80::2]:7000", ("[::1]:6334", "[fe80::2]:7000")),
        ("a,a:6334", ("a:6334",)),
        ("dns:///qdrant", ("dns:///qdrant:6334",)),
        ("dns://10.0.0.2:53/qdrant", ("dns://10.0.0.2:53/qdrant:6334",)),
    ],
)
def test_a_list_names_hosts_and_ports(text: str, addresses: tuple[str, ...]) -> None:
    assert parse_addresses(text, 6334) == addresses
    assert [split_address(one)[1] for one in addresses] == [
        7000 if "7000" in one else 6334 for one in addresses
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "empty"),
        ("a,,b", "empty"),
        ("a:", "no port"),
        ("a:http", "no port"),
        ("a:70000", "no port"),
        (":6334", "not host"),
        ("http://qdrant:6333", "not host"),
        ("a b", "not host"),
        ("[::1", "not host"),
    ],
)
def test_what_is_no_address_is_refused_with_the_setting_and_the_reason(
    text: str, said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        parse_addresses(text, 6334)
    with pytest.raises(ConfigurationError, match=f"LANDMARKS_QDRANT_HOST.*{said}"):
        QdrantSettings.load({"qdrant_host": text})
