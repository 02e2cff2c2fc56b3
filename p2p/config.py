"""What an operator may set, checked once when the configuration is built."""

import msgspec

from p2p.address import Address, PeerAddress, find_address, find_dialable, parse_peer_address
from p2p.dialing import Backoff
from p2p.errors import ConfigError, ConfigReason
from p2p.roster import Limits
from p2p.session import KeepAlive

_RANGES = {
    "listen_port": (0, 65_535),
    "inbound_max": (0, 1_000),
    "outbound_max": (0, 1_000),
    "inbound_per_ip_max": (1, 1_000),
    "half_open_max": (1, 1_000),
    "half_open_per_ip_max": (1, 1_000),
    "handshake_timeout_ms": (10, 60_000),
    "dial_timeout_ms": (10, 60_000),
    "ping_interval_ms": (10, 60_000),
    "idle_timeout_ms": (20, 600_000),
    "write_stall_timeout_ms": (20, 600_000),
    "reconnect_min_ms": (1, 600_000),
    "reconnect_max_ms": (1, 3_600_000),
}


class NetworkConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings of one node's network."""

    listen_host: str = "127.0.0.1"
    listen_port: int = 0
    """0 lets the operating system choose."""
    advertised_address: str = ""
    """`host:port` that peers are told; empty: the address that is really listened on."""
    persistent_peers: tuple[str, ...] = ()
    """`node_id@host:port` or `host:port`: always dialed, exempt from the connection limits."""
    seed_addresses: tuple[str, ...] = ()
    """`ip:port` put into an empty peer book."""
    has_address_exchange: bool = False
    allows_private_addresses: bool = False
    """Whether loopback and private addresses told by peers are worth dialing."""
    inbound_max: int = 40
    outbound_max: int = 10
    inbound_per_ip_max: int = 8
    """Does not hold for loopback."""
    half_open_max: int = 64
    """Handshakes under way at once, and begun within a second."""
    half_open_per_ip_max: int = 16
    handshake_timeout_ms: int = 5_000
    dial_timeout_ms: int = 3_000
    ping_interval_ms: int = 5_000
    idle_timeout_ms: int = 15_000
    write_stall_timeout_ms: int = 30_000
    """How long a peer may leave us unable to write."""
    reconnect_min_ms: int = 200
    reconnect_max_ms: int = 10_000

    def __post_init__(self) -> None:
        for name, (low, high) in _RANGES.items():
            number = getattr(self, name)
            if not low <= number <= high:
                raise ConfigError(ConfigReason.OUT_OF_RANGE, f"{name}={number}", (low, high))
        if self.idle_timeout_ms <= self.ping_interval_ms:
            seen = f"idle_timeout_ms={self.idle_timeout_ms}"
            raise ConfigError(ConfigReason.OUT_OF_RANGE, seen, self.ping_interval_ms)
        if find_address(str(Address(self.listen_host, 1))) is None:
            raise ConfigError(ConfigReason.BAD_ADDRESS, self.listen_host)
        for text in self.persistent_peers:
            parse_peer_address(text)
        for text in self.seed_addresses:
            if find_dialable(text, allows_private=True) is None:
                raise ConfigError(ConfigReason.BAD_ADDRESS, text)
        if self.advertised_address and find_address(self.advertised_address) is None:
            raise ConfigError(ConfigReason.BAD_ADDRESS, self.advertised_address)

    @property
    def persistent(self) -> tuple[PeerAddress, ...]:
        """The persistent peers, parsed."""
        return tuple(parse_peer_address(text) for text in self.persistent_peers)

    @property
    def limits(self) -> Limits:
        """The connection limits."""
        return Limits(
            inbound_max=self.inbound_max,
            outbound_max=self.outbound_max,
            inbound_per_ip_max=self.inbound_per_ip_max,
            half_open_max=self.half_open_max,
            half_open_per_ip_max=self.half_open_per_ip_max,
        )

    @property
    def keep_alive(self) -> KeepAlive:
        """The ping interval and the idle timeout."""
        return KeepAlive(ping_interval_ms=self.ping_interval_ms, idle_timeout_ms=self.idle_timeout_ms)

    @property
    def backoff(self) -> Backoff:
        """The delays between dials of persistent peers."""
        return Backoff(min_ms=self.reconnect_min_ms, max_ms=self.reconnect_max_ms)
