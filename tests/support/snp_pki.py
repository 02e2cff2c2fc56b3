"""A small AMD of our own: certificates, revocation lists and SEV-SNP reports in AMD's profile, right or wrong in one place.

Every template is right as it stands; a test changes the field that it is about. The places of report fields are written down here
once more, by offset and apart from the parser. Salts and nonces of signatures are random, verdicts are not. The keys are public.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from functools import cache

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tee import der_writer as der

MAY_2026 = 1777593600
JUNE_2026 = 1780272000
JULY_2026 = 1782864000
YEAR_2025 = 1735689600
YEAR_2045 = 2366841600

PSS = "1.2.840.113549.1.1.10"
MGF1 = "1.2.840.113549.1.1.8"
SHA384 = "2.16.840.1.101.3.4.2.2"
BASIC_CONSTRAINTS = "2.5.29.19"
KEY_USAGE = "2.5.29.15"
AMD = "1.3.6.1.4.1.3704.1."
CERT_SIGN = 1 << 5
CRL_SIGN = 1 << 6
IA5_STRING = 0x16

RSA_PRIMES = {"root": (692, 578), "issuer": (2080, 1412)}
"""How far behind a number spun from the key's name its primes p and q lie."""


@cache
def rsa_key(name: str) -> rsa.RSAPrivateKey:
    p, q = (_spin(f"{name} {letter}") + gap for letter, gap in zip("pq", RSA_PRIMES[name], strict=True))
    d = pow(65537, -1, (p - 1) * (q - 1))
    numbers = rsa.RSAPrivateNumbers(
        p=p,
        q=q,
        d=d,
        dmp1=rsa.rsa_crt_dmp1(d, p),
        dmq1=rsa.rsa_crt_dmq1(d, q),
        iqmp=rsa.rsa_crt_iqmp(p, q),
        public_numbers=rsa.RSAPublicNumbers(65537, p * q),
    )
    return numbers.private_key(unsafe_skip_rsa_key_validation=True)


def _spin(label: str) -> int:
    digests = (hashlib.sha256(f"{label} {index}".encode()).digest() for index in range(8))
    return int.from_bytes(b"".join(digests), "big") | 3 << 2046 | 1


@cache
def chip_key(name: str, curve: ec.EllipticCurve | None = None) -> ec.EllipticCurvePrivateKey:
    return ec.derive_private_key(
        int.from_bytes(hashlib.sha256(name.encode()).digest(), "big") >> 8, curve or ec.SECP384R1()
    )


