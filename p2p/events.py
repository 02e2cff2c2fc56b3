"""What the network tells the node, and what it says about its peers."""

from enum import StrEnum

import msgspec

from p2p.channels import Channel
from p2p.errors import CloseReason


class Direction(StrEnum):
    """Who dialed."""

    INBOUND = "inbound"
    OUTBOUND = "outbound"


class PeerConnected(msgspec.Struct, frozen=True):
    """An authenticated peer is there; it can be sent to from now on."""

    peer_id: str
    address: str
    """Where it can be dialed as far as we know: dialed address, or what it claims to listen at."""
    direction: Direction


class PeerDisconnected(msgspec.Struct, frozen=True):
    """A peer that was connected is gone; what was still queued for it is lost."""

    peer_id: str
    reason: CloseReason


class MessageReceived(msgspec.Struct, frozen=True):
    """A connected peer sent a message on a channel."""

    peer_id: str
    channel: Channel
    payload: bytes


NetworkEvent = PeerConnected | PeerDisconnected | MessageReceived


class PeerInfo(msgspec.Struct, frozen=True, kw_only=True):
    """One connected peer as seen now."""

    peer_id: str
    address: str
    direction: Direction
    since_ms: int
    """When the connection opened, on the network's clock."""
    rtt_ms: int
    """Last round trip of a ping, or -1 before the first."""
    received_bytes: int
    sent_bytes: int
    score: int
    """Points for misbehaviour; 100 ban."""
    last_report: str
    """What the peer was last reported for, or empty."""
    queued_messages: int
    dropped_messages: int
    is_persistent: bool
