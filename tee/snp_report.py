"""AMD SEV-SNP attestation report, versions 2 to 5: fields by offset, the areas that must be zero, and TCB words by product.

A report has 1,184 bytes, integers little endian. The firmware signs the first 672; everything behind is covered by nobody, so a
byte there that has no meaning must be zero, or one report would have many forms. Unknown bits of PLATFORM_INFO are kept, not
refused: firmware sets them before documents name them. Nothing here is cryptography; that follows in tee/sev_snp.py.

Source: the evidence specification, section 4.1, after AMD 56860.
"""

from __future__ import annotations

from struct import Struct as Layout
from typing import Final, NamedTuple

from tee.claims import SnpProduct, SnpTcb
from tee.errors import EvidenceRejected, Reason

REPORT_BYTES: Final = 1184
SIGNED_BYTES: Final = 0x2A0
"""The signature covers the report up to here."""
CHIP_ID_BYTES: Final = {SnpProduct.MILAN: 64, SnpProduct.GENOA: 64, SnpProduct.TURIN: 8}
"""How much of the CHIP_ID field a product uses; the rest is zero."""

SIGNING_KEY_VCEK: Final = 0
SIGNING_KEY_VLEK: Final = 1

POLICY_MIGRATE_MA: Final = 1 << 18
POLICY_DEBUG: Final = 1 << 19
PLATFORM_ALIAS_CHECK: Final = 1 << 5
"""ALIAS_CHECK_COMPLETE: no two addresses of the memory modules reach one cell."""

VERSION_MIN: Final = 2
VERSION_MAX: Final = 5
_VERSION_WITH_CPUID: Final = 3
_VERSION_WITH_MITIGATIONS: Final = 5
_ECDSA_P384_SHA384: Final = 1
_POLICY_MUST_BE_ONE: Final = 1 << 17
_POLICY_RESERVED: Final = ~((1 << 26) - 1)
_KEY_INFO_MASK_CHIP_KEY: Final = 1 << 1
_KEY_INFO_RESERVED: Final = ~0x1F

_SIGNED: Final = Layout("<IIQ16s16sII8sQII64s48s32s48s48s64s8s2s1s21s64s8s3s1s3s1s8sQQ152s")
_SIGNATURE: Final = Layout("<48s24s48s24s368s")


class SignedFields(NamedTuple):
    """The signed part, field by field in the order of the layout. Bytes keep their order; TCB words wait for their product."""

    version: int
    guest_svn: int
    policy: int
    family_id: bytes
    image_id: bytes
    vmpl: int
    signature_algorithm: int
    current_tcb: bytes
    platform_info: int
    key_info: int
    zero_0x04c: int
    report_data: bytes
    measurement: bytes
    host_data: bytes
    id_key_digest: bytes
    author_key_digest: bytes
    report_ids: bytes
    reported_tcb: bytes
    cpuid: bytes
    """Family and model, one byte each; zero in version 2."""
    cpuid_stepping: bytes
    zero_0x18b: bytes
    chip_id: bytes
    committed_tcb: bytes
    current_firmware: bytes
    """Build, minor and major, one byte each; so is the committed one."""
    zero_0x1eb: bytes
    committed_firmware: bytes
    zero_0x1ef: bytes
    launch_tcb: bytes
    launch_mitigations: int
    current_mitigations: int
    zero_0x208: bytes


class SnpReport(NamedTuple):
    """A report whose form is right; its signature is not yet checked."""

    signed: bytes
    """The bytes under the signature, as received."""
    fields: SignedFields
    signature: bytes
    """r and s, 48 bytes each, big endian."""

    @property
    def signing_key(self) -> int:
        """SIGNING_KEY_VCEK or SIGNING_KEY_VLEK once the form is checked."""
        return (self.fields.key_info >> 2) & 7

    @property
    def is_chip_masked(self) -> bool:
        """MASK_CHIP_KEY: the firmware was told to leave the chip's id out."""
        return bool(self.fields.key_info & _KEY_INFO_MASK_CHIP_KEY)

    @property
    def has_cpuid(self) -> bool:
        """Say whether the report names its processor; version 2 does not."""
        return self.fields.version >= _VERSION_WITH_CPUID


