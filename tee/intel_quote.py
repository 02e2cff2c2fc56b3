"""The byte form of Intel's quotes: SGX version 3, and TDX (and SGX) versions 4 and 5.

A quote has exactly one reading: every length closes, and no byte is left behind the signature section, which nobody signs. Nothing
is verified here. All integers are little endian.

Source: specification of attestation, sections 3.1 and 3.4 (steps 1 to 3).
"""

from __future__ import annotations

from struct import Struct as Layout
from typing import Final, NoReturn

from msgspec import Struct

from tee.documents import IntelTee
from tee.errors import EvidenceRejected, Reason

QUOTE_BYTES_MAX = 16 * 1024
"""Longest quote. Real ones have 4.6 to 5.1 KiB."""

HEADER_BYTES = 48
DESCRIPTOR_BYTES = 6
SGX_REPORT_BYTES = 384
SIGNATURE_BYTES = 64
KEY_BYTES = 64

BODY_SGX = 1
BODY_TD_1_0 = 2
BODY_TD_1_5 = 3
BODY_TD_1_5_EXTENDED = 4
BODY_BYTES: Final = {BODY_SGX: SGX_REPORT_BYTES, BODY_TD_1_0: 584, BODY_TD_1_5: 648, BODY_TD_1_5_EXTENDED: 885}
"""Size of each type of body."""

KEY_TYPE_P256 = 2
TEE_TYPES: Final = {0: IntelTee.SGX, 0x81: IntelTee.TDX}
INTEL_QE_VENDOR: Final = bytes.fromhex("939a7233f79c4ca9940a0db3957f0607")
CERTIFICATION_PCK_CHAIN = 5
"""The chain itself. Types 1 to 3 name the platform only, and need a question to Intel that a chain cannot ask."""
CERTIFICATION_QE_REPORT = 6
"""The envelope of versions 4 and 5: the QE's report, its signature, and the certification of that."""

_HEADER: Final = Layout("<HHI4x16s20s")
_DESCRIPTOR: Final = Layout("<HI")
_CERTIFICATION: Final = Layout("<HI")


class EnclaveReport(Struct, frozen=True, gc=False):
    """An SGX report: of the enclave that is attested, or of the quoting enclave."""

    cpu_svn: bytes
    misc_select: int
    attributes: bytes
    """16 bytes: flags, and extended features at 8."""
    mr_enclave: bytes
    mr_signer: bytes
    isv_prod_id: int
    isv_svn: int
    report_data: bytes


class Quote(Struct, frozen=True, gc=False):
    """A quote cut into its parts."""

    version: int
    tee: IntelTee
    body_type: int
    """1 for SGX, 2 to 4 for TDX, also in versions 3 and 4, which have no field for it."""
    platform_id: bytes
    """16 bytes that the quoting enclave chose for the platform."""
    signed: bytes
    """Header, descriptor and body: what the attestation key signs."""
    body: bytes
    signature: bytes
    attestation_key: bytes
    """x and y of a P-256 key, 32 bytes big endian each; not yet known to be a point."""
    qe_report: bytes
    qe_signature: bytes
    qe_authentication: bytes
    pck_chain: bytes
    """PEM text, in which no byte has been looked at."""


_REPORT: Final = Layout("<16sI28x16s32s32x32s96xHH60x64s")


def parse_report(report: bytes) -> EnclaveReport:
    """Read the 384 bytes of an SGX report."""
    return EnclaveReport(*_REPORT.unpack(report))


