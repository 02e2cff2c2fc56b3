"""Intel TDX: from a quote to claims about a trust domain.

What the quote proves is a claim, not a judgement: a trust domain under debug is authentic, and policy denies it.

Source: specification of attestation, sections 3.1 and 3.6.
"""

from __future__ import annotations

from struct import Struct as Layout
from typing import Final

from tee.claims import Flag, TdxClaims, Verified
from tee.dcap import IntelCollateral, verify_quote
from tee.documents import IntelTee
from tee.errors import EvidenceRejected, Reason
from tee.intel_quote import BODY_BYTES, BODY_TD_1_0, parse_quote
from tee.roots import Roots

DEBUG_ATTRIBUTES: Final = 0xFF
"""DEBUG, HGS+, two kinds of profiling, and what may follow: any of these lets somebody look into the trust domain."""
SEPT_VE_DISABLE: Final = 1 << 28
MIGRATABLE: Final = 1 << 29
KNOWN_ATTRIBUTES: Final = sum(1 << bit for bit in (0, 4, 5, 6, 16, 27, 28, 29, 30, 31, 62, 63))
"""All attributes that have a name; the others are reserved."""

_BODY: Final = Layout("<16s48s48s8xQQ48s48s48s48s48s48s48s48s64s")
_EXTENDED: Final = Layout("<16s48s")


def verify_tdx(evidence: bytes, collateral: IntelCollateral, roots: Roots, time_s: int) -> Verified:
    """Verify a quote of a trust domain, which ends where its length field says.

    Raises:
        EvidenceRejected: a reason of `parse_quote` or `verify_quote`; TEE_TYPE for a quote of an SGX enclave.
    """
    quote = parse_quote(evidence)
    if quote.tee is not IntelTee.TDX:
        raise EvidenceRejected(Reason.TEE_TYPE, quote.tee.name, IntelTee.TDX.name)
    verdict = verify_quote(quote, collateral, roots, time_s)
    svn, seam, signer_seam, attributes, xfam, mr_td, config_id, owner, owner_config, *rest = _BODY.unpack_from(
        quote.body
    )
    rtmr0, rtmr1, rtmr2, rtmr3, report_data = rest
    svn2, mr_service_td = b"", b""
    if quote.body_type != BODY_TD_1_0:
        svn2, mr_service_td = _EXTENDED.unpack_from(quote.body, BODY_BYTES[BODY_TD_1_0])
    claims = TdxClaims(
        platform=verdict.platform,
        tcb=verdict.tcb,
        flags=find_flags(attributes, mr_service_td),
        report_data=report_data,
        quote_version=quote.version,
        body_type=quote.body_type,
        tee_tcb_svn=svn,
        tee_tcb_svn2=svn2,
        mr_seam=seam,
        mr_signer_seam=signer_seam,
        td_attributes=attributes,
        xfam=xfam,
        mr_td=mr_td,
        mr_config_id=config_id,
        mr_owner=owner,
        mr_owner_config=owner_config,
        rtmrs=(rtmr0, rtmr1, rtmr2, rtmr3),
        mr_service_td=mr_service_td,
    )
    return Verified(
        claims=claims,
        root=verdict.root,
        is_simulated=verdict.is_simulated,
        valid_from_s=verdict.valid_from_s,
        valid_until_s=verdict.valid_until_s,
    )


def find_flags(td_attributes: int, mr_service_td: bytes) -> tuple[Flag, ...]:
    """Return what policy is likely to care about, in the order of the flags."""
    conditions = (
        (Flag.DEBUG, td_attributes & DEBUG_ATTRIBUTES),
        (Flag.NO_SEPT_VE_DISABLE, not td_attributes & SEPT_VE_DISABLE),
        (Flag.MIGRATABLE, td_attributes & MIGRATABLE),
        (Flag.RESERVED_TD_ATTRIBUTES, td_attributes & ~KNOWN_ATTRIBUTES),
        (Flag.MRSERVICETD, any(mr_service_td)),
    )
    return tuple(flag for flag, holds in conditions if holds)
