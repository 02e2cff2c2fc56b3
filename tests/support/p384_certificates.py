"""Certificates of a made-up vendor, each of which may be wrong in one way: for the families with P-384 chains."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from hashlib import sha384
from typing import Self

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256, SHA384
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from msgspec import Struct
from msgspec.structs import replace

from tee import der_writer as der
from tee.roots import TrustedRoot

CERT_SIGN = 1 << 5
DIGITAL_SIGNATURE = 1 << 0
_ECDSA_SHA256 = "1.2.840.10045.4.3.2"
_ECDSA_SHA384 = "1.2.840.10045.4.3.3"


class CertificateForm(Struct, frozen=True, kw_only=True):
    """What a certificate says; keys go by name, and a name that starts with p256 is a key of that curve."""

    subject: str
    issuer: str
    key: str
    signer: str
    not_before_s: int
    not_after_s: int
    is_ca: bool = True
    has_constraints: bool = True
    are_constraints_critical: bool = True
    path_length: int | None = None
    key_usage: int | None = CERT_SIGN
    others: tuple[tuple[str, bool, bytes], ...] = ()
    """Further extensions: identifier, whether critical, content."""
    serial: int = 0x77


def make_link(family: str, names: Sequence[str], position: int, **others: object) -> CertificateForm:
    """Return the form of one certificate of a good chain, whose names are given root first; the last one is the leaf."""
    subject, issuer = names[position], names[max(position - 1, 0)]
    is_leaf = position == len(names) - 1
    return CertificateForm(
        subject=subject,
        issuer=issuer,
        key=f"{family} {subject}",
        signer=f"{family} {issuer}",
        is_ca=not is_leaf,
        key_usage=DIGITAL_SIGNATURE if is_leaf else CERT_SIGN,
        **others,
    )


class Vouched(Struct, frozen=True, kw_only=True):
    """Evidence that a chain of certificates vouches for, root first."""

    chain: tuple[CertificateForm, ...]

    def change(self, position: int, **changes: object) -> Self:
        """Return the same evidence under a chain in which one certificate says something else."""
        chain = list(self.chain)
        chain[position] = replace(chain[position], **changes)
        return replace(self, chain=tuple(chain))

    def trust(self) -> tuple[TrustedRoot]:
        """Return the root of the chain, to be trusted as genuine."""
        return (TrustedRoot(der=issue(self.chain[0]), is_simulated=False),)


@cache
def find_key(name: str) -> ec.EllipticCurvePrivateKey:
    """Return the key of this name, always the same one."""
    curve: ec.EllipticCurve = ec.SECP256R1() if name.startswith("p256") else ec.SECP384R1()
    size = 31 if name.startswith("p256") else 47
    return ec.derive_private_key(int.from_bytes(sha384(name.encode()).digest()[:size], "big"), curve)


def encode_key(name: str) -> bytes:
    """Return the SubjectPublicKeyInfo of a key."""
    return find_key(name).public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


@cache
def sign_raw(name: str, message: bytes) -> bytes:
    """Sign with a P-384 key; return r and s, 48 bytes each."""
    r, s = decode_dss_signature(find_key(name).sign(message, ec.ECDSA(SHA384())))
    return r.to_bytes(48, "big") + s.to_bytes(48, "big")


@cache
def issue(form: CertificateForm) -> bytes:
    """Return the certificate in DER."""
    is_p256 = form.signer.startswith("p256")
    algorithm = der.write_sequence(der.write_oid(_ECDSA_SHA256 if is_p256 else _ECDSA_SHA384))
    signed = der.write_sequence(
        der.write_context(0, der.write_integer(2)),
        der.write_integer(form.serial),
        algorithm,
        _name(form.issuer),
        der.write_sequence(der.write_time(form.not_before_s), der.write_time(form.not_after_s)),
        _name(form.subject),
        encode_key(form.key),
        der.write_context(3, der.write_sequence(*_extensions(form))),
    )
    signature = find_key(form.signer).sign(signed, ec.ECDSA(SHA256() if is_p256 else SHA384()))
    return der.write_sequence(signed, algorithm, der.write_bits(signature))


def _name(common_name: str) -> bytes:
    return der.write_sequence(der.write_set(der.write_sequence(der.write_oid("2.5.4.3"), der.write_text(common_name))))


def _extensions(form: CertificateForm) -> list[bytes]:
    written = []
    if form.has_constraints:
        path = [] if form.path_length is None else [der.write_integer(form.path_length)]
        content = der.write_sequence(*([der.write_boolean(True)] if form.is_ca else []), *path)
        written.append(write_extension("2.5.29.19", form.are_constraints_critical, content))
    if form.key_usage is not None:
        written.append(write_extension("2.5.29.15", True, der.write_named_bits(form.key_usage)))
    written.extend(write_extension(*other) for other in form.others)
    return written


def write_extension(oid: str, is_critical: bool, content: bytes) -> bytes:
    """Return one extension."""
    return der.write_sequence(
        der.write_oid(oid), *([der.write_boolean(True)] if is_critical else []), der.write_octets(content)
    )
