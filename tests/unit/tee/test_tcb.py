"""TCB evaluation: which level a platform reaches, what pulls it down, when a relaunch is advised."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from tee.claims import Tcb, TcbStatus
from tee.documents import CollateralKind, IntelTee, ModuleIdentity, QeIdentity, SvnLevel, TcbInfo, TcbLevel
from tee.errors import EvidenceRejected, Reason
from tee.tcb import SecurityVersions, evaluate_tcb

UP = TcbStatus.UP_TO_DATE
SOFTWARE = TcbStatus.SW_HARDENING_NEEDED
CONFIGURATION = TcbStatus.CONFIGURATION_NEEDED
BOTH = TcbStatus.CONFIGURATION_AND_SW_HARDENING_NEEDED
OLD = TcbStatus.OUT_OF_DATE
OLD_CONFIGURATION = TcbStatus.OUT_OF_DATE_CONFIGURATION_NEEDED
REVOKED = TcbStatus.REVOKED
RELAUNCH = TcbStatus.TD_RELAUNCH_ADVISED
RELAUNCH_CONFIGURATION = TcbStatus.TD_RELAUNCH_ADVISED_CONFIGURATION_NEEDED

WINDOW = {"root": b"", "issued_s": 0, "next_update_s": 0, "valid_from_s": 0, "valid_until_s": 0}
NOTHING = bytes(16)


def svn(*components: int) -> bytes:
    return bytes(components) + bytes(16 - len(components))


def platform_level(
    status: TcbStatus, sgx: bytes = NOTHING, pce: int = 0, tdx: bytes = NOTHING, date_s: int = 100, names: bytes = b""
) -> TcbLevel:
    return TcbLevel(sgx, pce, tdx, status, date_s, names)


def tcb_info(*levels: TcbLevel, modules: tuple[ModuleIdentity, ...] = (), tee: IntelTee = IntelTee.TDX) -> TcbInfo:
    return TcbInfo(
        kind=CollateralKind.INTEL_TCB_INFO,
        tee=tee,
        fmspc=bytes(6),
        pce_id=bytes(2),
        signer_serial=b"\x01",
        number=20,
        advisories=("B", "A", "C"),
        levels=levels,
        modules=modules,
        **WINDOW,
    )


def module(version: int, *levels: SvnLevel) -> ModuleIdentity:
    return ModuleIdentity(version, bytes(48), bytes(8), levels)


def qe(*levels: SvnLevel) -> QeIdentity:
    return QeIdentity(
        kind=CollateralKind.INTEL_QE_IDENTITY,
        tee=IntelTee.TDX,
        signer_serial=b"\x01",
        number=19,
        misc_select=0,
        misc_select_mask=0,
        attributes=bytes(16),
        attributes_mask=bytes(16),
        mr_signer=bytes(32),
        isv_prod_id=2,
        advisories=("D",),
        levels=levels or (SvnLevel(0, UP, 100, b""),),
        **WINDOW,
    )


VERSIONS = SecurityVersions(cpu_svn=svn(5, 5), pce_svn=10, qe_svn=4, tee_tcb_svn=svn(3, 0, 2), tee_tcb_svn2=b"")


def evaluate(info: TcbInfo, identity: QeIdentity | None = None, **versions: object) -> Tcb:
    return evaluate_tcb(replace(VERSIONS, **versions), info, identity or qe())


def reason_of(info: TcbInfo, identity: QeIdentity | None = None, **versions: object) -> Reason:
    with pytest.raises(EvidenceRejected) as caught:
        evaluate(info, identity, **versions)
    return caught.value.reason


@pytest.mark.parametrize(
    ("level", "is_reached"),
    [
        (platform_level(UP, svn(5, 5), 10, svn(3, 0, 2)), True),
        (platform_level(UP, svn(5, 4), 9, svn(2, 0, 1)), True),
        (platform_level(UP, svn(5, 6)), False),
        (platform_level(UP, svn(6)), False),
        (platform_level(UP, bytes(15) + b"\x01"), False),
        (platform_level(UP, pce=11), False),
        (platform_level(UP, tdx=svn(4)), False),
        (platform_level(UP, tdx=svn(0, 1)), False),
        (platform_level(UP, tdx=svn(0, 0, 3)), False),
        (platform_level(UP, tdx=bytes(15) + b"\x01"), False),
    ],
)
def test_a_level_is_reached_if_no_version_is_below_it(level: TcbLevel, is_reached: bool) -> None:
    lowest = platform_level(OLD)
    assert evaluate(tcb_info(level, lowest)).platform_status == (UP if is_reached else OLD)


def test_the_first_level_that_is_reached_counts() -> None:
    levels = (platform_level(UP, svn(9)), platform_level(SOFTWARE, svn(5)), platform_level(OLD))
    assert evaluate(tcb_info(*levels)).status == SOFTWARE


def test_a_platform_below_all_levels_is_not_supported() -> None:
    assert reason_of(tcb_info(platform_level(UP, svn(6)))) is Reason.TCB_NOT_SUPPORTED


def test_versions_of_the_module_do_not_count_for_the_platform_where_an_identity_judges_them() -> None:
    info = tcb_info(platform_level(UP, tdx=svn(9, 9, 2)), modules=(module(1, SvnLevel(3, UP, 100, b"")),))
    assert evaluate(info, tee_tcb_svn=svn(3, 1, 2)).status == UP
    assert reason_of(info, tee_tcb_svn=svn(3, 0, 2)) is Reason.TCB_NOT_SUPPORTED
    assert reason_of(info, tee_tcb_svn=svn(3, 1, 1)) is Reason.TCB_NOT_SUPPORTED


def test_the_module_is_judged_by_the_identity_of_its_major_version() -> None:
    info = tcb_info(
        platform_level(UP),
        modules=(module(1, SvnLevel(3, UP, 100, b"")), module(16, SvnLevel(3, OLD, 100, b""))),
    )
    assert evaluate(info, tee_tcb_svn=svn(3, 1)).module_status == UP
    assert evaluate(info, tee_tcb_svn=svn(3, 16)).module_status == OLD
    assert reason_of(info, tee_tcb_svn=svn(3, 2)) is Reason.TDX_MODULE_IDENTITY_MISSING
    assert reason_of(info, tee_tcb_svn=svn(2, 1)) is Reason.TDX_MODULE_TCB_NOT_SUPPORTED


def test_the_platform_is_looked_up_before_its_module() -> None:
    assert reason_of(tcb_info(platform_level(UP, svn(6))), tee_tcb_svn=svn(3, 2)) is Reason.TCB_NOT_SUPPORTED


def test_the_highest_reached_level_of_a_quoting_enclave_counts() -> None:
    levels = (SvnLevel(5, UP, 100, b""), SvnLevel(4, OLD, 100, b""), SvnLevel(3, REVOKED, 100, b""))
    statuses = [evaluate(tcb_info(platform_level(UP)), qe(*levels), qe_svn=number).qe_status for number in (6, 5, 4, 3)]
    assert statuses == [UP, UP, OLD, REVOKED]
    assert reason_of(tcb_info(platform_level(UP)), qe(*levels), qe_svn=2) is Reason.QE_TCB_NOT_SUPPORTED


@pytest.mark.parametrize(
    ("platform", "outdated"),
    [
        (UP, OLD),
        (SOFTWARE, OLD),
        (CONFIGURATION, OLD_CONFIGURATION),
        (BOTH, OLD_CONFIGURATION),
        (OLD, OLD),
        (OLD_CONFIGURATION, OLD_CONFIGURATION),
        (REVOKED, REVOKED),
    ],
)
def test_module_and_quoting_enclave_pull_the_platform_down(platform: TcbStatus, outdated: TcbStatus) -> None:
    for component, merged in ((UP, platform), (OLD, outdated), (REVOKED, REVOKED)):
        info = tcb_info(platform_level(platform), modules=(module(1, SvnLevel(0, component, 100, b"")),))
        assert evaluate(info, tee_tcb_svn=svn(1, 1)).status == merged
        identity = qe(SvnLevel(0, component, 100, b""))
        assert evaluate(tcb_info(platform_level(platform)), identity).status == merged


@pytest.mark.parametrize(
    ("launch", "current", "status"),
    [
        (OLD, UP, RELAUNCH),
        (OLD, SOFTWARE, RELAUNCH),
        (OLD, CONFIGURATION, RELAUNCH_CONFIGURATION),
        (OLD, BOTH, RELAUNCH_CONFIGURATION),
        (OLD_CONFIGURATION, UP, RELAUNCH_CONFIGURATION),
        (OLD_CONFIGURATION, SOFTWARE, RELAUNCH_CONFIGURATION),
        (OLD, OLD, OLD),
        (OLD, OLD_CONFIGURATION, OLD),
        (OLD, REVOKED, OLD),
        (OLD_CONFIGURATION, OLD, OLD_CONFIGURATION),
        (UP, OLD, UP),
        (SOFTWARE, UP, SOFTWARE),
        (REVOKED, UP, REVOKED),
        (UP, REVOKED, UP),
    ],
)
def test_a_relaunch_is_advised_where_it_would_help(launch: TcbStatus, current: TcbStatus, status: TcbStatus) -> None:
    """Component 2 tells the two levels apart, whichever is the higher."""
    info = tcb_info(platform_level(launch, tdx=svn(0, 0, 2)), platform_level(current))
    tcb = evaluate(info, tee_tcb_svn=svn(0, 0, 2), tee_tcb_svn2=svn(0, 0, 1))
    assert (tcb.status, tcb.platform_status, tcb.current_status) == (status, launch, current)


def test_without_versions_in_force_the_launch_stands_for_them() -> None:
    tcb = evaluate(tcb_info(platform_level(OLD)))
    assert (tcb.status, tcb.current_status) == (OLD, OLD)


def test_versions_in_force_below_all_levels_refuse_the_whole() -> None:
    info = tcb_info(platform_level(UP, tdx=svn(0, 0, 2)))
    assert reason_of(info, tee_tcb_svn2=svn(0, 0, 1)) is Reason.TCB_NOT_SUPPORTED


def test_advisories_of_the_level_in_force_stand_apart() -> None:
    levels = (
        replace(platform_level(UP, tdx=svn(0, 0, 9)), advisories=b"\1"),
        replace(platform_level(SOFTWARE), advisories=b"\2"),
    )
    module = SvnLevel(0, UP, 100, b"\0")
    info = replace(tcb_info(*levels), modules=(ModuleIdentity(1, bytes(48), bytes(8), (module,)),))
    identity = qe(SvnLevel(0, UP, 100, b"\0"))
    tcb = evaluate(info, identity, tee_tcb_svn=svn(3, 1, 9), tee_tcb_svn2=svn(3, 1, 8))
    assert (tcb.status, tcb.advisories) == (UP, ("A", "B", "D"))
    assert (tcb.current_status, tcb.current_advisories) == (SOFTWARE, ("B", "C", "D"))
    alone = evaluate(info, identity, tee_tcb_svn=svn(3, 1, 9))
    assert alone.current_advisories == alone.advisories == ("A", "B", "D")


def test_advisories_and_date_come_from_all_levels_of_the_launch() -> None:
    info = tcb_info(
        platform_level(UP, tdx=svn(0, 0, 2), date_s=90, names=bytes([0])),
        platform_level(OLD, date_s=10, names=bytes([0, 1, 2])),
        modules=(module(1, SvnLevel(3, UP, 80, bytes([0, 1]))),),
    )
    identity = qe(SvnLevel(0, UP, 85, bytes([0])))

    tcb = evaluate(info, identity, tee_tcb_svn=svn(3, 1, 2), tee_tcb_svn2=svn(3, 1, 1))

    assert (tcb.date_s, tcb.advisories) == (80, ("A", "B", "D"))
    assert (tcb.tcb_info_number, tcb.qe_identity_number) == (20, 19)


@pytest.mark.parametrize(("platform_s", "qe_s"), [(90, 80), (80, 90)])
def test_the_oldest_level_gives_the_date(platform_s: int, qe_s: int) -> None:
    tcb = evaluate(tcb_info(platform_level(UP, date_s=platform_s)), qe(SvnLevel(0, UP, qe_s, b"")))
    assert tcb.date_s == 80


def test_an_enclave_has_no_tdx_versions() -> None:
    info = tcb_info(platform_level(UP, svn(5), 10, b""), tee=IntelTee.SGX)
    tcb = evaluate(info, tee_tcb_svn=b"")
    assert (tcb.status, tcb.module_status) == (UP, UP)
