"""What an operator may set."""

from __future__ import annotations

import pytest

from p2p.address import Address, PeerAddress
from p2p.config import NetworkConfig
from p2p.errors import ConfigError, ConfigReason

ID = "ab" * 20


def test_the_defaults_are_the_limits_of_the_design() -> None:
    config = NetworkConfig()
    assert (config.inbound_max, config.outbound_max, config.handshake_timeout_ms) == (40, 10, 5_000)
    assert (config.keep_alive.ping_interval_ms, config.keep_alive.idle_timeout_ms) == (5_000, 15_000)
    assert config.listen_host == "127.0.0.1"
    assert not config.has_address_exchange


def test_persistent_peers_are_parsed() -> None:
    config = NetworkConfig(persistent_peers=(f"{ID}@10.0.0.1:1", "host:2"))
    assert config.persistent == (PeerAddress(Address("10.0.0.1", 1), ID), PeerAddress(Address("host", 2)))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"listen_port": 65_536}, ConfigReason.OUT_OF_RANGE),
        ({"listen_port": -1}, ConfigReason.OUT_OF_RANGE),
        ({"half_open_max": 0}, ConfigReason.OUT_OF_RANGE),
        ({"ping_interval_ms": 5_000, "idle_timeout_ms": 5_000}, ConfigReason.OUT_OF_RANGE),
        ({"listen_host": ""}, ConfigReason.BAD_ADDRESS),
        ({"persistent_peers": ("host",)}, ConfigReason.BAD_ADDRESS),
        ({"seed_addresses": ("host:1",)}, ConfigReason.BAD_ADDRESS),
        ({"advertised_address": "host"}, ConfigReason.BAD_ADDRESS),
    ],
)
def test_a_setting_that_cannot_work_is_refused(changes: dict[str, object], reason: ConfigReason) -> None:
    with pytest.raises(ConfigError) as caught:
        NetworkConfig(**changes)
    assert caught.value.reason is reason
