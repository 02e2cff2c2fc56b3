"""Certificates and revocation lists of the software TEE, in the profile of Intel's.

A template says all that a certificate holds, and by the names of keys who it belongs to and who signs it; a false certificate is a
template with one field changed. Source: attestation specification, sections 3.2 and 7.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from msgspec import Struct

from tee.der_writer import (
    ENUMERATED,
    write_bits,
    write_boolean,
    write_context,
    write_integer,
    write_named_bits,
    write_octets,
    write_oid,
    write_sequence,
    write_set,
    write_text,
    write_time,
)
from tee.simulated_keys import SimulatedKey, derive_bytes

KeyByName = Callable[[str], SimulatedKey]

ROOT_NAME: Final = "Intel SGX Root CA"
PLATFORM_CA_NAME: Final = "Intel SGX PCK Platform CA"
TCB_SIGNER_NAME: Final = "Intel SGX TCB Signing"
PCK_NAME: Final = "Intel SGX PCK Certificate"
"""Verifiers, ours and others, know certificates by these names."""

SUBJECT_KEY_ID: Final = "2.5.29.14"
KEY_USAGE: Final = "2.5.29.15"
BASIC_CONSTRAINTS: Final = "2.5.29.19"
CRL_NUMBER: Final = "2.5.29.20"
REASON_CODE: Final = "2.5.29.21"
CRL_DISTRIBUTION_POINTS: Final = "2.5.29.31"
AUTHORITY_KEY_ID: Final = "2.5.29.35"
SGX_EXTENSION: Final = "1.2.840.113741.1.13.1"

DIGITAL_SIGNATURE: Final = 1 << 0
NON_REPUDIATION: Final = 1 << 1
KEY_CERT_SIGN: Final = 1 << 5
CRL_SIGN: Final = 1 << 6

NOT_BEFORE_S: Final = 1_577_836_800
"""2020-01-01T00:00:00Z."""
NOT_AFTER_S: Final = 2_524_607_999
"""2049-12-31T23:59:59Z, as long as Intel's root lives."""

_ALGORITHM: Final = write_sequence(write_oid("1.2.840.10045.4.3.2"))
_CRL_ADDRESS: Final = b"https://simulated.invalid/crl.der"
_KEY_COMPROMISE: Final = write_sequence(write_oid(REASON_CODE), write_octets(write_integer(1, ENUMERATED)))


class CertificateTemplate(Struct, frozen=True, kw_only=True):
    """What a certificate says, and who signs it."""

    common_name: str
    issuer_common_name: str
    key: str
    """Name of the subject's key."""
    issuer_key: str
    """Name of the key that the authority key id speaks of."""
    signed_by: str = ""
    """Name of the key that signs; the issuer's if empty."""
    serial: int = 0
    """Derived from the name of the key if 0."""
    not_before_s: int = NOT_BEFORE_S
    not_after_s: int = NOT_AFTER_S
    is_ca: bool = False
    path_length: int | None = None
    key_usage: int = DIGITAL_SIGNATURE | NON_REPUDIATION
    """Bit 0 digitalSignature to bit 8 decipherOnly."""
    spki: bytes = b""
    """SubjectPublicKeyInfo in place of that of the subject's key, as of another kind of key."""
    without: tuple[str, ...] = ()
    """Extensions to leave out, by dotted identifier."""
    extensions: tuple[bytes, ...] = ()
    """Further extensions, whole."""


class RevocationListTemplate(Struct, frozen=True, kw_only=True):
    """What a revocation list says, and who signs it."""

    issuer_common_name: str
    issuer_key: str
    signed_by: str = ""
    this_update_s: int
    next_update_s: int
    serials: tuple[int, ...] = ()
    number: int = 1
    """Intel's lists all have number 1."""
    without: tuple[str, ...] = ()
    extensions: tuple[bytes, ...] = ()


class PckPlatform(Struct, frozen=True, kw_only=True):
    """What a PCK certificate says of its platform."""

    ppid: bytes
    components: tuple[int, ...]
    """SGX TCB components, 16 numbers of 0 to 255."""
    pce_svn: int
    cpu_svn: bytes = b""
    """16 bytes; those of the components if empty."""
    pce_id: bytes = bytes(2)
    fmspc: bytes
    sgx_type: int = 1
    instance_id: bytes | None
    """16 bytes, or absent as under the Processor CA."""
    configuration: tuple[bool, bool, bool] | None = (True, False, True)
    """Dynamic platform, cached keys, SMT; absent under the Processor CA."""
    entries: tuple[bytes, ...] = ()
    """Further entries, whole."""


def serial_of(template: CertificateTemplate) -> int:
    """Return the serial number that the certificate of this template carries: positive, at most 20 bytes."""
    return template.serial or int.from_bytes(derive_bytes("serial", template.key, 20), "big") >> 1 | 1


