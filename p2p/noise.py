"""Noise XX over X25519, ChaCha20-Poly1305 and SHA-256, without I/O.

    -> e
    <- e, ee, s, es
    -> s, se

Scalar multiplication is libsodium's, which refuses all-zero results; the AEAD is OpenSSL's, one reused object per
key. Keys and ephemeral keys are arguments, so a transcript can be replayed.

Source: The Noise Protocol Framework, revision 34.
"""

import hashlib
import hmac
from enum import StrEnum

import nacl.bindings
import nacl.exceptions
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from p2p.errors import PeerViolation, ViolationReason

PROTOCOL_NAME = b"Noise_XX_25519_ChaChaPoly_SHA256"
"""Exactly 32 bytes, so it is the first handshake hash as it stands."""
KEY_BYTES = 32
TAG_BYTES = 16
MESSAGE_BYTES_MAX = 65_535
"""Longest Noise message, by the Noise specification."""
NONCE_MAX = (1 << 64) - 1
"""Reserved for rekeying; no message is encrypted under it."""


class Role(StrEnum):
    """Which end of the handshake this is."""

    INITIATOR = "initiator"
    """Dialed, writes the first and third message."""
    RESPONDER = "responder"
    """Was dialed, writes the second message."""


_PATTERN = (("e",), ("e", "ee", "s", "es"), ("s", "se"))
"""Tokens of each message; the initiator writes the even ones."""


def build_public_key(private_key: bytes) -> bytes:
    """Return the X25519 public key of a 32-byte private key."""
    return nacl.bindings.crypto_scalarmult_base(private_key)


def agree(private_key: bytes, public_key: bytes) -> bytes:
    """Return the 32-byte X25519 shared secret.

    Raises:
        PeerViolation: WEAK_KEY when the result is all zero.
    """
    try:
        return nacl.bindings.crypto_scalarmult(private_key, public_key)
    except nacl.exceptions.RuntimeError as error:
        raise PeerViolation(ViolationReason.WEAK_KEY, public_key.hex()) from error


def derive_pair(chaining_key: bytes, secret: bytes) -> tuple[bytes, bytes]:
    """Return two 32-byte keys: HKDF-SHA-256 with the chaining key as salt and no info."""
    extracted = hmac.digest(chaining_key, secret, hashlib.sha256)
    first = hmac.digest(extracted, b"\x01", hashlib.sha256)
    return first, hmac.digest(extracted, first + b"\x02", hashlib.sha256)


class CipherState:
    """One direction's key and its counting nonce."""

    def __init__(self, key: bytes, nonce: int = 0) -> None:
        self._aead = ChaCha20Poly1305(key)
        self.nonce = nonce

    def encrypt(self, plaintext: bytes, associated: bytes | None = None) -> bytes:
        """Encrypt under the next nonce; the ciphertext is 16 bytes longer."""
        return self._aead.encrypt(self._next_nonce(), plaintext, associated)

    def decrypt(self, ciphertext: bytes | memoryview, associated: bytes | None = None) -> bytes:
        """Decrypt under the next nonce; a failure leaves the nonce as it was.

        Raises:
            PeerViolation: BAD_CIPHERTEXT.
        """
        nonce = self._next_nonce()
        try:
            return self._aead.decrypt(nonce, ciphertext, associated)
        except InvalidTag as error:
            self.nonce -= 1
            raise PeerViolation(ViolationReason.BAD_CIPHERTEXT, len(ciphertext)) from error

    def rekey(self) -> None:
        """Replace the key by the first 32 bytes of zeros encrypted under the reserved nonce; the count goes on."""
        sealed = self._aead.encrypt(_nonce_bytes(NONCE_MAX), bytes(KEY_BYTES), None)
        self._aead = ChaCha20Poly1305(sealed[:KEY_BYTES])

    def _next_nonce(self) -> bytes:
        # Invariant: no nonce is used twice. At a million messages a second the count lasts 580,000 years.
        assert self.nonce < NONCE_MAX, "the nonces of this key are used up"
        nonce = _nonce_bytes(self.nonce)
        self.nonce += 1
        return nonce


