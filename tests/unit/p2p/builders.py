"""Two ends of a connection without a socket."""

from __future__ import annotations

from nacl.signing import SigningKey

from p2p.channels import POLICIES, Channel, ChannelPolicy, DropPolicy, QueueBudget
from p2p.counters import NetworkCounters
from p2p.handshake import Handshake, HandshakeOutcome, LocalIdentity
from p2p.noise import CipherState, Role
from p2p.session import KeepAlive, Session

CHAIN_ID = b"\x07" * 32


def build_identity(number: int, chain_id: bytes = CHAIN_ID, listen_address: str = "") -> LocalIdentity:
    return LocalIdentity(
        node_key=SigningKey(bytes([number]) * 32),
        chain_id=chain_id,
        static_private=bytes([number + 100]) * 32,
        listen_address=listen_address,
    )


def build_handshakes(
    initiator: LocalIdentity | None = None, responder: LocalIdentity | None = None, expected_id: str = ""
) -> tuple[Handshake, Handshake]:
    return (
        Handshake(Role.INITIATOR, initiator or build_identity(1), b"\x0b" * 32, expected_id),
        Handshake(Role.RESPONDER, responder or build_identity(2), b"\x0c" * 32),
    )


def shake_hands(initiator: Handshake, responder: Handshake) -> None:
    responder.receive(initiator.receive(responder.receive(initiator.start())))


def build_outcomes() -> tuple[HandshakeOutcome, HandshakeOutcome]:
    initiator, responder = build_handshakes()
    shake_hands(initiator, responder)
    return initiator.finish()[0], responder.finish()[0]


def build_cipher_pair() -> tuple[CipherState, CipherState]:
    """Return two states with the same key: what one encrypts, the other decrypts."""
    return CipherState(b"\x21" * 32), CipherState(b"\x21" * 32)


def build_sessions(
    keep_alive: KeepAlive | None = None, policies: dict[Channel, ChannelPolicy] | None = None, now_ms: int = 0
) -> tuple[Session, Session]:
    """Return the initiator's and the responder's session, not yet admitted."""
    ours, theirs = build_outcomes()
    shared = (policies or POLICIES, keep_alive or KeepAlive())
    return (
        Session(Role.INITIATOR, ours, *shared, QueueBudget(), NetworkCounters(), now_ms),
        Session(Role.RESPONDER, theirs, *shared, QueueBudget(), NetworkCounters(), now_ms),
    )


def build_policy(**changes: object) -> ChannelPolicy:
    limits: dict[str, object] = {
        "message_bytes_max": 1 << 20,
        "rate_bytes_per_ms": 1 << 30,
        "burst_bytes": 1 << 40,
        "queue_messages_max": 1_000,
        "queue_bytes_max": 1 << 30,
        "drop": DropPolicy.NEWEST,
    }
    return ChannelPolicy(**(limits | changes))  # type: ignore[arg-type]


def take_all(session: Session, now_ms: int = 0) -> bytes:
    """Return everything that a session writes now."""
    stream = b""
    while record := session.take_record(now_ms):
        stream += record
    return stream
