"""Claims and flags of SGX enclaves."""

from __future__ import annotations

import pytest

from tee.claims import Flag, SgxClaims
from tee.collateral import CollateralFiles
from tee.errors import EvidenceRejected, Reason
from tee.roots import Roots, TrustedRoot
from tee.sgx import verify_sgx
from tee.simulated import SimulatedVendor
from tee.simulated_quotes import SGX_DEBUG, SGX_INIT, QuoteRecipe, SgxBody, TdBody

NOW_S = 1_780_272_000
VENDOR = SimulatedVendor()
ROOTS = Roots(intel=(TrustedRoot(der=VENDOR.root, is_simulated=True),))
COLLATERAL = CollateralFiles.load(VENDOR.collateral(NOW_S, is_sgx=True).files(), ROOTS, NOW_S)
REPORT_DATA = bytes(range(64))


def claims_of(body: SgxBody, version: int = 3) -> SgxClaims:
    quote = VENDOR.machine("alpha").quote(REPORT_DATA, body, QuoteRecipe(version=version))
    verified = verify_sgx(quote, COLLATERAL, ROOTS, NOW_S)
    assert verified.is_simulated
    assert isinstance(verified.claims, SgxClaims)
    return verified.claims


@pytest.mark.parametrize("version", [3, 4, 5])
def test_every_field_of_a_report_is_a_claim(version: int) -> None:
    body = SgxBody(misc_select=3, flags=SGX_INIT | 1 << 40, xfrm=0xE7, prod_id=0x0102, svn=0x0304)

    claims = claims_of(body, version)

    assert (claims.mr_enclave, claims.mr_signer) == (body.mr_enclave, body.mr_signer)
    assert (claims.isv_prod_id, claims.isv_svn, claims.misc_select) == (0x0102, 0x0304, 3)
    assert claims.attributes == body.flags.to_bytes(8, "little") + body.xfrm.to_bytes(8, "little")
    assert (claims.report_data, claims.flags) == (REPORT_DATA, ())


def test_a_debug_enclave_is_authentic_and_flagged() -> None:
    assert claims_of(SgxBody(flags=SGX_INIT | SGX_DEBUG)).flags == (Flag.DEBUG,)


def test_a_trust_domain_is_no_enclave() -> None:
    with pytest.raises(EvidenceRejected) as caught:
        verify_sgx(VENDOR.machine("alpha").quote(REPORT_DATA, TdBody()), COLLATERAL, ROOTS, NOW_S)
    assert caught.value.reason is Reason.TEE_TYPE
