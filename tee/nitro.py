"""AWS Nitro Enclaves: one attestation document, to claims.

Order of checks (specification, section 5.3): length; COSE form (tee/cose.py); payload's CBOR; fields; root; DER of certificates,
root first; P-384 keys; per link downwards name and signature, then validity at the given time, with the root's own validity
before all; extensions; authorities; path lengths; use of the leaf; the document's signature; timestamp.

Fields that are not known are ignored, because AWS signs them. Registers go by index, never by position. A leaf lives three
hours, so a document must reach a block within them; auditors verify at that block's time.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

from tee.cbor import CborError, decode_cbor
from tee.certificate_chain import (
    check_authorities,
    check_keys,
    check_links,
    check_path_lengths,
    find_root,
    parse_chain,
)
from tee.certificates import BASIC_CONSTRAINTS, DIGITAL_SIGNATURE, Certificate
from tee.claims import Flag, NitroClaims, Verified
from tee.cose import CoseSign1, open_sign1
from tee.errors import EvidenceRejected, Reason
from tee.roots import Roots
from tee.signatures import EcKey, verify_p384

DOCUMENT_BYTES_MAX: Final = 16 * 1024
"""Longest document; real ones have 4,426 to 7,539 bytes."""
AUTHORITIES_MAX: Final = 8
"""Most certificates of the bundle; AWS sends root, regional, zonal and instance."""
CERTIFICATE_BYTES_MAX: Final = 1024
OPTIONAL_BYTES_MAX: Final = 1024
"""Longest public key, user data or nonce."""
_MODULE_ID: Final = re.compile(r"[!-~]{1,64}", re.ASCII)
"""Instance and enclave, which become the platform's id; real ones have 39 characters."""
REGISTERS_MAX: Final = 32
REGISTER_BYTES: Final = 48
"""SHA-384, the only digest that AWS uses."""
_BOOT_REGISTERS: Final = (0, 1, 2)
"""Image, kernel, application: always there, and zero in debug mode only. Debug mode leaves the others as they are."""
_SHARED_CERTIFICATES: Final = 3
"""Root, regional and zonal: the documents of a zone share them for days."""
_MS: Final = 1000


class _Payload(NamedTuple):
    """The known fields of a document."""

    module_id: str
    timestamp_ms: int
    registers: dict[int, bytes]
    chain: tuple[bytes, ...]
    """Root first, the leaf last."""
    public_key: bytes
    user_data: bytes
    nonce: bytes