def _spki(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def name_of(common_name: str) -> bytes:
    """Return a distinguished name of AMD's, DER."""
    parts = (("2.5.4.11", "Engineering"), ("2.5.4.10", "Advanced Micro Devices"), ("2.5.4.3", common_name))
    return der.write_sequence(
        *(der.write_set(der.write_sequence(der.write_oid(oid), der.write_text(text))) for oid, text in parts)
    )


def _pss() -> bytes:
    sha384 = der.write_sequence(der.write_oid(SHA384), der.write_element(5))
    mgf1 = der.write_sequence(der.write_oid(MGF1), sha384)
    parameters = (der.write_context(0, sha384), der.write_context(1, mgf1), der.write_context(2, der.write_integer(48)))
    return der.write_sequence(der.write_oid(PSS), der.write_sequence(*parameters))


def _sign(tbs: bytes, signer: str) -> bytes:
    signature = rsa_key(signer).sign(tbs, padding.PSS(padding.MGF1(hashes.SHA384()), 48), hashes.SHA384())
    return der.write_sequence(tbs, _pss(), der.write_bits(signature))


def ia5(text: str) -> bytes:
    return der.write_element(IA5_STRING, text.encode())


@dataclass(frozen=True, kw_only=True)
class Certificate:
    """What a certificate says, and by whose key."""

    subject: str
    issuer: str
    signer: str
    key: str
    """Name of an RSA key, or `curve:name` of a key on a curve."""
    serial: int = 0
    not_before_s: int = YEAR_2025
    not_after_s: int = YEAR_2045
    extensions: tuple[tuple[str, bool, bytes], ...] = ()

    def with_extension(self, oid: str, content: bytes | None, is_critical: bool = False) -> Certificate:
        """Return the certificate with this extension in place of any other of its kind, or without it."""
        others = tuple(extension for extension in self.extensions if extension[0] != oid)
        return replace(self, extensions=others if content is None else (*others, (oid, is_critical, content)))

    @property
    def spki(self) -> bytes:
        if self.key in RSA_PRIMES:
            return _spki(rsa_key(self.key))
        curve, name = self.key.split(":")
        return _spki(chip_key(name, ec.SECP256R1() if curve == "p256" else None))

    def encode(self) -> bytes:
        return _encode_certificate(self)


@cache
def _encode_certificate(certificate: Certificate) -> bytes:
    extensions = (
        der.write_sequence(
            der.write_oid(oid), *([der.write_boolean(True)] if critical else []), der.write_octets(content)
        )
        for oid, critical, content in certificate.extensions
    )
    tbs = der.write_sequence(
        der.write_context(0, der.write_integer(2)),
        der.write_integer(certificate.serial),
        _pss(),
        name_of(certificate.issuer),
        der.write_sequence(der.write_time(certificate.not_before_s), der.write_time(certificate.not_after_s)),
        name_of(certificate.subject),
        certificate.spki,
        der.write_context(3, der.write_sequence(*extensions)),
    )
    return _sign(tbs, certificate.signer)


def ca_extensions(
    path_length: int | None, usage: int = CERT_SIGN | CRL_SIGN, is_ca: bool = True
) -> tuple[tuple[str, bool, bytes], ...]:
    length = () if path_length is None else (der.write_integer(path_length),)
    constraints = (der.write_boolean(True), *length) if is_ca else ()
    return (
        (BASIC_CONSTRAINTS, True, der.write_sequence(*constraints)),
        (KEY_USAGE, True, der.write_named_bits(usage)),
    )


def vek_extensions(product: str, security_versions: dict[str, int]) -> tuple[tuple[str, bool, bytes], ...]:
    values = {"1": der.write_integer(0), "2": ia5(product)}
    values |= {f"3.{suffix}": der.write_integer(number) for suffix, number in security_versions.items()}
    return tuple((AMD + suffix, False, content) for suffix, content in values.items())


def swap_keys(certificate: Certificate) -> Certificate:
    """Return the same certificate of another PKI: what one RSA key does, the other one does there."""
    swapped = {"root": "issuer", "issuer": "root"}
    return replace(certificate, key=swapped.get(certificate.key, certificate.key), signer=swapped[certificate.signer])


CHIP_ID = bytes(range(1, 65))
CSP_ID = "CN=cloud.example"
PROVIDER = AMD + "5"
HARDWARE = AMD + "4"
GENOA_TCB = bytes((10, 0, 0, 0, 0, 0, 27, 130))
TURIN_TCB = bytes((1, 2, 3, 4, 0, 0, 0, 81))
GENOA_SVNS = {"1": 10, "2": 0, "3": 27, "4": 0, "5": 0, "6": 0, "7": 0, "8": 130}
TURIN_SVNS = {"9": 1, "1": 2, "2": 3, "3": 4, "5": 0, "6": 0, "7": 0, "8": 81}


def ark(product: str) -> Certificate:
    common_name = f"ARK-{product}"
    return Certificate(
        subject=common_name, issuer=common_name, signer="root", key="root", serial=1, extensions=ca_extensions(1)
    )


def ask(product: str, prefix: str = "SEV-") -> Certificate:
    return Certificate(
        subject=prefix + product,
        issuer=f"ARK-{product}",
        signer="root",
        key="issuer",
        serial=2,
        extensions=ca_extensions(0),
    )


def asvk(product: str) -> Certificate:
    return ask(product, "SEV-VLEK-")


def vcek(product: str) -> Certificate:
    is_turin = product == "Turin"
    certificate = Certificate(
        subject="SEV-VCEK",
        issuer=f"SEV-{product}",
        signer="issuer",
        key="p384:chip",
        extensions=vek_extensions(product, TURIN_SVNS if is_turin else GENOA_SVNS),
    )
    return certificate.with_extension(HARDWARE, CHIP_ID[:8] if is_turin else CHIP_ID)


def vlek(product: str) -> Certificate:
    certificate = replace(vcek(product), subject="SEV-VLEK", issuer=f"SEV-VLEK-{product}")
    return certificate.with_extension(HARDWARE, None).with_extension(PROVIDER, ia5(CSP_ID))


@dataclass(frozen=True, kw_only=True)
class RevocationList:
    """What a revocation list says, and by whose key."""

    issuer: str
    signer: str = "root"
    serials: tuple[int, ...] = ()
    this_update_s: int = MAY_2026
    next_update_s: int = JULY_2026

    def encode(self) -> bytes:
        return _encode_list(self)


@cache
def _encode_list(revocations: RevocationList) -> bytes:
    when = der.write_time(revocations.this_update_s)
    entries = [der.write_sequence(der.write_integer(serial), when) for serial in revocations.serials]
    number = der.write_sequence(der.write_oid("2.5.29.20"), der.write_octets(der.write_integer(7)))
    tbs = der.write_sequence(
        der.write_integer(1),
        _pss(),
        name_of(revocations.issuer),
        when,
        der.write_time(revocations.next_update_s),
        *([der.write_sequence(*entries)] if entries else []),
        der.write_context(0, der.write_sequence(number)),
    )
    return _sign(tbs, revocations.signer)


PLACES = {
    "version": (0x000, 4),
    "guest_svn": (0x004, 4),
    "policy": (0x008, 8),
    "family_id": (0x010, 16),
    "image_id": (0x020, 16),
    "vmpl": (0x030, 4),
    "signature_algorithm": (0x034, 4),
    "current_tcb": (0x038, 8),
    "platform_info": (0x040, 8),
    "key_info": (0x048, 4),
    "zero_0x04c": (0x04C, 4),
    "report_data": (0x050, 64),
    "measurement": (0x090, 48),
    "host_data": (0x0C0, 32),
    "id_key_digest": (0x0E0, 48),
    "author_key_digest": (0x110, 48),
    "report_id": (0x140, 32),
    "report_id_ma": (0x160, 32),
    "reported_tcb": (0x180, 8),
    "cpuid": (0x188, 3),
    "zero_0x18b": (0x18B, 21),
    "chip_id": (0x1A0, 64),
    "committed_tcb": (0x1E0, 8),
    "current_firmware": (0x1E8, 3),
    "zero_0x1eb": (0x1EB, 1),
    "committed_firmware": (0x1EC, 3),
    "zero_0x1ef": (0x1EF, 1),
    "launch_tcb": (0x1F0, 8),
    "launch_mitigations": (0x1F8, 8),
    "current_mitigations": (0x200, 8),
    "zero_0x208": (0x208, 152),
}
"""Offset and size of every field under the signature."""


@dataclass(frozen=True, kw_only=True)
class Report:
    """Fields by name, and the key that signs them; unsigned parts can be overwritten afterwards."""

    fields: dict[str, int | bytes] = field(default_factory=dict)
    signer: str = "chip"
    patches: tuple[tuple[int, bytes], ...] = ()
    """Bytes that replace others once the report is signed, by offset."""

    def changed(self, **fields: int | bytes) -> Report:
        return replace(self, fields={**self.fields, **fields})

    def encode(self) -> bytes:
        signed = bytearray(0x2A0)
        for name, content in self.fields.items():
            place, size = PLACES[name]
            octets = content.to_bytes(size, "little") if isinstance(content, int) else content
            assert len(octets) == size
            signed[place : place + size] = octets
        r, s = decode_dss_signature(chip_key(self.signer).sign(bytes(signed), ec.ECDSA(hashes.SHA384())))
        whole = bytearray(signed + r.to_bytes(72, "little") + s.to_bytes(72, "little") + bytes(368))
        for place, octets in self.patches:
            whole[place : place + len(octets)] = octets
        return bytes(whole)


def report(product: str) -> Report:
    """Return a report of version 5 of a product with a chip id, signed by a VCEK."""
    is_turin = product == "Turin"
    tcb = TURIN_TCB if is_turin else GENOA_TCB
    cpuid = {"Milan": b"\x19\x01\x01", "Genoa": b"\x19\x11\x01", "Turin": b"\x1a\x02\x01"}[product]
    return Report(
        fields={
            "version": 5,
            "guest_svn": 1,
            "policy": 0x30000,
            "family_id": b"F" * 16,
            "image_id": b"I" * 16,
            "signature_algorithm": 1,
            "platform_info": 0x25,
            "report_data": b"D" * 64,
            "measurement": b"M" * 48,
            "host_data": b"H" * 32,
            "id_key_digest": b"K" * 48,
            "author_key_digest": b"A" * 48,
            "report_id": b"R" * 32,
            "report_id_ma": b"\xff" * 32,
            "current_tcb": tcb,
            "reported_tcb": tcb,
            "committed_tcb": tcb,
            "launch_tcb": tcb,
            "cpuid": cpuid,
            "chip_id": CHIP_ID[:8] + bytes(56) if is_turin else CHIP_ID,
            "current_firmware": b"\x02\x37\x01",
            "committed_firmware": b"\x02\x37\x01",
            "launch_mitigations": 0x3F,
            "current_mitigations": 0x3F,
        }
    )
