"""Evidence in files, in the form in which the chain takes it: quotes cut at their length, SNP reports with their certificate."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Final

from bocc.evidence.decode import cut_quote
from bocc.evidence.files import FILE_BYTES_MAX, find_kind, read_certificates, read_content
from state.errors import Rejected
from state.trust_messages import EVIDENCE_BYTES_MAX, GpuEvidence
from tee.checks import Family
from tee.evidence import EvidenceKind
from tee.snp_report import REPORT_BYTES

KINDS: Final = {
    Family.SGX: EvidenceKind.SGX,
    Family.TDX: EvidenceKind.TDX,
    Family.SEV_SNP: EvidenceKind.SEV_SNP,
    Family.NITRO: EvidenceKind.NITRO,
}


class EvidenceReason(StrEnum):
    """Why a file is no evidence that could be sent."""

    UNKNOWN_EVIDENCE = "unknown_evidence"
    """Neither a quote nor a report nor an attestation document."""
    NO_VEK = "no_vek"
    """An SNP report without the certificate of its chip's key."""
    TOO_LARGE = "evidence_too_large"


class EvidenceFileRejected(Rejected):
    """A file that cannot be sent as evidence."""


def read_evidence(path: Path, certificate_path: Path | None = None) -> tuple[EvidenceKind, bytes]:
    """Return kind and bytes of the evidence in a file; an SNP report needs the certificate of its VEK, behind it or in a file.

    Raises:
        EvidenceFileRejected: every EvidenceReason.
        OSError: a file cannot be read.
    """
    octets = read_content(_read(path)).octets
    found = find_kind(octets)
    kind = KINDS.get(found) if isinstance(found, Family) else None
    if kind is None:
        raise EvidenceFileRejected(EvidenceReason.UNKNOWN_EVIDENCE, found or "bytes of no known form")
    if kind in {EvidenceKind.SGX, EvidenceKind.TDX}:
        octets = cut_quote(octets)[0]
    if kind is EvidenceKind.SEV_SNP:
        octets = _with_vek(octets, certificate_path)
    if len(octets) > EVIDENCE_BYTES_MAX:
        raise EvidenceFileRejected(EvidenceReason.TOO_LARGE, len(octets), EVIDENCE_BYTES_MAX)
    return kind, octets


def read_gpu(report: Path, chain: Path) -> GpuEvidence:
    """Return the evidence of one GPU: its report, and the certificates of its key in PEM, leaf first."""
    return GpuEvidence(report=read_content(_read(report)).octets, chain=read_certificates(_read(chain)))


def _with_vek(report: bytes, certificate_path: Path | None) -> bytes:
    if certificate_path is not None:
        return report[:REPORT_BYTES] + read_certificates(_read(certificate_path))[0]
    if len(report) <= REPORT_BYTES:
        raise EvidenceFileRejected(EvidenceReason.NO_VEK, f"{len(report)} bytes", "--certificate FILE")
    return report


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(FILE_BYTES_MAX)