def parse_report(report: bytes) -> SnpReport:
    """Read a report and check all that its form fixes, in the order of the reasons below.

    Raises:
        EvidenceRejected: LENGTH, VERSION, SIG_ALGO, SIGNING_KEY, RESERVED.

    Source: the evidence specification, sections 4.1 and 4.3, checks 1 and 2.
    """
    if len(report) != REPORT_BYTES:
        raise EvidenceRejected(Reason.LENGTH, len(report), REPORT_BYTES)
    signed = report[:SIGNED_BYTES]
    fields = SignedFields._make(_SIGNED.unpack(signed))
    r, zero_0x2d0, s, zero_0x318, zero_0x330 = _SIGNATURE.unpack_from(report, SIGNED_BYTES)
    parsed = SnpReport(signed, fields, r[::-1] + s[::-1])
    _check_algorithms(parsed)
    _check_reserved_bits(fields)
    _check_zeros(parsed, zero_0x2d0 + zero_0x318 + zero_0x330)
    return parsed


def _check_algorithms(report: SnpReport) -> None:
    fields = report.fields
    if not VERSION_MIN <= fields.version <= VERSION_MAX:
        raise EvidenceRejected(Reason.VERSION, fields.version, f"{VERSION_MIN} to {VERSION_MAX}")
    if fields.signature_algorithm != _ECDSA_P384_SHA384:
        raise EvidenceRejected(Reason.SIG_ALGO, fields.signature_algorithm, _ECDSA_P384_SHA384)
    if report.signing_key not in {SIGNING_KEY_VCEK, SIGNING_KEY_VLEK}:
        raise EvidenceRejected(Reason.SIGNING_KEY, report.signing_key, SIGNING_KEY_VLEK)


def _check_reserved_bits(fields: SignedFields) -> None:
    if not fields.policy & _POLICY_MUST_BE_ONE or fields.policy & _POLICY_RESERVED:
        raise EvidenceRejected(Reason.RESERVED, f"policy {fields.policy:#x}")
    if fields.key_info & _KEY_INFO_RESERVED:
        raise EvidenceRejected(Reason.RESERVED, f"key info {fields.key_info:#x}")


def _check_zeros(report: SnpReport, unsigned_zeros: bytes) -> None:
    """Check every area without meaning in the report's version; the name of each begins with its offset."""
    fields = report.fields
    areas = (
        ("0x04c", fields.zero_0x04c),
        ("0x188, CPUID", not report.has_cpuid and any(fields.cpuid + fields.cpuid_stepping)),
        ("0x18b", any(fields.zero_0x18b)),
        ("0x1eb", any(fields.zero_0x1eb)),
        ("0x1ef", any(fields.zero_0x1ef)),
        (
            "0x1f8, mitigations",
            fields.version < _VERSION_WITH_MITIGATIONS and (fields.launch_mitigations or fields.current_mitigations),
        ),
        ("0x208", any(fields.zero_0x208)),
        ("0x2d0, around the signature", any(unsigned_zeros)),
    )
    for name, is_filled in areas:
        if is_filled:
            raise EvidenceRejected(Reason.RESERVED, f"bytes at {name}")


_MODELS: Final = (
    (0x19, 0x00, 0x0F, SnpProduct.MILAN),
    (0x19, 0x10, 0x1F, SnpProduct.GENOA),
    (0x19, 0xA0, 0xAF, SnpProduct.GENOA),
    (0x1A, 0x00, 0x11, SnpProduct.TURIN),
)
"""CPUID family, first and last model, product. Venice (family 0x1A, model 0x50 and up) has no published root: not listed."""


def find_product(family: int, model: int) -> SnpProduct | None:
    """Return the product with this CPUID, or None where its roots are not known."""
    for product_family, first, last, product in _MODELS:
        if family == product_family and first <= model <= last:
            return product
    return None


def read_tcb(word: bytes, product: SnpProduct) -> SnpTcb:
    """Return the components of a TCB word of 8 bytes; Turin puts its FMC first and moves three others."""
    if product is SnpProduct.TURIN:
        return SnpTcb(fmc=word[0], boot_loader=word[1], tee=word[2], snp=word[3], microcode=word[7])
    return SnpTcb(fmc=0, boot_loader=word[0], tee=word[1], snp=word[6], microcode=word[7])


def has_reserved_tcb(word: bytes, product: SnpProduct) -> bool:
    """Say whether a TCB word fills bytes that have no meaning on this product."""
    return any(word[4:7]) if product is SnpProduct.TURIN else any(word[2:6])


def is_tcb_within(lower: SnpTcb, upper: SnpTcb) -> bool:
    """Say whether no component of the first is above the same component of the second."""
    return (
        lower.fmc <= upper.fmc
        and lower.boot_loader <= upper.boot_loader
        and lower.tee <= upper.tee
        and lower.snp <= upper.snp
        and lower.microcode <= upper.microcode
    )
