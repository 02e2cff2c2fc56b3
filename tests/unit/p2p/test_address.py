"""Addresses as text."""

from __future__ import annotations

import pytest

from p2p.address import (
    Address,
    PeerAddress,
    build_group,
    find_address,
    find_dialable,
    parse_peer_address,
    resolve_claim,
)
from p2p.errors import ConfigError, ConfigReason

NODE_ID = "0123456789abcdef0123456789abcdef01234567"


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:1", Address("127.0.0.1", 1)),
        ("node.example:65535", Address("node.example", 65_535)),
        ("[::1]:7000", Address("::1", 7_000)),
    ],
)
def test_an_address_is_read_and_written_alike(text: str, address: Address) -> None:
    assert find_address(text) == address
    assert str(address) == text


@pytest.mark.parametrize(
    "text",
    ["", ":1", "host", "host:", "host:0", "host:65536", "host:01", "host:1x", "host:\uff11", "::1:7000", "[host]:1",
     "a b:1", "a\nb:1", "host:1\n", "[::1:7000", "é:1", "x" * 254 + ":1"],
)  # fmt: skip
def test_text_that_is_no_address_is_none(text: str) -> None:
    assert find_address(text) is None


def test_a_persistent_peer_may_have_an_id() -> None:
    assert parse_peer_address(f"{NODE_ID}@host:1") == PeerAddress(Address("host", 1), NODE_ID)
    assert parse_peer_address("host:1") == PeerAddress(Address("host", 1))


@pytest.mark.parametrize("text", ["@host:1", "abc@host:1", f"{NODE_ID.upper()}@host:1", f"{NODE_ID}@host", "x"])
def test_a_peer_that_cannot_be_dialed_is_a_config_error(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_peer_address(text)
    assert (caught.value.reason, caught.value.seen) == (ConfigReason.BAD_ADDRESS, text)


@pytest.mark.parametrize(
    ("text", "is_public", "is_private"),
    [
        ("8.8.8.8:1", True, False),
        ("[2001:4860::1]:1", True, False),
        ("10.0.0.1:1", False, True),
        ("127.0.0.1:1", False, True),
        ("[::1]:1", False, True),
        ("0.0.0.0:1", False, False),
        ("224.0.0.1:1", False, False),
        ("255.255.255.255:1", False, False),
        ("node.example:1", False, False),
        ("[2001:4860:0::1]:1", False, False),
        ("x" * 80 + ":1", False, False),
    ],
)
def test_strangers_may_only_name_literal_unicast_addresses(text: str, is_public: bool, is_private: bool) -> None:
    found = find_dialable(text, allows_private=False)
    assert (found is not None) is is_public
    assert (find_dialable(text, allows_private=True) is not None) is (is_public or is_private)


@pytest.mark.parametrize(
    ("claim", "found"),
    [
        ("0.0.0.0:7000", Address("9.9.9.9", 7_000)),
        ("[::]:7000", Address("9.9.9.9", 7_000)),
        ("1.2.3.4:7000", Address("1.2.3.4", 7_000)),
        ("", None),
        ("\x1b[31m:1", None),
    ],
)
def test_a_claim_that_leaves_the_host_open_means_the_senders(claim: str, found: Address | None) -> None:
    assert resolve_claim(claim, "9.9.9.9") == found


@pytest.mark.parametrize(
    ("host", "group"),
    [
        ("8.8.4.4", "8.8.0.0/16"),
        ("8.8.255.1", "8.8.0.0/16"),
        ("8.9.4.4", "8.9.0.0/16"),
        ("::ffff:8.8.4.4", "8.8.0.0/16"),
        ("2001:4860:1::1", "2001:4860::/32"),
        ("127.9.9.9", "loopback"),
        ("::1", "loopback"),
        ("::ffff:127.0.0.1", "loopback"),
        ("node.example", "node.example"),
    ],
)
def test_hosts_are_counted_by_network(host: str, group: str) -> None:
    assert build_group(host) == group
