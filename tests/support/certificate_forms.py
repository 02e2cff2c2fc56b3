"""Certificates and revocation lists, part by part, so that a test can spoil one part; and keys to sign them for real."""

from __future__ import annotations

from functools import lru_cache

from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256, SHA384
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tee import der_writer as w

BASIC_CONSTRAINTS = "2.5.29.19"
KEY_USAGE = "2.5.29.15"
ECDSA_SHA256 = w.write_sequence(w.write_oid("1.2.840.10045.4.3.2"))
ECDSA_SHA384 = w.write_sequence(w.write_oid("1.2.840.10045.4.3.3"))
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
KEY = ec.derive_private_key(0xB0CC, ec.SECP256R1())
OTHER_KEY = ec.derive_private_key(0xB0CD, ec.SECP256R1())
P384_KEY = ec.derive_private_key(0xB0CE, ec.SECP384R1())


def write_spki(key) -> bytes:
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def read_point(key) -> bytes:
    return key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)[1:]


@lru_cache(maxsize=4)
def make_rsa_key(bits: int) -> rsa.RSAPrivateKey:
    """Make a key by chance; tests only tell sizes apart and sign with it."""
    return rsa.generate_private_key(65_537, bits)


def sign_raw(key, message: bytes) -> bytes:
    """Sign with the hash of the curve; return r and s in fixed width."""
    size = key.key_size // 8
    r, s = decode_dss_signature(key.sign(message, ec.ECDSA(SHA256() if size == 32 else SHA384())))
    return r.to_bytes(size, "big") + s.to_bytes(size, "big")


def sign_pss(key: rsa.RSAPrivateKey, message: bytes, *, salt: int = 48, digest=None) -> bytes:
    digest = digest or SHA384()
    return key.sign(message, padding.PSS(mgf=padding.MGF1(digest), salt_length=salt), digest)


def write_signature(raw: bytes) -> bytes:
    """Return a raw signature in DER."""
    half = len(raw) // 2
    r, s = int.from_bytes(raw[:half], "big"), int.from_bytes(raw[half:], "big")
    return w.write_sequence(w.write_integer(r), w.write_integer(s))


def write_name(*names: str) -> bytes:
    return w.write_sequence(
        *(w.write_set(w.write_sequence(w.write_oid("2.5.4.3"), w.write_text(name))) for name in names)
    )


def write_extension(oid: str, content: bytes, *critical: bytes) -> bytes:
    return w.write_sequence(w.write_oid(oid), *critical, w.write_octets(content))


CRITICAL = w.write_boolean(True)
CA_CONSTRAINTS = write_extension(
    BASIC_CONSTRAINTS, w.write_sequence(w.write_boolean(True), w.write_integer(1)), CRITICAL
)
CA_USAGE = write_extension(KEY_USAGE, w.write_named_bits(0b1100000), CRITICAL)


def write_signed(tbs: bytes, algorithm: bytes = ECDSA_SHA256, *, key=KEY, signature: bytes | None = None) -> bytes:
    """Sign a signed part, or put the given BIT STRING behind it."""
    if signature is None:
        signature = w.write_bits(write_signature(sign_raw(key, tbs)))
    return w.write_sequence(tbs, algorithm, signature)


def write_tbs(**parts: bytes) -> bytes:
    """Write the signed part of an authority's certificate; each part can be replaced, or left out as b""."""
    usual = {
        "version": w.write_context(0, w.write_integer(2)),
        "serial": w.write_integer(7),
        "algorithm": ECDSA_SHA256,
        "issuer": write_name("Issuer"),
        "validity": w.write_sequence(w.write_time(1_700_000_000), w.write_time(1_800_000_000)),
        "subject": write_name("Subject"),
        "spki": write_spki(KEY),
        "unique_ids": b"",
        "extensions": w.write_context(3, w.write_sequence(CA_CONSTRAINTS, CA_USAGE)),
        "rest": b"",
    }
    assert not parts.keys() - usual.keys()
    return w.write_sequence(*(usual | parts).values())


def write_certificate(**parts: bytes) -> bytes:
    return write_signed(write_tbs(**parts))


def write_extended(*extensions: bytes) -> bytes:
    """Write a certificate with these extensions and no others."""
    return write_certificate(extensions=w.write_context(3, w.write_sequence(*extensions)))


def write_entry(serial: int, *extensions: bytes) -> bytes:
    """Write an entry of a revocation list."""
    tail = (w.write_sequence(*extensions),) if extensions else ()
    return w.write_sequence(w.write_integer(serial), w.write_time(1_700_000_000), *tail)


LIST_NUMBER = write_extension("2.5.29.20", w.write_integer(1))
AUTHORITY_KEY_ID = write_extension("2.5.29.35", w.write_sequence(w.write_context(0, b"id", is_constructed=False)))


def write_list(*entries: bytes, **parts: bytes) -> bytes:
    """Write a revocation list with these entries; each part can be replaced, or left out as b""."""
    usual = {
        "version": w.write_integer(1),
        "algorithm": ECDSA_SHA256,
        "issuer": write_name("Issuer"),
        "this_update": w.write_time(1_700_000_000),
        "next_update": w.write_time(1_702_592_000),
        "entries": w.write_sequence(*entries) if entries else b"",
        "extensions": w.write_context(0, w.write_sequence(LIST_NUMBER, AUTHORITY_KEY_ID)),
        "rest": b"",
    }
    assert not parts.keys() - usual.keys()
    return write_signed(w.write_sequence(*(usual | parts).values()))
