"""Evidence of every kind, to claims: one row per vendor.

Adding a vendor is one file of its own and one row here. GPU evidence stands apart (tee/nvidia.py), since it proves nothing about
where it runs.

Source: specification of attestation, section 1.1.
"""

from __future__ import annotations

from enum import IntEnum

from tee.claims import Verified
from tee.collateral import Collateral
from tee.nitro import verify_nitro
from tee.roots import Roots
from tee.sev_snp import verify_sev_snp
from tee.sgx import verify_sgx
from tee.tdx import verify_tdx


class EvidenceKind(IntEnum):
    """What a machine offers as evidence."""

    SGX = 1
    """An Intel quote, cut at its length."""
    TDX = 2
    """Likewise."""
    SEV_SNP = 3
    """A report of 1,184 bytes, and behind it the certificate of its VEK in DER."""
    NITRO = 4
    """An attestation document."""


def verify(kind: EvidenceKind, evidence: bytes, collateral: Collateral, roots: Roots, time_s: int) -> Verified:
    """Verify evidence at block time. The answer depends on the arguments alone.

    Raises:
        EvidenceRejected: the reason that the vendor's verifier gives.
    """
    match kind:
        case EvidenceKind.SGX:
            return verify_sgx(evidence, collateral, roots, time_s)
        case EvidenceKind.TDX:
            return verify_tdx(evidence, collateral, roots, time_s)
        case EvidenceKind.SEV_SNP:
            return verify_sev_snp(evidence, collateral, roots, time_s)
        case EvidenceKind.NITRO:
            return verify_nitro(evidence, roots, time_s)
