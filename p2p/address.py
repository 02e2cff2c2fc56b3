"""Addresses as text: `host:port`, `[v6]:port`, and `node_id@host:port` for a peer whose identity is known.

Addresses from strangers must be literal IP addresses, so that nobody makes us ask a name server.
"""

import ipaddress
import re

import msgspec

from p2p.errors import ConfigError, ConfigReason

LISTEN_ADDRESS_CHARS_MAX = 64
"""Longest address that travels between peers; a bracketed IPv6 address with port takes 47."""
LOOPBACK_GROUP = "loopback"
"""Group of all loopback addresses, which no subnet bound applies to."""

_NODE_ID = re.compile(r"[0-9a-f]{40}", re.ASCII)
_PORT = re.compile(r"[1-9][0-9]{0,4}", re.ASCII)
# The longest DNS name has 253 characters, the longest IPv6 address 45.
_HOST = re.compile(r"[0-9A-Za-z.\-_]{1,253}|[0-9A-Fa-f:.]{2,45}", re.ASCII)


class Address(msgspec.Struct, frozen=True, order=True):
    """Where a node listens."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class PeerAddress(msgspec.Struct, frozen=True, order=True):
    """Where a node listens and who it must be; the id is empty when any identity will do."""

    address: Address
    node_id: str = ""


def find_address(text: str) -> Address | None:
    """Parse `host:port`, or return None when the text is none."""
    host, separator, port_text = text.rpartition(":")
    is_bracketed = host.startswith("[") and host.endswith("]")
    host = host[1:-1] if is_bracketed else host
    if not separator or not _HOST.fullmatch(host) or (":" in host) != is_bracketed:
        return None
    if not _PORT.fullmatch(port_text) or int(port_text) > 65_535:
        return None
    return Address(host, int(port_text))


def parse_peer_address(text: str) -> PeerAddress:
    """Parse `node_id@host:port` or `host:port` from the configuration.

    Raises:
        ConfigError: BAD_ADDRESS.
    """
    node_id, separator, rest = text.rpartition("@")
    address = find_address(rest)
    if address is None or (separator and not _NODE_ID.fullmatch(node_id)):
        raise ConfigError(ConfigReason.BAD_ADDRESS, text)
    return PeerAddress(address, node_id)


def find_dialable(text: str, *, allows_private: bool) -> Address | None:
    """Parse an address that a stranger told us, or return None when we would never dial it.

    It must be a literal unicast IP address in its usual spelling; loopback and other private ranges only pass when
    the operator allows them.
    """
    address = find_address(text) if len(text) <= LISTEN_ADDRESS_CHARS_MAX else None
    literal = find_ip(address.host) if address is not None else None
    if address is None or literal is None or str(literal) != address.host:
        return None
    is_reserved = literal.is_reserved and not literal.is_loopback
    if literal.is_multicast or literal.is_unspecified or is_reserved:
        return None
    return address if allows_private or literal.is_global else None


def resolve_claim(claim: str, remote_ip: str) -> Address | None:
    """Return where a peer claims to listen, with its own IP where the claim leaves it open, or None for nonsense."""
    address = find_address(claim)
    literal = find_ip(address.host) if address is not None else None
    if address is not None and literal is not None and literal.is_unspecified:
        return Address(remote_ip, address.port)
    return address


def find_ip(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Return the IP address that a host literally is, or None for a name."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def build_group(host: str) -> str:
    """Return the network that a host is counted under: /16 for IPv4, /32 for IPv6, the name itself otherwise."""
    literal = find_ip(host)
    if literal is None:
        return host
    if isinstance(literal, ipaddress.IPv6Address) and literal.ipv4_mapped is not None:
        literal = literal.ipv4_mapped
    if literal.is_loopback:
        return LOOPBACK_GROUP
    prefix_bits = 16 if literal.version == 4 else 32
    return str(ipaddress.ip_network((literal, prefix_bits), strict=False))
