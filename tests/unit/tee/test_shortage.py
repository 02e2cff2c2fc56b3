"""Shortages: the component that keeps a machine back, its version, and the least one that would do."""

from __future__ import annotations

from msgspec.structs import replace

from tee.appraisal import DEFAULT_POLICY, SnpFloor
from tee.claims import SnpProduct, TcbStatus
from tee.documents import CollateralKind, IntelTee, ModuleIdentity, QeIdentity, SvnLevel, TcbInfo, TcbLevel
from tee.shortage import Shortage, find_intel_shortages, find_snp_shortages
from tee.tcb import SecurityVersions
from tests.support.claims import GOOD_GENOA, SNP

GOOD, OLD = TcbStatus.UP_TO_DATE, TcbStatus.OUT_OF_DATE
WINDOW = {"root": bytes(32), "issued_s": 0, "next_update_s": 9, "valid_from_s": 0, "valid_until_s": 9}


def level(sgx: int, pce: int, tdx: int, status: TcbStatus) -> TcbLevel:
    return TcbLevel(bytes([sgx]) * 16, pce, bytes([tdx]) * 16, status, 0, b"")


TCB_INFO = TcbInfo(
    kind=CollateralKind.INTEL_TCB_INFO,
    **WINDOW,
    tee=IntelTee.TDX,
    fmspc=bytes(6),
    pce_id=bytes(2),
    signer_serial=b"\x01",
    number=18,
    advisories=(),
    levels=(level(9, 13, 9, GOOD), level(5, 11, 4, GOOD), level(3, 11, 3, OLD)),
    modules=(
        ModuleIdentity(0, bytes(48), bytes(8), ()),
        ModuleIdentity(1, bytes(48), bytes(8), (SvnLevel(5, GOOD, 0, b""), SvnLevel(2, OLD, 0, b""))),
    ),
)
QE_IDENTITY = QeIdentity(
    kind=CollateralKind.INTEL_QE_IDENTITY,
    **WINDOW,
    tee=IntelTee.TDX,
    signer_serial=b"\x01",
    number=18,
    misc_select=0,
    misc_select_mask=0,
    attributes=bytes(16),
    attributes_mask=bytes(16),
    mr_signer=bytes(32),
    isv_prod_id=2,
    advisories=(),
    levels=(SvnLevel(4, GOOD, 0, b""), SvnLevel(1, OLD, 0, b"")),
)
FINE = SecurityVersions(
    cpu_svn=b"\5" * 16, pce_svn=11, qe_svn=4, tee_tcb_svn=bytes([5, 1]) + b"\4" * 14, tee_tcb_svn2=b""
)


def short(**changes: object) -> tuple[Shortage, ...]:
    return find_intel_shortages(replace(FINE, **changes), TCB_INFO, QE_IDENTITY)


def test_the_lowest_good_level_is_enough() -> None:
    assert short() == ()


def test_each_component_is_named_with_what_it_lacks() -> None:
    assert short(cpu_svn=b"\5\4" + b"\5" * 14) == (Shortage("SGX component 1", 4, 5),)
    assert short(pce_svn=10) == (Shortage("PCE", 10, 11),)
    assert short(qe_svn=3) == (Shortage("quoting enclave", 3, 4),)
    assert short(tee_tcb_svn=bytes([5, 1, 3]) + b"\4" * 13) == (Shortage("TDX component 2", 3, 4),)
    assert short(tee_tcb_svn=bytes([4, 1]) + b"\4" * 14) == (Shortage("TDX module 1", 4, 5),)
    assert short(tee_tcb_svn=bytes([4, 2]) + b"\4" * 14) == (Shortage("TDX module, major version", 2, 1),)


def test_a_module_at_launch_and_now_is_named_once() -> None:
    svn = bytes([4, 1]) + b"\4" * 14
    assert short(tee_tcb_svn=svn, tee_tcb_svn2=svn) == (Shortage("TDX module 1", 4, 5),)


def test_floors_of_all_dates_count_for_amd() -> None:
    floors = tuple(
        SnpFloor(product=SnpProduct.GENOA, since_s=since_s, tcb=replace(GOOD_GENOA, snp=snp))
        for since_s, snp in ((0, 23), (1 << 40, 25))
    )
    policy = replace(DEFAULT_POLICY, snp_floors=floors)
    assert find_snp_shortages(SNP, policy) == (Shortage("snp", 23, 25),)
