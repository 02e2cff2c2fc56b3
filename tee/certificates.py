"""Certificates and revocation lists of X.509 as the vendors use them, read strictly; no path search, no validity judged.

One profile for all families: version 3, the three signature algorithms and three kinds of key of tee/signatures.py, no
unique ids, and no critical extension but basic constraints and key usage. Whoever verifies a chain compares names, ends of
validity and extensions by its family's rules. Attestation specification, section 2.1; RFC 5280 for the layout.
"""

from __future__ import annotations

from bisect import bisect_left
from functools import lru_cache
from hashlib import sha256
from typing import Final

from msgspec import Struct

from tee.der import BOOLEAN, ENUMERATED, INTEGER, SEQUENCE, DerError, DerReader
from tee.signatures import PublicKey, SignatureAlgorithm, load_public_key, verify_certificate_signature
from tee.x509_fields import (
    Extension,
    find_common_name,
    open_signed,
    read_extension_list,
    read_extensions,
    read_serial,
)

CERTIFICATE_BYTES_MAX: Final = 4096
"""Longest certificate; the vendors' longest has 1,683 bytes."""
REVOCATION_LIST_BYTES_MAX: Final = 256 * 1024
"""Longest revocation list; Intel's longest has 3.4 KiB with 57 entries."""
REVOKED_MAX: Final = 10_000
"""Most entries of a revocation list."""
PATH_LENGTH_MAX: Final = 255

BASIC_CONSTRAINTS: Final = "2.5.29.19"
KEY_USAGE: Final = "2.5.29.15"
SUBJECT_KEY_ID: Final = "2.5.29.14"
AUTHORITY_KEY_ID: Final = "2.5.29.35"
CRL_DISTRIBUTION_POINTS: Final = "2.5.29.31"
CRL_NUMBER: Final = "2.5.29.20"
REASON_CODE: Final = "2.5.29.21"

DIGITAL_SIGNATURE: Final = 1 << 0
KEY_CERT_SIGN: Final = 1 << 5
CRL_SIGN: Final = 1 << 6

_UNDERSTOOD: Final = frozenset({BASIC_CONSTRAINTS, KEY_USAGE})
_PARTIAL_LISTS: Final = frozenset({"2.5.29.27", "2.5.29.28", "2.5.29.29"})
"""Delta indicator, issuing distribution point, certificate issuer: a list with one of them does not speak for its issuer alone
and entirely."""
_REMOVED_FROM_LIST: Final = 8
"""Reason code of delta lists, which says that a serial number is not revoked."""


class Certificate(Struct, frozen=True, kw_only=True):
    """A certificate of version 3."""

    der: bytes
    tbs: bytes
    """The signed part, with its head."""
    serial: int
    """0 to 2^160 - 1; AMD gives 0 to all its leaves."""
    issuer: bytes
    """Name in DER, with its head; likewise the subject."""
    subject: bytes
    common_name: str
    """Of the subject; empty where there is none."""
    issuer_common_name: str
    not_before_s: int
    """First and last second of validity."""
    not_after_s: int
    spki: bytes
    """SubjectPublicKeyInfo in DER, with its head."""
    key: PublicKey
    algorithm: SignatureAlgorithm
    signature: bytes
    is_ca: bool
    path_length: int | None
    has_basic_constraints: bool
    key_usage: int | None
    """Bit n is use n of RFC 5280, section 4.2.1.3; None without the extension."""
    extensions: dict[str, Extension]
    """By dotted object identifier."""
    fingerprint: bytes
    """SHA-256 of `der`."""


class SignedList(Struct, frozen=True, kw_only=True):
    """As much of a revocation list of version 2 as is needed to tell who signed it."""

    der: bytes
    tbs: bytes
    """The signed part, with its head."""
    issuer: bytes
    """Name in DER, with its head."""
    issuer_common_name: str
    algorithm: SignatureAlgorithm
    signature: bytes


