"""What vendors sign about their platforms, as a chain stores it: revocation lists, TCB infos, QE identities.

Each document is a frozen struct that encodes to one small MessagePack array and decodes fast, because every attestation reads
four of them. They come from `check_collateral` (tee/collateral.py) alone, which checks the vendor's signature once; whoever uses
a document checks its window and its root again, since block time moves on and roots of different trust may share names.

Source: specification of attestation, sections 1.1 and 3.3.
"""

from __future__ import annotations

from bisect import bisect_left
from enum import IntEnum

from msgspec import Struct

from tee.claims import TcbStatus

SERIAL_BYTES = 20
"""Longest serial number of a certificate (RFC 5280, section 4.1.2.2)."""


class CollateralKind(IntEnum):
    """The vendor documents that a chain keeps."""

    INTEL_ROOT_CRL = 1
    INTEL_PCK_CRL = 2
    INTEL_TCB_INFO = 3
    INTEL_QE_IDENTITY = 4
    AMD_CRL = 5


class IntelTee(IntEnum):
    """Intel's two kinds of TEE, numbered like the kinds of evidence."""

    SGX = 1
    TDX = 2


class Document(Struct, frozen=True, array_like=True, forbid_unknown_fields=True, kw_only=True, gc=False):
    """What all stored documents say."""

    kind: CollateralKind
    root: bytes
    """SHA-256 of the root certificate that vouches for the document."""
    issued_s: int
    """Start of the vendor's window, inclusive; a later document of the same subject has a later one."""
    next_update_s: int
    """End of the vendor's window: the last second of JSON documents, the first second behind it of revocation lists."""
    valid_from_s: int
    valid_until_s: int
    """First and last second in which the document may be used: its own window cut by those of its signing chain."""


class RevokedSerials(Document, frozen=True, tag=1):
    """A revocation list, without the certificate that signed it."""

    issuer: bytes
    """Distinguished name of the CA, DER."""
    key: bytes
    """SHA-256 of the CA's SubjectPublicKeyInfo, since CAs of one name may have several; none where the CA is the root itself."""
    serials: bytes
    """Serial numbers, 20 bytes big endian each, ascending."""

    @property
    def subject(self) -> bytes:
        """Key among the documents of its kind: the root, and the name and key of the issuer."""
        return self.root + self.issuer + self.key

    @property
    def number(self) -> int:
        """Lists have no evaluation number; the CRL number of Intel's is always 1."""
        return 0

    @property
    def this_update_s(self) -> int:
        """The list's own word for `issued_s`."""
        return self.issued_s

    def is_revoked(self, serial: int) -> bool:
        """Tell whether the CA withdrew the certificate with this serial number."""
        if serial.bit_length() > 8 * SERIAL_BYTES:
            return False
        wanted = serial.to_bytes(SERIAL_BYTES, "big")
        count = len(self.serials) // SERIAL_BYTES
        place = bisect_left(range(count), wanted, key=self._serial_at)
        return place < count and self._serial_at(place) == wanted

    def _serial_at(self, index: int) -> bytes:
        return self.serials[index * SERIAL_BYTES : (index + 1) * SERIAL_BYTES]


class TcbLevel(Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """One rung of a TCB info: platforms at or above these security versions have this status."""

    sgx_components: bytes
    """16 security versions, one byte each."""
    pce_svn: int
    tdx_components: bytes
    """16 security versions, or none for SGX."""
    status: TcbStatus
    date_s: int
    advisories: bytes
    """Positions in the document's list of advisories, one byte each."""


class SvnLevel(Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """One rung of a QE identity or a TDX module identity, by a single security version."""

    isv_svn: int
    status: TcbStatus
    """UP_TO_DATE, OUT_OF_DATE or REVOKED."""
    date_s: int
    advisories: bytes


class ModuleIdentity(Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """One major version of the TDX module, or the identity for platforms without versioned modules (version 0)."""

    major_version: int
    mr_signer: bytes
    """48 bytes."""
    attributes: bytes
    """8 bytes."""
    levels: tuple[SvnLevel, ...]
    """By isv_svn, descending; none for version 0."""


class TcbInfo(Document, frozen=True, tag=2):
    """Intel's statement on the platforms of one FMSPC."""

    tee: IntelTee
    fmspc: bytes
    """6 bytes."""
    pce_id: bytes
    """2 bytes."""
    signer_serial: bytes
    """Serial number of the certificate that signed: big endian, minimal, unsigned. Its root may withdraw it at any time."""
    number: int
    """Evaluation data number: which recovery event the statement knows of."""
    advisories: tuple[str, ...]
    """All advisories that the levels name, by first mention."""
    levels: tuple[TcbLevel, ...]
    """By SGX components, PCE SVN, TDX components, descending."""
    modules: tuple[ModuleIdentity, ...]
    """By major version, ascending, from version 0 on. None for SGX."""

    @property
    def subject(self) -> bytes:
        """Key among the documents of its kind and number: the root, the TEE, the FMSPC."""
        return self.root + bytes([self.tee]) + self.fmspc


class QeIdentity(Document, frozen=True, tag=3):
    """Intel's statement on the quoting enclave of one TEE."""

    tee: IntelTee
    signer_serial: bytes
    """As in a TCB info."""
    number: int
    misc_select: int
    misc_select_mask: int
    attributes: bytes
    attributes_mask: bytes
    """16 bytes each."""
    mr_signer: bytes
    """32 bytes."""
    isv_prod_id: int
    advisories: tuple[str, ...]
    levels: tuple[SvnLevel, ...]
    """By isv_svn, descending."""

    @property
    def subject(self) -> bytes:
        """Key among the documents of its kind and number: the root and the TEE."""
        return self.root + bytes([self.tee])


Parsed = RevokedSerials | TcbInfo | QeIdentity
"""A checked document."""
