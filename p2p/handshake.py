"""Who is at the other end: Noise XX with an Ed25519 node key that signs the Noise key.

Each end proves its identity inside the encrypted payload of its second flight. The signature covers a tag, the chain
id, the role, the sender's Noise key and the handshake hash before the message, so it is of no use on another chain,
in the other role or in another handshake. The initiator's identity is hidden from everyone but the responder.

On the stream each handshake message follows its length (2 bytes, big-endian). Payloads begin with the protocol
version (2 bytes, big-endian), outside the structure that a version may change.
"""

import hashlib
import struct
from typing import Annotated

import msgspec
from msgspec import Meta
from nacl.exceptions import BadSignatureError
from nacl.signing import SigningKey, VerifyKey

from p2p import codec
from p2p.address import LISTEN_ADDRESS_CHARS_MAX
from p2p.errors import ConnectionRefused, PeerViolation, RefusalReason, ViolationReason
from p2p.noise import CipherState, NoiseHandshake, Role

PROTOCOL_VERSION = 1
HANDSHAKE_TAG = b"bocc/handshake/1"
NODE_TAG = b"bocc/node/1"
PROLOGUE = b"bocc/p2p"
"""Without a version, so that two versions still understand each other's refusal."""
NODE_ID_BYTES = 20
OPENING_BYTES = 32
"""The first message is an ephemeral key and an empty payload."""
MESSAGE_BYTES_MAX = 1024
"""Longest handshake message: keys, tags, signature and a listen address take less than 500."""

_LENGTH = struct.Struct(">H")

Key = Annotated[bytes, Meta(min_length=32, max_length=32)]
Signature = Annotated[bytes, Meta(min_length=64, max_length=64)]


class IdentityPayload(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, kw_only=True):
    """What each end says about itself, after the version."""

    chain_id: Key
    public_key: Key
    """Ed25519 node key."""
    signature: Signature
    listen_address: Annotated[str, Meta(max_length=LISTEN_ADDRESS_CHARS_MAX)]
    """`host:port` under which the sender can be dialed, or empty. A claim, never proof."""


class LocalIdentity(msgspec.Struct, frozen=True, kw_only=True):
    """What this node is in every handshake."""

    node_key: SigningKey
    chain_id: bytes
    static_private: bytes
    """X25519 private key for Noise, 32 bytes."""
    listen_address: str = ""

    @property
    def node_id(self) -> str:
        """This node's own id."""
        return build_node_id(bytes(self.node_key.verify_key))


class HandshakeOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """An authenticated peer and the keys shared with it."""

    peer_id: str
    listen_address: str
    send_cipher: CipherState
    receive_cipher: CipherState


def build_node_id(public_key: bytes) -> str:
    """Return the id of an Ed25519 node key: 40 lower-case hex digits."""
    return hashlib.sha256(NODE_TAG + public_key).digest()[:NODE_ID_BYTES].hex()


