"""Signatures of all vendors: ECDSA on P-256 and P-384, RSA-4096 PSS, and the keys that verify them.

The only module that calls `cryptography`, and the only one that knows its exceptions. Keys and signatures are checked by
rules of our own before the library sees them, so it decides nothing but the equation: points lie on their curve, r and s
lie between 1 and n - 1 (both halves of s count, vendors use both), a modulus has exactly 4,096 bits. An exception that is
not expected here passes, because a node had better stop than fork. Attestation specification, sections 2.1 and 2.2.
"""

from __future__ import annotations

from enum import IntEnum
from functools import lru_cache
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256, SHA384
from msgspec import Struct

from tee.der import SEQUENCE, DerError, DerReader

RSA_BITS: Final = 4096
RSA_EXPONENT: Final = 65_537
PSS_SALT_BYTES: Final = 48
KEY_CACHE_ENTRIES: Final = 256
"""Loaded keys to keep: those of vendors' authorities come again with each evidence."""


class Curve(IntEnum):
    """NIST curves, by the size of a coordinate in bytes."""

    P256 = 32
    P384 = 48


class SignatureAlgorithm(IntEnum):
    """How a certificate or a list is signed."""

    ECDSA_SHA256 = 1
    ECDSA_SHA384 = 2
    RSA_PSS_SHA384 = 3


class EcKey(Struct, frozen=True, gc=False):
    """A point on a curve."""

    curve: Curve
    point: bytes
    """x, then y, each big-endian in the size of the curve."""


class RsaKey(Struct, frozen=True, gc=False):
    """An RSA key of 4,096 bits with the exponent 65537."""

    modulus: int


PublicKey = EcKey | RsaKey


class _Domain(Struct, frozen=True):
    """What verification needs to know about a curve y^2 = x^3 - 3x + b."""

    curve: ec.EllipticCurve
    algorithm: ec.ECDSA
    certificate_algorithm: SignatureAlgorithm
    prime: int
    b: int
    order: int


# Source: FIPS 186-4, appendix D.1.2.
_DOMAINS: Final = {
    Curve.P256: _Domain(
        ec.SECP256R1(),
        ec.ECDSA(SHA256()),
        SignatureAlgorithm.ECDSA_SHA256,
        0xFFFFFFFF00000001000000000000000000000000FFFFFFFFFFFFFFFFFFFFFFFF,
        0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B,
        0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551,
    ),
    Curve.P384: _Domain(
        ec.SECP384R1(),
        ec.ECDSA(SHA384()),
        SignatureAlgorithm.ECDSA_SHA384,
        0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEFFFFFFFF0000000000000000FFFFFFFF,
        0xB3312FA7E23EE7E4988E056BE3F82D19181D9C6EFE8141120314088F5013875AC656398D8A2ED19D2A85C8EDD3EC2AEF,
        0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFC7634D81F4372DDF581A0DB248B0A77AECEC196ACCC52973,
    ),
}
_PSS_PADDING: Final = padding.PSS(mgf=padding.MGF1(SHA384()), salt_length=PSS_SALT_BYTES)
_SHA384: Final = SHA384()

# Everything before x and y in a SubjectPublicKeyInfo. Only the uncompressed form exists in vendors' certificates.
_EC_PREFIXES: Final = {
    Curve.P256: bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d03010703420004"),
    Curve.P384: bytes.fromhex("3076301006072a8648ce3d020106052b8104002203620004"),
}
_UNCOMPRESSED: Final = b"\x04"
_RSA_ALGORITHM: Final = bytes.fromhex("300d06092a864886f70d0101010500")


def load_public_key(spki: bytes) -> PublicKey:
    """Read a SubjectPublicKeyInfo: P-256 or P-384 in uncompressed form, or RSA of 4,096 bits.

    Raises:
        DerError: another form, kind or size of key, or a point that is not on its curve.
    """
    for curve, prefix in _EC_PREFIXES.items():
        if spki.startswith(prefix):
            point = spki[len(prefix) :]
            if len(point) != 2 * curve or not _is_on_curve(curve, point):
                raise DerError(f"a point is not on {curve.name}")
            return EcKey(curve, point)
    return _load_rsa_key(spki)


def _load_rsa_key(spki: bytes) -> RsaKey:
    """Read a SubjectPublicKeyInfo that holds an RSA key."""
    outside = DerReader(spki)
    inside = outside.enter(SEQUENCE)
    outside.finish()
    if inside.read_whole(SEQUENCE) != _RSA_ALGORITHM:
        raise DerError("a kind of public key that no vendor uses")
    encoded = inside.read_bit_string()
    inside.finish()
    outside = DerReader(encoded)
    numbers = outside.enter(SEQUENCE)
    outside.finish()
    modulus, exponent = numbers.read_unsigned(), numbers.read_unsigned()
    numbers.finish()
    if modulus.bit_length() != RSA_BITS or modulus % 2 == 0 or exponent != RSA_EXPONENT:
        raise DerError("an RSA key has another size or exponent than vendors use")
    return RsaKey(modulus)