class RevocationList(SignedList, frozen=True, kw_only=True):
    """A complete revocation list of one issuer."""

    this_update_s: int
    next_update_s: int
    number: int | None
    """Below 2^160, or None without the extension; Intel never counts it up."""
    has_authority_key_id: bool
    serials: tuple[int, ...]
    """Ascending, distinct."""

    def is_revoked(self, serial: int) -> bool:
        """Tell whether a serial number of this issuer is listed."""
        index = bisect_left(self.serials, serial)
        return index < len(self.serials) and self.serials[index] == serial


def parse_certificate(der: bytes) -> Certificate:
    """Parse one certificate of at most 4,096 bytes.

    Raises:
        DerError: bytes of another form, profile, algorithm or kind of key.
    """
    signed, fields = open_signed(der, CERTIFICATE_BYTES_MAX)
    version = fields.enter(0xA0)
    if version.read_integer() != 2:
        raise DerError("a certificate is not of version 3")
    version.finish()
    serial = read_serial(fields)
    if fields.read_whole(SEQUENCE) != signed.algorithm_der:
        raise DerError("the two algorithms of a certificate differ")
    issuer = fields.read_whole(SEQUENCE)
    validity = fields.enter(SEQUENCE)
    not_before_s, not_after_s = validity.read_time(), validity.read_time()
    validity.finish()
    subject = fields.read_whole(SEQUENCE)
    spki = fields.read_whole(SEQUENCE)
    extensions = read_extensions(fields, 0xA3, _UNDERSTOOD)
    fields.finish()
    has_basic_constraints, is_ca, path_length = _find_basic_constraints(extensions)
    return Certificate(
        der=der,
        tbs=signed.tbs,
        serial=serial,
        issuer=issuer,
        subject=subject,
        common_name=find_common_name(subject),
        issuer_common_name=find_common_name(issuer),
        not_before_s=not_before_s,
        not_after_s=not_after_s,
        spki=spki,
        key=load_public_key(spki),
        algorithm=signed.algorithm,
        signature=signed.signature,
        is_ca=is_ca,
        path_length=path_length,
        has_basic_constraints=has_basic_constraints,
        key_usage=_find_key_usage(extensions),
        extensions=extensions,
        fingerprint=sha256(der).digest(),
    )


def open_revocation_list(der: bytes) -> SignedList:
    """Read who signed a revocation list of at most 256 KiB, and nothing behind that.

    Anybody can send 10,000 entries, so whoever takes lists in verifies the signature before they are parsed.

    Raises:
        DerError: another form, version or algorithm of what is read.
    """
    return _open_list(der)[0]


def parse_revocation_list(der: bytes) -> RevocationList:
    """Parse one revocation list of at most 256 KiB and 10,000 entries.

    A list that is a delta, indirect or limited in scope is refused, and so is every critical extension.

    Raises:
        DerError: bytes of another form, profile or algorithm.
    """
    signed, fields = _open_list(der)
    this_update_s, next_update_s = fields.read_time(), fields.read_time()
    serials = _read_revoked(fields) if fields.peek() == SEQUENCE else ()
    extensions = read_extensions(fields, 0xA0, frozenset())
    fields.finish()
    if not _PARTIAL_LISTS.isdisjoint(extensions):
        raise DerError("a revocation list is a delta, indirect or limited in scope")
    return RevocationList(
        der=der,
        tbs=signed.tbs,
        issuer=signed.issuer,
        issuer_common_name=signed.issuer_common_name,
        this_update_s=this_update_s,
        next_update_s=next_update_s,
        algorithm=signed.algorithm,
        signature=signed.signature,
        number=_find_list_number(extensions),
        has_authority_key_id=AUTHORITY_KEY_ID in extensions,
        serials=serials,
    )


def is_signed_by(document: Certificate | SignedList, issuer: Certificate) -> bool:
    """Tell whether a certificate or list names the issuer's subject, byte by byte, and bears a signature by its key.

    Whether the issuer may sign (is_ca, key_usage, path_length) and when is for the caller.
    """
    return document.issuer == issuer.subject and verify_certificate_signature(
        issuer.key, document.algorithm, document.signature, document.tbs
    )