def verify_nitro(document: bytes, roots: Roots, time_s: int) -> Verified:
    """Verify a document at this time.

    Raises:
        EvidenceRejected: in this order LENGTH, the reasons of `open_sign1`, PAYLOAD_CBOR, PAYLOAD_FIELDS, ROOT_UNTRUSTED,
            CERT_DER, CERT_KEY, CERT_BAD_ISSUER or CERT_NOT_YET_VALID or CERT_EXPIRED per link, CERT_EXTENSIONS,
            CERT_NOT_CA, CERT_PATH_LENGTH, LEAF_USAGE, SIGNATURE, TIMESTAMP.

    Source: the evidence specification, section 5.3.
    """
    if not 0 < len(document) <= DOCUMENT_BYTES_MAX:
        raise EvidenceRejected(Reason.LENGTH, len(document), DOCUMENT_BYTES_MAX)
    envelope = open_sign1(document)
    payload = _read_payload(envelope.payload)
    shared_count = min(_SHARED_CERTIFICATES, len(payload.chain) - 1)
    root = find_root(payload.chain[0], roots.aws)
    parsed = parse_chain(payload.chain, shared_count)
    chain = parsed.certificates
    check_keys(chain)
    check_links(parsed, shared_count, time_s, Reason.CERT_NOT_YET_VALID, Reason.CERT_EXPIRED)
    _check_extensions(chain)
    check_authorities(chain)
    check_path_lengths(chain, first_bounded=1)
    leaf = chain[-1]
    _check_leaf_usage(leaf)
    _check_signature(envelope, leaf)
    _check_timestamp(payload.timestamp_ms, leaf, time_s)
    return Verified(
        claims=_make_claims(payload, leaf),
        root=chain[0].fingerprint,
        is_simulated=root.is_simulated,
        valid_from_s=max(payload.timestamp_ms // _MS, *(certificate.not_before_s for certificate in chain)),
        valid_until_s=min(certificate.not_after_s for certificate in chain),
    )


def _read_payload(encoded: bytes) -> _Payload:
    """Read the payload's map and its known fields."""
    try:
        fields = decode_cbor(encoded)
    except CborError as error:
        raise EvidenceRejected(Reason.PAYLOAD_CBOR, str(error)) from error
    if not isinstance(fields, dict):
        raise EvidenceRejected(Reason.PAYLOAD_FIELDS, "the payload is no map")
    module_id = fields.get("module_id")
    if not isinstance(module_id, str) or _MODULE_ID.fullmatch(module_id) is None:
        raise EvidenceRejected(Reason.PAYLOAD_FIELDS, "module_id", "1 to 64 printable characters")
    if fields.get("digest") != "SHA384":
        raise EvidenceRejected(Reason.PAYLOAD_FIELDS, "digest", "SHA384")
    timestamp_ms = fields.get("timestamp")
    # bool is a subclass of int, so isinstance would take true for 1.
    if type(timestamp_ms) is not int or timestamp_ms < 0:
        raise EvidenceRejected(Reason.PAYLOAD_FIELDS, "timestamp", "unsigned integer")
    return _Payload(
        module_id=module_id,
        timestamp_ms=timestamp_ms,
        registers=_read_registers(fields.get("pcrs")),
        chain=(*_read_bundle(fields.get("cabundle")), _read_certificate(fields.get("certificate"), "certificate")),
        public_key=_read_optional(fields.get("public_key"), "public_key"),
        user_data=_read_optional(fields.get("user_data"), "user_data"),
        nonce=_read_optional(fields.get("nonce"), "nonce"),
    )


def _read_registers(field: object) -> dict[int, bytes]:
    """Read the measurements, ascending by index; the three of the boot must be there."""
    if not isinstance(field, dict) or not 1 <= len(field) <= REGISTERS_MAX:
        raise EvidenceRejected(Reason.PAYLOAD_FIELDS, "pcrs", f"1 to {REGISTERS_MAX} entries")
    for index, register in field.items():
        if type(index) is not int or not 0 <= index < REGISTERS_MAX:
            raise EvidenceRejected(Reason.PAYLOAD_FIELDS, "an index of pcrs", REGISTERS_MAX - 1)
        if not isinstance(register, bytes) or len(register) != REGISTER_BYTES:
            raise EvidenceRejected(Reason.PAYLOAD_FIELDS, f"PCR {index}", f"{REGISTER_BYTES} bytes")
    for index in _BOOT_REGISTERS:
        if index not in field:
            raise EvidenceRejected(Reason.PAYLOAD_FIELDS, f"no PCR {index}")
    return {index: field[index] for index in sorted(field)}


def _read_bundle(field: object) -> tuple[bytes, ...]:
    """Read the certificates of the authorities, root first."""
    if not isinstance(field, list) or not 1 <= len(field) <= AUTHORITIES_MAX:
        raise EvidenceRejected(Reason.PAYLOAD_FIELDS, "cabundle", f"1 to {AUTHORITIES_MAX} certificates")
    return tuple(_read_certificate(certificate, "a certificate of cabundle") for certificate in field)


def _read_certificate(field: object, name: str) -> bytes:
    """Read the bytes of a certificate."""
    if not isinstance(field, bytes) or not 1 <= len(field) <= CERTIFICATE_BYTES_MAX:
        raise EvidenceRejected(Reason.PAYLOAD_FIELDS, name, f"1 to {CERTIFICATE_BYTES_MAX} bytes")
    return field


def _read_optional(field: object, name: str) -> bytes:
    """Read what an enclave may add; absent, null and empty are the same."""
    if field is None:
        return b""
    if not isinstance(field, bytes) or len(field) > OPTIONAL_BYTES_MAX:
        raise EvidenceRejected(Reason.PAYLOAD_FIELDS, name, f"{OPTIONAL_BYTES_MAX} bytes")
    return field


def _check_extensions(chain: Sequence[Certificate]) -> None:
    """Check that every certificate below the root has basic constraints, critical in authorities, and key usage."""
    for position, certificate in enumerate(chain[1:], start=1):
        constraints = certificate.extensions.get(BASIC_CONSTRAINTS)
        if constraints is None or certificate.key_usage is None:
            raise EvidenceRejected(Reason.CERT_EXTENSIONS, f"certificate {position} below the root")
        if certificate is not chain[-1] and not constraints.is_critical:
            raise EvidenceRejected(Reason.CERT_EXTENSIONS, f"certificate {position} below the root", "critical")


def _check_leaf_usage(leaf: Certificate) -> None:
    """Check that the leaf signs documents and is no authority."""
    if leaf.is_ca or not (leaf.key_usage or 0) & DIGITAL_SIGNATURE:
        raise EvidenceRejected(Reason.LEAF_USAGE)


def _check_signature(envelope: CoseSign1, leaf: Certificate) -> None:
    """Check the leaf's signature over the document."""
    # Invariant: check_keys has seen that the key is a point of P-384.
    assert isinstance(leaf.key, EcKey)
    if not verify_p384(leaf.key.point, envelope.signature, envelope.signed):
        raise EvidenceRejected(Reason.SIGNATURE)


def _check_timestamp(timestamp_ms: int, leaf: Certificate, time_s: int) -> None:
    """Check, in whole seconds, that the document was made since its leaf begins and not after this time.

    It was then made before its leaf ends, too, for the leaf is valid at this time.
    """
    timestamp_s = timestamp_ms // _MS
    if timestamp_s < leaf.not_before_s:
        raise EvidenceRejected(Reason.TIMESTAMP, timestamp_s, leaf.not_before_s)
    if timestamp_s > time_s:
        raise EvidenceRejected(Reason.TIMESTAMP, timestamp_s, time_s)


def _make_claims(payload: _Payload, leaf: Certificate) -> NitroClaims:
    """Return what the document proves."""
    is_debug = not any(any(payload.registers[index]) for index in _BOOT_REGISTERS)
    return NitroClaims(
        module_id=payload.module_id,
        timestamp_ms=payload.timestamp_ms,
        flags=(Flag.DEBUG,) if is_debug else (),
        pcrs=tuple(payload.registers.items()),
        public_key=payload.public_key,
        user_data=payload.user_data,
        nonce=payload.nonce,
        leaf_not_after_s=leaf.not_after_s,
    )