class Handshake:
    """One end of one handshake on a byte stream."""

    def __init__(self, role: Role, local: LocalIdentity, ephemeral_private: bytes, expected_id: str = "") -> None:
        self._role = role
        self._local = local
        self._expected_id = expected_id
        self._noise = NoiseHandshake(role, local.static_private, ephemeral_private, PROLOGUE)
        self._received = bytearray()
        self._expects_opening = role is Role.RESPONDER
        self._peer_id = ""
        self._peer_listen_address = ""

    @property
    def is_complete(self) -> bool:
        """Whether the peer is authenticated and `finish` may be called."""
        return self._noise.is_complete

    def start(self) -> bytes:
        """Return the bytes that open the conversation; the responder has none."""
        return self._write(b"") if self._role is Role.INITIATOR else b""

    def receive(self, received: bytes | memoryview) -> bytes:
        """Take bytes from the stream and return the bytes to answer with, possibly none.

        Bytes after the last handshake message are kept for `finish`.

        Raises:
            PeerViolation: HANDSHAKE_MALFORMED, WEAK_KEY, BAD_CIPHERTEXT, MESSAGE_MALFORMED, MESSAGE_NOT_CANONICAL,
                BAD_SIGNATURE.
            ConnectionRefused: WRONG_VERSION, WRONG_CHAIN, OWN_KEY, UNEXPECTED_ID.
        """
        self._received += received
        answer = b""
        while not self._noise.is_complete and len(self._received) >= _LENGTH.size:
            length = _LENGTH.unpack_from(self._received)[0]
            bound = OPENING_BYTES if self._expects_opening else MESSAGE_BYTES_MAX
            if not OPENING_BYTES <= length <= bound:
                raise PeerViolation(ViolationReason.HANDSHAKE_MALFORMED, length, bound)
            end = _LENGTH.size + length
            if len(self._received) < end:
                break
            message = bytes(self._received[_LENGTH.size : end])
            del self._received[:end]
            answer += self._advance(message)
        return answer

    def finish(self) -> tuple[HandshakeOutcome, bytes]:
        """Return the outcome and the bytes that already belong to the session."""
        send_cipher, receive_cipher = self._noise.split()
        outcome = HandshakeOutcome(
            peer_id=self._peer_id,
            listen_address=self._peer_listen_address,
            send_cipher=send_cipher,
            receive_cipher=receive_cipher,
        )
        return outcome, bytes(self._received)

    def _advance(self, message: bytes) -> bytes:
        if self._expects_opening:
            self._noise.read_message(message)
            self._expects_opening = False
        else:
            signed_hash = self._noise.handshake_hash
            self._identify(self._noise.read_message(message), signed_hash)
        return self._write(self._build_payload()) if self._noise.is_our_turn else b""

    def _write(self, payload: bytes) -> bytes:
        message = self._noise.write_message(payload)
        return _LENGTH.pack(len(message)) + message

    def _build_payload(self) -> bytes:
        local = self._local
        signed = _signed_bytes(local.chain_id, self._role, self._noise.static_public, self._noise.handshake_hash)
        identity = IdentityPayload(
            chain_id=local.chain_id,
            public_key=bytes(local.node_key.verify_key),
            signature=local.node_key.sign(signed).signature,
            listen_address=local.listen_address,
        )
        return _LENGTH.pack(PROTOCOL_VERSION) + codec.encode(identity)

    def _identify(self, payload: bytes, signed_hash: bytes) -> None:
        version = int.from_bytes(payload[: _LENGTH.size], "big")
        if version != PROTOCOL_VERSION:
            raise ConnectionRefused(RefusalReason.WRONG_VERSION, version, PROTOCOL_VERSION)
        identity = codec.decode(_identity_decoder, payload[_LENGTH.size :])
        if identity.chain_id != self._local.chain_id:
            seen, bound = identity.chain_id.hex(), self._local.chain_id.hex()
            raise ConnectionRefused(RefusalReason.WRONG_CHAIN, seen, bound)
        signed = _signed_bytes(identity.chain_id, _other(self._role), self._noise.remote_static, signed_hash)
        try:
            VerifyKey(identity.public_key).verify(signed, identity.signature)
        except BadSignatureError as error:
            raise PeerViolation(ViolationReason.BAD_SIGNATURE, identity.public_key.hex()) from error
        self._peer_id = build_node_id(identity.public_key)
        self._peer_listen_address = identity.listen_address
        if self._peer_id == self._local.node_id:
            raise ConnectionRefused(RefusalReason.OWN_KEY, self._peer_id)
        if self._expected_id not in {"", self._peer_id}:
            raise ConnectionRefused(RefusalReason.UNEXPECTED_ID, self._peer_id, self._expected_id)


_identity_decoder = msgspec.msgpack.Decoder(IdentityPayload)


def _signed_bytes(chain_id: bytes, role: Role, static_public: bytes, handshake_hash: bytes) -> bytes:
    return HANDSHAKE_TAG + chain_id + role.value.encode() + static_public + handshake_hash


def _other(role: Role) -> Role:
    return Role.RESPONDER if role is Role.INITIATOR else Role.INITIATOR
