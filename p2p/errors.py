"""Why a peer is cut off, refused or gone.

`PeerViolation` is the peer's doing and costs it score. `ConnectionRefused` blames nobody: the connection is of no
use to us. `ConfigError` is for the operator. A typed reason stands in each; texts are never compared.
"""

from enum import StrEnum


class ViolationReason(StrEnum):
    """A rule that a peer broke."""

    HANDSHAKE_MALFORMED = "handshake_malformed"
    """A handshake message has a wrong length or does not decode."""
    WEAK_KEY = "weak_key"
    """A Diffie-Hellman result is all zero, so it does not depend on our key."""
    BAD_SIGNATURE = "bad_signature"
    """The node key did not sign the Noise key of this handshake."""
    BAD_CIPHERTEXT = "bad_ciphertext"
    """A record was altered, replayed, reordered or never encrypted."""
    RECORD_LENGTH = "record_length"
    """A record is too short to hold anything, or a part of a message does not fill its record."""
    UNKNOWN_RECORD_KIND = "unknown_record_kind"
    """The first byte of a record is none that we know."""
    UNKNOWN_CHANNEL = "unknown_channel"
    """A frame names a channel that does not exist."""
    FRAME_LENGTH = "frame_length"
    """A frame is empty, longer than its channel allows, or its length contradicts its record."""
    FRAME_ORDER = "frame_order"
    """A part of a message without its beginning, or a second beginning."""
    FRAME_TIMEOUT = "frame_timeout"
    """A long message was begun and not completed in time."""
    CONTROL_FLOOD = "control_flood"
    """More control messages than keep-alive needs."""
    NOT_ADMITTED = "not_admitted"
    """A message came before the responder said that the connection is accepted."""
    MESSAGE_MALFORMED = "message_malformed"
    """A message does not decode to its type within its bounds."""
    MESSAGE_NOT_CANONICAL = "message_not_canonical"
    """A message decodes but is not the shortest encoding of its value."""
    DUPLICATE_ENTRY = "duplicate_entry"
    """A list names one thing twice."""
    UNASKED = "unasked"
    """An answer to a question that this peer was never asked."""
    RESPONSE_TOO_LONG = "response_too_long"
    """An answer is longer than the question allowed."""
    RATE_EXCEEDED = "rate_exceeded"
    """More on a channel than an honest sender, which paces itself, ever sends."""
    REQUESTED_TOO_OFTEN = "requested_too_often"
    """A request came before the shortest permitted interval was over."""


class RefusalReason(StrEnum):
    """Why a connection is of no use. The two ends tell it to each other, so the texts are part of the protocol."""

    WRONG_VERSION = "wrong_version"
    """The other end speaks another version of the p2p protocol."""
    WRONG_CHAIN = "wrong_chain"
    """The other end follows another chain."""
    OWN_KEY = "own_key"
    """The other end is this node itself."""
    UNEXPECTED_ID = "unexpected_id"
    """The address answers with another identity than the one that was dialed."""
    DUPLICATE = "duplicate"
    """The two nodes keep another connection."""
    BANNED = "banned"
    """The peer misbehaved too much lately."""
    BLOCKED = "blocked"
    """An operator cut this peer off."""
    INBOUND_FULL = "inbound_full"
    """All places for peers that dial us are taken."""
    OUTBOUND_FULL = "outbound_full"
    """All places for peers that we dial are taken."""
    IP_FULL = "ip_full"
    """This IP address holds its share of the inbound places."""
    HALF_OPEN_FULL = "half_open_full"
    """Too many handshakes are under way or began just now."""
    HALF_OPEN_IP_FULL = "half_open_ip_full"
    """Too many handshakes with this IP address are under way or began just now."""
    STOPPING = "stopping"
    """The node stops and takes nobody in any more."""


class DisconnectReason(StrEnum):
    """How a connection ended when neither a violation nor a refusal ended it."""

    CLOSED_BY_PEER = "closed_by_peer"
    """The peer closed the stream or the network lost it."""
    HANDSHAKE_TIMEOUT = "handshake_timeout"
    """The handshake was not complete at its deadline."""
    IDLE = "idle"
    """Nothing was heard for the idle timeout, not even an answer to a ping."""
    WRITE_STALLED = "write_stalled"
    """The peer did not read for the stall timeout."""
    REQUESTED = "requested"
    """Our own node asked for it."""
    STOPPED = "stopped"
    """Our own network stops."""


CloseReason = ViolationReason | RefusalReason | DisconnectReason


class ConfigReason(StrEnum):
    """A setting that cannot work."""

    OUT_OF_RANGE = "out_of_range"
    """A number is outside its range."""
    BAD_ADDRESS = "bad_address"
    """An address is not `host:port`, or a peer is not `id@host:port`."""
    ADDRESS_UNAVAILABLE = "address_unavailable"
    """The operating system does not let us listen there."""


class BookReason(StrEnum):
    """Why a stored peer book is not usable."""

    MALFORMED = "malformed"
    """The bytes are not a peer book of this version."""


class P2PError(Exception):
    """Base of the errors of this package: a reason, what was seen, and the bound that it broke."""

    def __init__(self, reason: StrEnum, seen: object = None, bound: object = None) -> None:
        super().__init__(f"{reason.value} (seen {seen!r}, bound {bound!r})")
        self.seen = seen
        self.bound = bound


class PeerViolation(P2PError):
    """A peer broke the protocol: score it and close the connection."""

    def __init__(self, reason: ViolationReason, seen: object = None, bound: object = None) -> None:
        super().__init__(reason, seen, bound)
        self.reason = reason


class ConnectionRefused(P2PError):
    """A connection is not wanted, without blame."""

    def __init__(self, reason: RefusalReason, seen: object = None, bound: object = None) -> None:
        super().__init__(reason, seen, bound)
        self.reason = reason


class ConfigError(P2PError):
    """The operator must change a setting."""

    def __init__(self, reason: ConfigReason, seen: object = None, bound: object = None) -> None:
        super().__init__(reason, seen, bound)
        self.reason = reason


class PeerBookRejected(P2PError):
    """A stored peer book is damaged or of another version; start with an empty one."""

    def __init__(self, reason: BookReason, seen: object = None, bound: object = None) -> None:
        super().__init__(reason, seen, bound)
        self.reason = reason
