"""Laws of gaps: what is short of the best level is named with what is needed, and closing the gaps betters the status."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from bocc.evidence.gaps import Gap, find_intel_gaps, find_snp_gaps
from tee.appraisal import DEFAULT_POLICY
from tee.claims import SnpClaims, SnpTcb, TcbStatus
from tee.collateral import CollateralFiles
from tee.documents import QeIdentity, TcbInfo
from tee.roots import Roots
from tee.simulated_documents import (
    CURRENT_COMPONENTS,
    CURRENT_PCE_SVN,
    CURRENT_QE_SVN,
    CURRENT_TDX_SVN,
    OLD_COMPONENTS,
    OLD_QE_SVN,
    OLD_TDX_SVN,
)
from tee.simulated_root import SIMULATED_ROOT
from tee.tcb import SecurityVersions, evaluate_tcb
from tests.support import snp_pki
from tests.support.simulated_world import NOW_S, SGX_WORLD, TDX_WORLD, World
from tests.support.snp_verdicts import bundles, verify_bundle

CURRENT = SecurityVersions(bytes(CURRENT_COMPONENTS), CURRENT_PCE_SVN, CURRENT_QE_SVN, CURRENT_TDX_SVN, b"")


def documents_of(world: World) -> tuple[TcbInfo, QeIdentity]:
    loaded = CollateralFiles.load(world.files(), Roots(intel=(SIMULATED_ROOT,)), NOW_S)
    assert loaded.platform_info is not None
    assert loaded.enclave_identity is not None
    return loaded.platform_info, loaded.enclave_identity


def gaps_of(versions: SecurityVersions, world: World = TDX_WORLD) -> tuple[Gap, ...]:
    return find_intel_gaps(versions, *documents_of(world))


def test_a_platform_that_is_up_to_date_has_no_gaps() -> None:
    assert gaps_of(CURRENT) == ()
    assert gaps_of(replace(CURRENT, tee_tcb_svn=b""), SGX_WORLD) == ()


def test_each_old_part_is_named_with_what_it_needs() -> None:
    old_module = bytes((4, 1, 2)) + bytes(13)
    versions = replace(CURRENT, cpu_svn=bytes(OLD_COMPONENTS), qe_svn=OLD_QE_SVN, tee_tcb_svn=old_module)
    assert gaps_of(versions) == (
        Gap("platform", "SGX component 0", 1, 2),
        Gap("platform", "SGX component 1", 1, 2),
        Gap("platform", "SGX component 7", 3, 5),
        Gap("platform", "TDX component 2", 2, 3),
        Gap("TDX module", "version 1.x", 4, 8),
        Gap("quoting enclave", "ISVSVN", OLD_QE_SVN, CURRENT_QE_SVN),
    )


def test_versions_at_launch_and_in_force_are_told_apart() -> None:
    gaps = gaps_of(replace(CURRENT, tee_tcb_svn=OLD_TDX_SVN, tee_tcb_svn2=CURRENT_TDX_SVN))
    assert gaps == (
        Gap("platform", "TDX component 2 at launch", 2, 3),
        Gap("TDX module", "version 1.x at launch", 4, 8),
    )


def test_a_platform_below_all_levels_is_told_what_the_best_needs() -> None:
    gaps = gaps_of(replace(CURRENT, pce_svn=0))
    assert gaps == (Gap("platform", "PCE", 0, CURRENT_PCE_SVN),)


def test_no_gap_is_made_up_where_the_best_level_is_reached_and_not_up_to_date() -> None:
    level = replace(TDX_WORLD.tcb_info.levels[0], status="SWHardeningNeeded")
    world = TDX_WORLD.having(tcb_info={"levels": (level,)})
    assert evaluate_tcb(CURRENT, *documents_of(world)).status is TcbStatus.SW_HARDENING_NEEDED
    assert gaps_of(CURRENT, world) == ()


@pytest.mark.parametrize("part", ["cpu_svn", "qe_svn", "tee_tcb_svn", "pce_svn"])
def test_closing_the_gaps_of_an_old_part_makes_it_up_to_date(part: str) -> None:
    old = {"cpu_svn": bytes(OLD_COMPONENTS), "qe_svn": OLD_QE_SVN, "tee_tcb_svn": OLD_TDX_SVN, "pce_svn": 5}
    versions = replace(CURRENT, **{part: old[part]})
    components = {"cpu_svn": bytearray(versions.cpu_svn), "tee_tcb_svn": bytearray(versions.tee_tcb_svn)}
    numbers = {"pce_svn": versions.pce_svn, "qe_svn": versions.qe_svn}
    assert gaps_of(versions) != ()
    for gap in gaps_of(versions):
        match gap.component.split():
            case ["SGX", "component", place]:
                components["cpu_svn"][int(place)] = gap.needed
            case ["TDX", "component", place]:
                components["tee_tcb_svn"][int(place)] = gap.needed
            case ["version", _]:
                components["tee_tcb_svn"][0] = gap.needed
            case ["PCE"]:
                numbers["pce_svn"] = gap.needed
            case ["ISVSVN"]:
                numbers["qe_svn"] = gap.needed
    closed = replace(versions, **{name: bytes(octets) for name, octets in components.items()}, **numbers)
    assert evaluate_tcb(closed, *documents_of(TDX_WORLD)).status is TcbStatus.UP_TO_DATE
    assert gaps_of(closed) == ()


def test_gaps_of_amd_are_those_to_the_floors_in_force() -> None:
    bundle = next(each for each in bundles() if each.name == "vcek")
    claims = verify_bundle(bundle).claims
    assert isinstance(claims, SnpClaims)
    floor = DEFAULT_POLICY.snp_floors[0]
    policy = replace(
        DEFAULT_POLICY,
        snp_floors=(
            replace(floor, since_s=0, tcb=replace(claims.reported, snp=claims.reported.snp + 1)),
            replace(floor, since_s=snp_pki.JUNE_2026 + 1, tcb=SnpTcb(fmc=9, boot_loader=9, tee=9, snp=9, microcode=9)),
        ),
    )
    gaps = find_snp_gaps(claims, policy, snp_pki.JUNE_2026)
    assert gaps == (Gap("firmware", "snp", claims.reported.snp, claims.reported.snp + 1),)
