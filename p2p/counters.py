"""Plain integers that only grow, for the metrics."""

import msgspec


class NetworkCounters(msgspec.Struct):
    """What the network did since it started."""

    received_bytes: int = 0
    sent_bytes: int = 0
    received_messages: int = 0
    sent_messages: int = 0
    """Accepted into a send queue."""
    dropped_messages: int = 0
    """Given up by a full queue, or too long to be sent."""
    accepted_connections: int = 0
    """TCP connections that others opened."""
    refused_connections: int = 0
    """Connections of no use: limits, duplicates, other chains, bans."""
    failed_handshakes: int = 0
    """Handshakes that broke the protocol, ran out of time or lost their connection."""
    dials: int = 0
    failed_dials: int = 0
    """Dials that found nobody listening."""
    violations: int = 0
    bans: int = 0
    read_pauses: int = 0
    """Times when reading stopped because a peer was above its rate or the node congested."""
