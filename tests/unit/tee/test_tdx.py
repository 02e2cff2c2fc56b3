"""Claims and flags of trust domains."""

from __future__ import annotations

import pytest

from tee.claims import Flag, TdxClaims
from tee.collateral import CollateralFiles
from tee.errors import EvidenceRejected, Reason
from tee.roots import Roots, TrustedRoot
from tee.simulated import SimulatedVendor
from tee.simulated_quotes import SgxBody, TdBody
from tee.tdx import find_flags, verify_tdx

NOW_S = 1_780_272_000
VENDOR = SimulatedVendor()
ROOTS = Roots(intel=(TrustedRoot(der=VENDOR.root, is_simulated=True),))
COLLATERAL = CollateralFiles.load(VENDOR.collateral(NOW_S).files(), ROOTS, NOW_S)
SEPT = 1 << 28
REPORT_DATA = bytes(range(64))


def claims_of(body: TdBody) -> TdxClaims:
    verified = verify_tdx(VENDOR.machine("alpha").quote(REPORT_DATA, body), COLLATERAL, ROOTS, NOW_S)
    assert isinstance(verified.claims, TdxClaims)
    return verified.claims


def register(number: int) -> bytes:
    return bytes([number]) * 48


@pytest.mark.parametrize("body_type", [2, 3, 4])
def test_every_field_of_a_body_is_a_claim(body_type: int) -> None:
    body = TdBody(
        body_type=body_type,
        mr_seam=register(1),
        td_attributes=SEPT | 1 << 63,
        xfam=0x0123456789ABCDEF,
        mr_td=register(2),
        mr_config_id=register(3),
        mr_owner=register(4),
        mr_owner_config=register(5),
        rtmrs=(register(6), register(7), register(8), register(9)),
        mr_service_td=register(10),
    )

    claims = claims_of(body)

    assert (claims.quote_version, claims.body_type) == (4 if body_type == 2 else 5, body_type)
    assert (claims.mr_seam, claims.mr_td, claims.mr_config_id) == (register(1), register(2), register(3))
    assert (claims.mr_owner, claims.mr_owner_config) == (register(4), register(5))
    assert claims.rtmrs == (register(6), register(7), register(8), register(9))
    assert (claims.td_attributes, claims.xfam) == (body.td_attributes, body.xfam)
    assert (claims.report_data, claims.mr_signer_seam) == (REPORT_DATA, bytes(48))
    assert claims.tee_tcb_svn == body.tee_tcb_svn
    expected = (b"", b"") if body_type == 2 else (body.tee_tcb_svn2, register(10))
    assert (claims.tee_tcb_svn2, claims.mr_service_td) == expected


NAMED_BITS = {16, 27, 28, 29, 30, 31, 62, 63}


@pytest.mark.parametrize("bit", range(64))
def test_every_attribute_is_harmless_or_named_by_a_flag(bit: int) -> None:
    expected = set()
    if bit < 8:
        expected.add(Flag.DEBUG)
    if bit == 29:
        expected.add(Flag.MIGRATABLE)
    if bit not in NAMED_BITS | {0, 4, 5, 6}:
        expected.add(Flag.RESERVED_TD_ATTRIBUTES)
    assert set(find_flags(SEPT | 1 << bit, b"")) == expected


def test_flags_come_in_the_order_of_their_list() -> None:
    flags = find_flags(((1 << 64) - 1) ^ SEPT, register(1))
    assert flags == (
        Flag.DEBUG,
        Flag.NO_SEPT_VE_DISABLE,
        Flag.MIGRATABLE,
        Flag.RESERVED_TD_ATTRIBUTES,
        Flag.MRSERVICETD,
    )
    assert find_flags(SEPT, bytes(48)) == find_flags(SEPT, b"") == ()


def test_a_debugged_trust_domain_is_authentic_and_flagged() -> None:
    assert claims_of(TdBody(td_attributes=SEPT | 1)).flags == (Flag.DEBUG,)


def test_an_enclave_is_no_trust_domain() -> None:
    with pytest.raises(EvidenceRejected) as caught:
        verify_tdx(VENDOR.machine("alpha").quote(REPORT_DATA, SgxBody()), COLLATERAL, ROOTS, NOW_S)
    assert caught.value.reason is Reason.TEE_TYPE