class NoiseHandshake:
    """One end of one XX handshake."""

    def __init__(self, role: Role, static_private: bytes, ephemeral_private: bytes, prologue: bytes) -> None:
        self._role = role
        self._static_private = static_private
        self._ephemeral_private = ephemeral_private
        self.static_public = build_public_key(static_private)
        self._ephemeral_public = build_public_key(ephemeral_private)
        self.remote_static = b""
        self._remote_ephemeral = b""
        self._chaining_key = PROTOCOL_NAME
        self._cipher: CipherState | None = None
        self._message_index = 0
        self.handshake_hash = PROTOCOL_NAME
        """Hash of everything exchanged so far; equal at both ends between messages."""
        self._mix_hash(prologue)

    @property
    def is_complete(self) -> bool:
        """Whether all three messages have passed."""
        return self._message_index == len(_PATTERN)

    @property
    def is_our_turn(self) -> bool:
        """Whether this end writes the next message."""
        is_initiators = self._message_index % 2 == 0
        return not self.is_complete and is_initiators == (self._role is Role.INITIATOR)

    def write_message(self, payload: bytes) -> bytes:
        """Build the next handshake message around a payload."""
        assert self.is_our_turn, "the other end writes this handshake message"
        message = b""
        for step in _PATTERN[self._message_index]:
            if step == "e":
                message += self._ephemeral_public
                self._mix_hash(self._ephemeral_public)
            elif step == "s":
                message += self._encrypt_and_hash(self.static_public)
            else:
                self._mix_agreement(step)
        message += self._encrypt_and_hash(payload)
        self._message_index += 1
        return message

    def read_message(self, message: bytes) -> bytes:
        """Check the other end's next message and return its payload.

        After an error the handshake is of no further use.

        Raises:
            PeerViolation: HANDSHAKE_MALFORMED, WEAK_KEY, BAD_CIPHERTEXT.
        """
        assert not self.is_our_turn, "this end writes this handshake message"
        position = 0
        for step in _PATTERN[self._message_index]:
            if step == "e":
                self._remote_ephemeral = _take(message, position, KEY_BYTES)
                self._mix_hash(self._remote_ephemeral)
                position += KEY_BYTES
            elif step == "s":
                length = KEY_BYTES + TAG_BYTES
                self.remote_static = self._decrypt_and_hash(_take(message, position, length))
                position += length
            else:
                self._mix_agreement(step)
        payload = self._decrypt_and_hash(message[position:])
        self._message_index += 1
        return payload

    def split(self) -> tuple[CipherState, CipherState]:
        """Return the cipher states to send and to receive with."""
        assert self.is_complete, "the handshake is not complete"
        first, second = derive_pair(self._chaining_key, b"")
        if self._role is Role.INITIATOR:
            return CipherState(first), CipherState(second)
        return CipherState(second), CipherState(first)

    def _mix_hash(self, data: bytes) -> None:
        self.handshake_hash = hashlib.sha256(self.handshake_hash + data).digest()

    def _mix_agreement(self, pair: str) -> None:
        ours, theirs = (pair[0], pair[1]) if self._role is Role.INITIATOR else (pair[1], pair[0])
        private_key = self._ephemeral_private if ours == "e" else self._static_private
        public_key = self._remote_ephemeral if theirs == "e" else self.remote_static
        self._chaining_key, key = derive_pair(self._chaining_key, agree(private_key, public_key))
        self._cipher = CipherState(key)

    def _encrypt_and_hash(self, plaintext: bytes) -> bytes:
        ciphertext = plaintext
        if self._cipher is not None:
            ciphertext = self._cipher.encrypt(plaintext, self.handshake_hash)
        self._mix_hash(ciphertext)
        return ciphertext

    def _decrypt_and_hash(self, ciphertext: bytes) -> bytes:
        plaintext = ciphertext
        if self._cipher is not None:
            plaintext = self._cipher.decrypt(ciphertext, self.handshake_hash)
        self._mix_hash(ciphertext)
        return plaintext


def _nonce_bytes(nonce: int) -> bytes:
    return b"\x00\x00\x00\x00" + nonce.to_bytes(8, "little")


def _take(message: bytes, position: int, length: int) -> bytes:
    piece = message[position : position + length]
    if len(piece) != length:
        raise PeerViolation(ViolationReason.HANDSHAKE_MALFORMED, len(message), position + length)
    return piece
