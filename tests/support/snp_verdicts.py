"""Encoded SEV-SNP evidence through the verifier, as one value that can be compared."""

from __future__ import annotations

from functools import cache

from tee import amd_collateral, sev_snp
from tee.claims import Verified
from tee.errors import EvidenceRejected, Reason
from tee.roots import TrustedRoot
from tests.support.snp_cases import Case, Encoded, all_cases


@cache
def encoded_cases() -> tuple[tuple[Case, Encoded], ...]:
    """Return all cases with their bytes, made once."""
    return tuple((case, case.evidence.encode()) for case in all_cases())


def verify(encoded: Encoded) -> Verified:
    """Take in the revocation list in its first second, then verify the evidence in its own."""
    crl = None
    if encoded.crl is not None:
        crl = amd_collateral.check_amd_crl(encoded.crl, (encoded.crl_ark,), encoded.crl_time_s)
    trusted = tuple(TrustedRoot(der=der, is_simulated=False) for der in encoded.trusted)
    return sev_snp.verify_snp(encoded.report, encoded.vek, encoded.ask, encoded.ark, trusted, crl, encoded.time_s)


def judge(encoded: Encoded) -> Verified | Reason:
    """Return what the evidence proves, or why it is refused."""
    try:
        return verify(encoded)
    except EvidenceRejected as rejection:
        return rejection.reason
