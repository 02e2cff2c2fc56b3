"""Intel SGX: from a quote to claims about an enclave.

What the quote proves is a claim, not a judgement: a debug enclave is authentic, and policy denies it.

Source: specification of attestation, sections 3.1 and 3.6.
"""

from __future__ import annotations

from typing import Final

from tee.claims import Flag, SgxClaims, Verified
from tee.dcap import IntelCollateral, verify_quote
from tee.documents import IntelTee
from tee.errors import EvidenceRejected, Reason
from tee.intel_quote import parse_quote, parse_report
from tee.roots import Roots

ATTRIBUTE_DEBUG: Final = 0x02
"""In the first byte of the attributes."""


def verify_sgx(evidence: bytes, collateral: IntelCollateral, roots: Roots, time_s: int) -> Verified:
    """Verify an SGX quote, which ends where its length field says.

    Raises:
        EvidenceRejected: a reason of `parse_quote` or `verify_quote`; TEE_TYPE for a quote of a trust domain.
    """
    quote = parse_quote(evidence)
    if quote.tee is not IntelTee.SGX:
        raise EvidenceRejected(Reason.TEE_TYPE, quote.tee.name, IntelTee.SGX.name)
    verdict = verify_quote(quote, collateral, roots, time_s)
    report = parse_report(quote.body)
    claims = SgxClaims(
        platform=verdict.platform,
        tcb=verdict.tcb,
        flags=(Flag.DEBUG,) if report.attributes[0] & ATTRIBUTE_DEBUG else (),
        report_data=report.report_data,
        mr_enclave=report.mr_enclave,
        mr_signer=report.mr_signer,
        isv_prod_id=report.isv_prod_id,
        isv_svn=report.isv_svn,
        attributes=report.attributes,
        misc_select=report.misc_select,
    )
    return Verified(
        claims=claims,
        root=verdict.root,
        is_simulated=verdict.is_simulated,
        valid_from_s=verdict.valid_from_s,
        valid_until_s=verdict.valid_until_s,
    )