def write_name(common_name: str) -> bytes:
    """Return the name of a simulated subject, DER."""
    parts = (("2.5.4.3", common_name), ("2.5.4.10", "bocc simulated hardware"))
    return write_sequence(*(write_set(write_sequence(write_oid(oid), write_text(text))) for oid, text in parts))


def write_extension(oid: str, content: bytes, *, is_critical: bool = False) -> bytes:
    """Return one X.509 extension."""
    return write_sequence(write_oid(oid), write_boolean(is_true=True) if is_critical else b"", write_octets(content))


def issue_certificate(template: CertificateTemplate, keys: KeyByName) -> bytes:
    """Return the certificate of this template, DER."""
    body = write_sequence(
        write_context(0, write_integer(2)),
        write_integer(serial_of(template)),
        _ALGORITHM,
        write_name(template.issuer_common_name),
        write_sequence(write_time(template.not_before_s), write_time(template.not_after_s)),
        write_name(template.common_name),
        template.spki or keys(template.key).spki,
        write_context(3, write_sequence(*_certificate_extensions(template, keys), *template.extensions)),
    )
    return _sign(body, keys(template.signed_by or template.issuer_key))


def _certificate_extensions(template: CertificateTemplate, keys: KeyByName) -> list[bytes]:
    """Return the five extensions that Intel's profile demands, in Intel's order."""
    point = write_context(0, write_context(0, write_context(6, _CRL_ADDRESS, is_constructed=False)))
    constraints = write_sequence(
        write_boolean(is_true=True) if template.is_ca else b"",
        b"" if template.path_length is None else write_integer(template.path_length),
    )
    rows = (
        (AUTHORITY_KEY_ID, _authority_key_id(keys(template.issuer_key)), False),
        (CRL_DISTRIBUTION_POINTS, write_sequence(write_sequence(point)), False),
        (SUBJECT_KEY_ID, write_octets(keys(template.key).key_id), False),
        (KEY_USAGE, write_named_bits(template.key_usage), True),
        (BASIC_CONSTRAINTS, constraints, True),
    )
    return [
        write_extension(oid, content, is_critical=is_critical)
        for oid, content, is_critical in rows
        if oid not in template.without
    ]


def issue_revocation_list(template: RevocationListTemplate, keys: KeyByName) -> bytes:
    """Return the revocation list of this template, DER. Entries stand in the template's order."""
    revoked_at = write_time(template.this_update_s)
    entries = [
        write_sequence(write_integer(serial), revoked_at, write_sequence(_KEY_COMPROMISE))
        for serial in template.serials
    ]
    rows = (
        (CRL_NUMBER, write_integer(template.number)),
        (AUTHORITY_KEY_ID, _authority_key_id(keys(template.issuer_key))),
    )
    extensions = [write_extension(oid, content) for oid, content in rows if oid not in template.without]
    body = write_sequence(
        write_integer(1),
        _ALGORITHM,
        write_name(template.issuer_common_name),
        write_time(template.this_update_s),
        write_time(template.next_update_s),
        write_sequence(*entries) if entries else b"",
        write_context(0, write_sequence(*extensions, *template.extensions)),
    )
    return _sign(body, keys(template.signed_by or template.issuer_key))


def write_pck_extension(platform: PckPlatform) -> bytes:
    """Return the extension that names a platform, whole: seven entries, or five without instance and configuration."""
    numbers = (*platform.components, platform.pce_svn)
    tcb = write_sequence(
        *(_entry(f"2.{index}", write_integer(number)) for index, number in enumerate(numbers, start=1)),
        _entry("2.18", write_octets(platform.cpu_svn or bytes(platform.components))),
    )
    entries = [
        _entry("1", write_octets(platform.ppid)),
        _entry("2", tcb),
        _entry("3", write_octets(platform.pce_id)),
        _entry("4", write_octets(platform.fmspc)),
        _entry("5", write_integer(platform.sgx_type, ENUMERATED)),
    ]
    if platform.instance_id is not None:
        entries.append(_entry("6", write_octets(platform.instance_id)))
    if platform.configuration is not None:
        switches = enumerate(platform.configuration, start=1)
        entries.append(
            _entry("7", write_sequence(*(_entry(f"7.{index}", write_boolean(on)) for index, on in switches)))
        )
    return write_extension(SGX_EXTENSION, write_sequence(*entries, *platform.entries))


def _entry(suffix: str, content: bytes) -> bytes:
    return write_sequence(write_oid(f"{SGX_EXTENSION}.{suffix}"), content)


def _authority_key_id(key: SimulatedKey) -> bytes:
    return write_sequence(write_context(0, key.key_id, is_constructed=False))


def _sign(body: bytes, key: SimulatedKey) -> bytes:
    return write_sequence(body, _ALGORITHM, write_bits(key.sign_der(body)))