def parse_quote(quote: bytes) -> Quote:
    """Cut a quote into its parts.

    Raises:
        EvidenceRejected: LENGTH, PARSE, QUOTE_VERSION, ATT_KEY_TYPE, TEE_TYPE, QE_VENDOR, BODY_TYPE, TRAILING_BYTES,
            CERT_DATA_TYPE, in the order of the checks.
    """
    if len(quote) > QUOTE_BYTES_MAX:
        raise EvidenceRejected(Reason.LENGTH, len(quote), QUOTE_BYTES_MAX)
    if len(quote) < HEADER_BYTES:
        _refuse_length("header", len(quote), HEADER_BYTES)
    version, key_type, tee_type, vendor, user_data = _HEADER.unpack_from(quote)
    if version not in {3, 4, 5}:
        raise EvidenceRejected(Reason.QUOTE_VERSION, version, "3 to 5")
    if key_type != KEY_TYPE_P256:
        raise EvidenceRejected(Reason.ATT_KEY_TYPE, key_type, KEY_TYPE_P256)
    tee = TEE_TYPES.get(tee_type)
    if tee is None or (version == 3 and tee is not IntelTee.SGX):
        raise EvidenceRejected(Reason.TEE_TYPE, tee_type, "0 or, from version 4 on, 0x81")
    if vendor != INTEL_QE_VENDOR:
        raise EvidenceRejected(Reason.QE_VENDOR, vendor.hex(), INTEL_QE_VENDOR.hex())
    body_type, body_start = _read_body_type(quote, version, tee)
    body_end = body_start + BODY_BYTES[body_type]
    section = _cut_signature_section(quote, body_end, version)
    parts = _Cutter(section)
    signature = parts.cut(SIGNATURE_BYTES, "quote signature")
    attestation_key = parts.cut(KEY_BYTES, "attestation key")
    if version > 3:
        kind, envelope = parts.cut_certification()
        parts.finish()
        if kind != CERTIFICATION_QE_REPORT:
            raise EvidenceRejected(Reason.CERT_DATA_TYPE, kind, CERTIFICATION_QE_REPORT)
        parts = _Cutter(envelope)
    qe_report = parts.cut(SGX_REPORT_BYTES, "QE report")
    qe_signature = parts.cut(SIGNATURE_BYTES, "QE report signature")
    authentication = parts.cut(int.from_bytes(parts.cut(2, "length of QE data"), "little"), "QE authentication data")
    kind, pck_chain = parts.cut_certification()
    parts.finish()
    if kind != CERTIFICATION_PCK_CHAIN:
        raise EvidenceRejected(Reason.CERT_DATA_TYPE, kind, CERTIFICATION_PCK_CHAIN)
    return Quote(
        version=version,
        tee=tee,
        body_type=body_type,
        platform_id=user_data[:16],
        signed=quote[:body_end],
        body=quote[body_start:body_end],
        signature=signature,
        attestation_key=attestation_key,
        qe_report=qe_report,
        qe_signature=qe_signature,
        qe_authentication=authentication,
        pck_chain=pck_chain,
    )


def _read_body_type(quote: bytes, version: int, tee: IntelTee) -> tuple[int, int]:
    """Return the type of the body and where it begins."""
    if version < 5:
        return (BODY_SGX if tee is IntelTee.SGX else BODY_TD_1_0), HEADER_BYTES
    body_start = HEADER_BYTES + DESCRIPTOR_BYTES
    if len(quote) < body_start:
        _refuse_length("body descriptor", len(quote), body_start)
    body_type, size = _DESCRIPTOR.unpack_from(quote, HEADER_BYTES)
    if body_type not in BODY_BYTES or (body_type == BODY_SGX) != (tee is IntelTee.SGX):
        raise EvidenceRejected(Reason.BODY_TYPE, body_type, "1 for SGX, 2 to 4 for TDX")
    if size != BODY_BYTES[body_type]:
        _refuse_length("body", size, BODY_BYTES[body_type])
    return body_type, body_start


def _cut_signature_section(quote: bytes, body_end: int, version: int) -> bytes:
    """Return the signature section, which ends the quote."""
    start = body_end + 4
    if len(quote) < start:
        _refuse_length("body and length of signatures", len(quote), start)
    end = start + int.from_bytes(quote[body_end:start], "little")
    if end > len(quote):
        _refuse_length("signature section", len(quote), end)
    heads = _CERTIFICATION.size * (2 if version > 3 else 1)
    smallest = SIGNATURE_BYTES + KEY_BYTES + SGX_REPORT_BYTES + SIGNATURE_BYTES + 2 + heads
    if end - start < smallest:
        _refuse_length("signature section", end - start, smallest)
    if end < len(quote):
        raise EvidenceRejected(Reason.TRAILING_BYTES, len(quote) - end, 0)
    return quote[start:end]


def _refuse_length(what: str, seen: int, bound: int) -> NoReturn:
    raise EvidenceRejected(Reason.PARSE, f"{what}: {seen} bytes", f"{bound} bytes")


class _Cutter:
    """A position in bytes from which parts are cut in order."""

    __slots__ = ("_at", "_source")

    def __init__(self, source: bytes) -> None:
        self._source = source
        self._at = 0

    def cut(self, size: int, what: str) -> bytes:
        """Return the next bytes, exactly as many as asked for."""
        end = self._at + size
        if end > len(self._source):
            _refuse_length(what, len(self._source) - self._at, size)
        part = self._source[self._at : end]
        self._at = end
        return part

    def cut_certification(self) -> tuple[int, bytes]:
        """Return the type and the content of certification data."""
        kind, size = _CERTIFICATION.unpack(self.cut(_CERTIFICATION.size, "head of certification data"))
        return kind, self.cut(size, "certification data")

    def finish(self) -> None:
        """Refuse bytes that no length covers."""
        if self._at != len(self._source):
            _refuse_length("signature section", len(self._source), self._at)
