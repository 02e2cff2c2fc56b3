"""Laws of shortages: what is short of the best level is named with what is needed, and providing it betters the status."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from tee.appraisal import SnpFloor
from tee.claims import SnpProduct, TcbStatus
from tee.collateral import CollateralFiles
from tee.documents import QeIdentity, TcbInfo
from tee.roots import Roots
from tee.shortage import Shortage, find_intel_shortages, find_snp_shortages
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
from tests.support.claims import GOOD_GENOA, SNP
from tests.support.simulated_world import NOW_S, SGX_WORLD, TDX_WORLD, World

CURRENT = SecurityVersions(bytes(CURRENT_COMPONENTS), CURRENT_PCE_SVN, CURRENT_QE_SVN, CURRENT_TDX_SVN, b"")


def documents_of(world: World) -> tuple[TcbInfo, QeIdentity]:
    loaded = CollateralFiles.load(world.files(), Roots(intel=(SIMULATED_ROOT,)), NOW_S)
    assert loaded.platform_info is not None
    assert loaded.enclave_identity is not None
    return loaded.platform_info, loaded.enclave_identity


def short_of(versions: SecurityVersions, world: World = TDX_WORLD) -> tuple[Shortage, ...]:
    return find_intel_shortages(versions, *documents_of(world))


def test_a_platform_that_is_up_to_date_lacks_nothing() -> None:
    assert short_of(CURRENT) == ()
    assert short_of(replace(CURRENT, tee_tcb_svn=b""), SGX_WORLD) == ()


def test_each_old_part_is_named_with_what_it_needs() -> None:
    old_module = bytes((4, 1, 2)) + bytes(13)
    versions = replace(CURRENT, cpu_svn=bytes(OLD_COMPONENTS), qe_svn=OLD_QE_SVN, tee_tcb_svn=old_module)
    assert short_of(versions) == (
        Shortage("platform", "SGX component 0", 1, 2),
        Shortage("platform", "SGX component 1", 1, 2),
        Shortage("platform", "SGX component 7", 3, 5),
        Shortage("platform", "TDX component 2", 2, 3),
        Shortage("TDX module", "version 1.x", 4, 8),
        Shortage("quoting enclave", "ISVSVN", OLD_QE_SVN, CURRENT_QE_SVN),
    )


def test_versions_at_launch_and_in_force_are_told_apart() -> None:
    short = short_of(replace(CURRENT, tee_tcb_svn=OLD_TDX_SVN, tee_tcb_svn2=CURRENT_TDX_SVN))
    assert short == (
        Shortage("platform", "TDX component 2 at launch", 2, 3),
        Shortage("TDX module", "version 1.x at launch", 4, 8),
    )


def test_a_platform_below_all_levels_is_told_what_the_best_needs() -> None:
    short = short_of(replace(CURRENT, pce_svn=0))
    assert short == (Shortage("platform", "PCE", 0, CURRENT_PCE_SVN),)


def test_no_shortage_is_made_up_where_the_best_level_is_reached_and_not_up_to_date() -> None:
    level = replace(TDX_WORLD.tcb_info.levels[0], status="SWHardeningNeeded")
    world = TDX_WORLD.having(tcb_info={"levels": (level,)})
    assert evaluate_tcb(CURRENT, *documents_of(world)).status is TcbStatus.SW_HARDENING_NEEDED
    assert short_of(CURRENT, world) == ()


@pytest.mark.parametrize("part", ["cpu_svn", "qe_svn", "tee_tcb_svn", "pce_svn"])
def test_closing_the_short_of_an_old_part_makes_it_up_to_date(part: str) -> None:
    old = {"cpu_svn": bytes(OLD_COMPONENTS), "qe_svn": OLD_QE_SVN, "tee_tcb_svn": OLD_TDX_SVN, "pce_svn": 5}
    versions = replace(CURRENT, **{part: old[part]})
    components = {"cpu_svn": bytearray(versions.cpu_svn), "tee_tcb_svn": bytearray(versions.tee_tcb_svn)}
    numbers = {"pce_svn": versions.pce_svn, "qe_svn": versions.qe_svn}
    assert short_of(versions) != ()
    for each in short_of(versions):
        match each.component.split():
            case ["SGX", "component", place]:
                components["cpu_svn"][int(place)] = each.needed
            case ["TDX", "component", place]:
                components["tee_tcb_svn"][int(place)] = each.needed
            case ["version", _]:
                components["tee_tcb_svn"][0] = each.needed
            case ["PCE"]:
                numbers["pce_svn"] = each.needed
            case ["ISVSVN"]:
                numbers["qe_svn"] = each.needed
    closed = replace(versions, **{name: bytes(octets) for name, octets in components.items()}, **numbers)
    assert evaluate_tcb(closed, *documents_of(TDX_WORLD)).status is TcbStatus.UP_TO_DATE
    assert short_of(closed) == ()


def test_a_module_of_an_unknown_major_version_lacks_that() -> None:
    versions = replace(CURRENT, tee_tcb_svn=bytes((8, 2, 3)) + bytes(13))
    assert short_of(versions) == (Shortage("TDX module", "major version", 2, 1),)


def test_a_name_says_the_part_where_the_component_does_not() -> None:
    shortages = (
        Shortage("platform", "PCE", 1, 2),
        Shortage("firmware", "snp", 1, 2),
        Shortage("quoting enclave", "ISVSVN", 1, 2),
    )
    assert [each.name for each in shortages] == ["PCE", "snp", "quoting enclave ISVSVN"]


def test_an_amd_machine_lacks_what_the_highest_of_the_floors_asks() -> None:
    floors = tuple(
        SnpFloor(product=SnpProduct.GENOA, since_s=since_s, tcb=replace(GOOD_GENOA, snp=snp))
        for since_s, snp in ((0, 25), (1, 24))
    )
    assert find_snp_shortages(SNP, floors[1:]) == (Shortage("firmware", "snp", 23, 24),)
    assert find_snp_shortages(SNP, floors) == (Shortage("firmware", "snp", 23, 25),)
    assert find_snp_shortages(SNP, ()) == ()
