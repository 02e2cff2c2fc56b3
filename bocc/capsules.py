"""Capsules: a key sealed to one enclave for one line of one order, so that it opens nowhere else.

HPKE, base mode, DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, ChaCha20-Poly1305. Everything that a grant is for stands in `info`, so a
capsule for another chain, order, line, enclave, release or epoch of grants does not open. Layout: encapsulated key (32 bytes),
ciphertext, tag (16 bytes).

Source: RFC 9180; PROTOCOL.md, Grant.
"""

from __future__ import annotations

from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite
from msgspec import Struct

from bocc.errors import CapsuleRejected
from state.order_messages import CAPSULE_BYTES_MAX

KEY_BYTES_MAX: Final = CAPSULE_BYTES_MAX - 48
"""Longest key that a capsule holds."""

_SUITE: Final = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.CHACHA20_POLY1305)
_INFO_PREFIX: Final = b"bocc/capsule/1"


class CapsulePurpose(Struct, frozen=True):
    """What a capsule is for."""

    chain_id: bytes
    order: bytes
    line: int
    enclave: bytes
    release: int
    grant_epoch: int

    @property
    def info(self) -> bytes:
        """The bytes that HPKE binds the capsule to."""
        numbers = (self.release.to_bytes(8, "big"), self.grant_epoch.to_bytes(8, "big"))
        return b"".join((_INFO_PREFIX, self.chain_id, self.order, bytes((self.line,)), self.enclave, *numbers))


def seal_capsule(key: bytes, seal_key: bytes, purpose: CapsulePurpose) -> bytes:
    """Return a capsule of a key of at most KEY_BYTES_MAX bytes, for an enclave's X25519 seal key.

    Raises:
        CapsuleRejected: the key is too long, or the seal key is no point of the curve's large subgroup.
    """
    if len(key) > KEY_BYTES_MAX:
        raise CapsuleRejected(f"a capsule holds {KEY_BYTES_MAX} bytes at most, not {len(key)}")
    try:
        return _SUITE.encrypt(key, X25519PublicKey.from_public_bytes(seal_key), info=purpose.info)
    except ValueError as error:
        raise CapsuleRejected("the enclave's seal key is not a key that anything can be sealed to") from error


def open_capsule(capsule: bytes, private_key: bytes, purpose: CapsulePurpose) -> bytes:
    """Return the key in a capsule.

    Raises:
        CapsuleRejected: it was sealed to another enclave or for something else, or it was changed.
    """
    try:
        return _SUITE.decrypt(capsule, X25519PrivateKey.from_private_bytes(private_key), info=purpose.info)
    except (InvalidTag, ValueError) as error:
        raise CapsuleRejected("the capsule was sealed to another enclave, or for something else") from error
