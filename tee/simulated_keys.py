"""Keys of the software TEE: P-256 pairs that everybody can derive from a seed and a name.

They protect nothing. A chain trusts them only if its genesis says so, and calls what they prove simulated. Signatures are those of
RFC 6979, so equal inputs give equal documents on every machine.
"""

from __future__ import annotations

import hashlib
from typing import Final

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from msgspec import Struct

DEVELOPMENT_SEED: Final = b"bocc simulated hardware"
"""The seed of all development chains, as public as their mnemonic."""

_ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""Number of points of P-256."""
_ECDSA: Final = ec.ECDSA(hashes.SHA256(), deterministic_signing=True)


class SimulatedKey(Struct, frozen=True, kw_only=True):
    """One named pair of keys."""

    name: str
    private: ec.EllipticCurvePrivateKey
    point: bytes
    """x and y, 32 bytes each."""
    spki: bytes
    """SubjectPublicKeyInfo, DER."""

    @property
    def key_id(self) -> bytes:
        """SHA-1 of the point: the usual key identifier of X.509, 20 bytes. A label, not a proof."""
        return hashlib.sha1(b"\x04" + self.point, usedforsecurity=False).digest()

    def sign_der(self, message: bytes) -> bytes:
        """Return an ECDSA signature over SHA-256 as X.509 writes it."""
        return self.private.sign(message, _ECDSA)

    def sign_raw(self, message: bytes) -> bytes:
        """Return an ECDSA signature over SHA-256 as quotes and Intel's JSON write it: r and s, 32 bytes each."""
        r, s = decode_dss_signature(self.sign_der(message))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def derive_key(seed: bytes, name: str) -> SimulatedKey:
    """Return the pair of this name: the private key is SHA-512 of tag, seed and name, reduced to 1 .. n-1."""
    digest = hashlib.sha512(b"bocc.simulated.key/1" + len(seed).to_bytes(2, "big") + seed + name.encode()).digest()
    private = ec.derive_private_key(int.from_bytes(digest, "big") % (_ORDER - 1) + 1, ec.SECP256R1())
    public = private.public_key()
    numbers = public.public_numbers()
    return SimulatedKey(
        name=name,
        private=private,
        point=numbers.x.to_bytes(32, "big") + numbers.y.to_bytes(32, "big"),
        spki=public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo),
    )


def derive_bytes(label: str, name: str, size: int) -> bytes:
    """Return 1 to 32 bytes that stand for something of this name: a platform id, a serial number, a measurement."""
    return hashlib.sha256(f"bocc.simulated.{label}/1:{name}".encode()).digest()[:size]