def verify_p256(point: bytes, signature: bytes, message: bytes) -> bool:
    """Tell whether ECDSA with SHA-256 on P-256 holds: point x, y and signature r, s, 32 bytes big-endian each."""
    return _verify_raw(Curve.P256, point, signature, message)


def verify_p384(point: bytes, signature: bytes, message: bytes) -> bool:
    """Tell whether ECDSA with SHA-384 on P-384 holds: point x, y and signature r, s, 48 bytes big-endian each."""
    return _verify_raw(Curve.P384, point, signature, message)


def verify_certificate_signature(
    issuer_key: PublicKey, algorithm: SignatureAlgorithm, signature: bytes, tbs: bytes
) -> bool:
    """Tell whether a key signed the inner part of a certificate or list; `signature` is the content of its BIT STRING.

    ECDSA signatures are strict DER. An algorithm that does not fit the key holds for nobody.
    """
    match issuer_key:
        case RsaKey(modulus):
            return algorithm is SignatureAlgorithm.RSA_PSS_SHA384 and _verify_pss(modulus, signature, tbs)
        case EcKey(curve, point):
            if algorithm is not _DOMAINS[curve].certificate_algorithm:
                return False
            try:
                r, s = _read_ecdsa_signature(signature)
            except DerError:
                return False
            return _verify_ecdsa(curve, point, r, s, tbs)


def _is_on_curve(curve: Curve, point: bytes) -> bool:
    """Tell whether x and y are below the prime and fulfil the equation; infinity has no such form."""
    domain = _DOMAINS[curve]
    x, y = int.from_bytes(point[:curve], "big"), int.from_bytes(point[curve:], "big")
    return x < domain.prime and y < domain.prime and (y * y - (x * x - 3) * x - domain.b) % domain.prime == 0


@lru_cache(maxsize=KEY_CACHE_ENTRIES)
def _find_ec_key(curve: Curve, point: bytes) -> ec.EllipticCurvePublicKey | None:
    """Return the library's form of a key, or None for a point that is not on its curve."""
    if not _is_on_curve(curve, point):
        return None
    return ec.EllipticCurvePublicKey.from_encoded_point(_DOMAINS[curve].curve, _UNCOMPRESSED + point)


@lru_cache(maxsize=KEY_CACHE_ENTRIES)
def _load_rsa_numbers(modulus: int) -> rsa.RSAPublicKey:
    """Return the library's form of a key."""
    return rsa.RSAPublicNumbers(RSA_EXPONENT, modulus).public_key()


def _read_ecdsa_signature(signature: bytes) -> tuple[int, int]:
    """Read r and s of a signature in DER."""
    outside = DerReader(signature)
    numbers = outside.enter(SEQUENCE)
    outside.finish()
    r, s = numbers.read_unsigned(), numbers.read_unsigned()
    numbers.finish()
    return r, s


def _verify_raw(curve: Curve, point: bytes, signature: bytes, message: bytes) -> bool:
    """Verify a signature of fixed width."""
    if len(signature) != 2 * curve or len(point) != 2 * curve:
        return False
    r, s = int.from_bytes(signature[:curve], "big"), int.from_bytes(signature[curve:], "big")
    return _verify_ecdsa(curve, point, r, s, message)


def _verify_ecdsa(curve: Curve, point: bytes, r: int, s: int, message: bytes) -> bool:
    """Verify r and s over a message, with the hash that belongs to the curve."""
    domain = _DOMAINS[curve]
    if not (0 < r < domain.order and 0 < s < domain.order):
        return False
    key = _find_ec_key(curve, point)
    if key is None:
        return False
    try:
        key.verify(encode_dss_signature(r, s), message, domain.algorithm)
    except InvalidSignature:
        return False
    return True


def _verify_pss(modulus: int, signature: bytes, message: bytes) -> bool:
    """Verify an RSA signature of 512 bytes below the modulus, PSS with SHA-384, MGF1 with SHA-384, salt of 48 bytes."""
    if len(signature) != RSA_BITS // 8 or int.from_bytes(signature, "big") >= modulus:
        return False
    try:
        _load_rsa_numbers(modulus).verify(signature, message, _PSS_PADDING, _SHA384)
    except InvalidSignature:
        return False
    return True