def _open_list(der: bytes) -> tuple[SignedList, DerReader]:
    """Return who signed a revocation list, and a reader of the fields behind its issuer."""
    signed, fields = open_signed(der, REVOCATION_LIST_BYTES_MAX)
    if fields.read_integer() != 1:
        raise DerError("a revocation list is not of version 2")
    if fields.read_whole(SEQUENCE) != signed.algorithm_der:
        raise DerError("the two algorithms of a revocation list differ")
    issuer = fields.read_whole(SEQUENCE)
    head = SignedList(
        der=der,
        tbs=signed.tbs,
        issuer=issuer,
        issuer_common_name=find_common_name(issuer),
        algorithm=signed.algorithm,
        signature=signed.signature,
    )
    return head, fields


def _find_basic_constraints(extensions: dict[str, Extension]) -> tuple[bool, bool, int | None]:
    """Return whether there are basic constraints, whether they make an authority, and the path length, if any."""
    extension = extensions.get(BASIC_CONSTRAINTS)
    return (False, False, None) if extension is None else (True, *_read_basic_constraints(extension.content))


@lru_cache(maxsize=32)
def _read_basic_constraints(content: bytes) -> tuple[bool, int | None]:
    """Return whether a certificate is that of an authority, and the path length. Few contents occur, again and again."""
    outside = DerReader(content)
    fields = outside.enter(SEQUENCE)
    outside.finish()
    is_ca = fields.peek() == BOOLEAN
    if is_ca and not fields.read_boolean():
        raise DerError("a default value is spelled out")
    path_length = fields.read_unsigned() if fields.peek() == INTEGER else None
    fields.finish()
    if path_length is not None and (not is_ca or path_length > PATH_LENGTH_MAX):
        raise DerError("a path length is too large, or is that of no authority")
    return is_ca, path_length


def _find_key_usage(extensions: dict[str, Extension]) -> int | None:
    """Return the uses of a key, if they are limited."""
    extension = extensions.get(KEY_USAGE)
    return None if extension is None else _read_key_usage(extension.content)


@lru_cache(maxsize=32)
def _read_key_usage(content: bytes) -> int:
    """Return the uses of a key as bits. Few contents occur, again and again."""
    fields = DerReader(content)
    uses = fields.read_named_bits()
    fields.finish()
    return uses


def _find_list_number(extensions: dict[str, Extension]) -> int | None:
    """Return the number of a revocation list, if it has one."""
    extension = extensions.get(CRL_NUMBER)
    if extension is None:
        return None
    fields = DerReader(extension.content)
    number = read_serial(fields)
    fields.finish()
    return number


def _read_revoked(fields: DerReader) -> tuple[int, ...]:
    """Read the entries of a revocation list; return the serial numbers, ascending and distinct."""
    entries = fields.enter(SEQUENCE)
    serials: list[int] = []
    while not entries.is_at_end:
        if len(serials) == REVOKED_MAX:
            raise DerError(f"more than {REVOKED_MAX} revoked certificates")
        entry = entries.enter(SEQUENCE)
        serials.append(read_serial(entry))
        entry.read_time()
        if not entry.is_at_end:
            _check_entry_extensions(read_extension_list(entry, frozenset()))
            entry.finish()
    if not serials:
        raise DerError("a list of revoked certificates is present and empty")
    return tuple(sorted(set(serials)))


def _check_entry_extensions(extensions: dict[str, Extension]) -> None:
    """Check that an entry revokes a certificate of the list's own issuer."""
    if not _PARTIAL_LISTS.isdisjoint(extensions):
        raise DerError("a revocation list is indirect")
    reason = extensions.get(REASON_CODE)
    if reason is not None:
        fields = DerReader(reason.content)
        if fields.read_unsigned(ENUMERATED) == _REMOVED_FROM_LIST:
            raise DerError("an entry of a complete revocation list takes a revocation back")
        fields.finish()
