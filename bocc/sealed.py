"""Sealed content: data that only the holder of its key can read, and outputs that only their customer can.

Data are sealed with a key of 32 bytes that the owner makes and releases by `grant`: ChaCha20-Poly1305 over the whole, 12 bytes of
nonce before it. A release names the SHA-256 of the plain content (content_root), of the sealed file (sealed_root) and of the key
(key_commit). An output is sealed to the order's result_key by HPKE, as capsules are (bocc/capsules.py); `info` names its order.
"""

from __future__ import annotations

import os
from hashlib import sha256
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from bocc.errors import SealRejected

CONTENT_KEY_BYTES: Final = 32
_NONCE_BYTES: Final = 12
_CONTENT_PREFIX: Final = b"bocc/content/1"
_OUTPUT_PREFIX: Final = b"bocc/output/1"
_SUITE: Final = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.CHACHA20_POLY1305)


def key_commitment(key: bytes) -> bytes:
    """Return what a release says of the key to its sealed form: its SHA-256, from which nobody guesses a random key."""
    return sha256(key).digest()


def seal_content(content: bytes, key: bytes) -> bytes:
    """Return content sealed with a key of 32 random bytes.

    Raises:
        SealRejected: the key has another length.
    """
    nonce = os.urandom(_NONCE_BYTES)
    return nonce + _cipher(key).encrypt(nonce, content, _CONTENT_PREFIX)


def open_content(sealed: bytes, key: bytes) -> bytes:
    """Return the content of its sealed form.

    Raises:
        SealRejected: the key is another one, or the file was changed.
    """
    try:
        return _cipher(key).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], _CONTENT_PREFIX)
    except (InvalidTag, ValueError) as error:
        raise SealRejected("the key does not open this content, or it was changed") from error


def seal_output(output: bytes, result_key: bytes, chain_id: bytes, order: bytes) -> bytes:
    """Return an output sealed to the X25519 key that its order names.

    Raises:
        SealRejected: nothing can be sealed to that key.
    """
    try:
        public_key = X25519PublicKey.from_public_bytes(result_key)
        return _SUITE.encrypt(output, public_key, info=_OUTPUT_PREFIX + chain_id + order)
    except ValueError as error:
        raise SealRejected("the order's result key is not a key that anything can be sealed to") from error


def open_output(sealed: bytes, private_key: bytes, chain_id: bytes, order: bytes) -> bytes:
    """Return the output of an order with the private part of its result key.

    Raises:
        SealRejected: it is for another key or order, or it was changed.
    """
    try:
        return _SUITE.decrypt(
            sealed, X25519PrivateKey.from_private_bytes(private_key), info=_OUTPUT_PREFIX + chain_id + order
        )
    except (InvalidTag, ValueError) as error:
        raise SealRejected("the output was sealed to another key or for another order, or it was changed") from error


def _cipher(key: bytes) -> ChaCha20Poly1305:
    if len(key) != CONTENT_KEY_BYTES:
        raise SealRejected(f"a content key has {CONTENT_KEY_BYTES} bytes, not {len(key)}")
    return ChaCha20Poly1305(key)
