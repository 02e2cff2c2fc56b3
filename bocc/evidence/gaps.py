"""Why a platform has the TCB status that it has: which security version is short of which better level, and by how much.

Source: attestation specification, section 3.5. Components are counted from 0, as in Intel's documents.
"""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from tee.appraisal import Policy, find_snp_floors
from tee.claims import SnpClaims, TcbStatus
from tee.documents import QeIdentity, SvnLevel, TcbInfo, TcbLevel
from tee.tcb import SecurityVersions


class Gap(Struct, frozen=True):
    """A security version that a better level asks for."""

    part: str
    """What would have to be updated."""
    component: str
    seen: int
    needed: int


def find_intel_gaps(versions: SecurityVersions, tcb_info: TcbInfo, qe_identity: QeIdentity) -> tuple[Gap, ...]:
    """Return what stands between these versions and the best level, part by part; none if nothing does."""
    sets = [("at launch" if versions.tee_tcb_svn2 else "", versions.tee_tcb_svn)]
    if versions.tee_tcb_svn2:
        sets.append(("in force", versions.tee_tcb_svn2))
    gaps: dict[Gap, None] = {}
    for label, tee_tcb_svn in sets:
        gaps.update(dict.fromkeys(_platform_gaps(versions, tee_tcb_svn, label, tcb_info)))
        gaps.update(dict.fromkeys(_module_gaps(tee_tcb_svn, label, tcb_info)))
    gaps.update(dict.fromkeys(_svn_gaps("quoting enclave", "ISVSVN", versions.qe_svn, qe_identity.levels)))
    return tuple(gaps)


def find_snp_gaps(claims: SnpClaims, policy: Policy, time_s: int) -> tuple[Gap, ...]:
    """Return the components below the least TCB that the policy asks of the product now."""
    gaps: dict[Gap, None] = {}
    for floor in find_snp_floors(claims.product, policy):
        if floor.since_s <= time_s:
            for name in floor.tcb.__struct_fields__:
                seen, needed = getattr(claims.reported, name), getattr(floor.tcb, name)
                if seen < needed:
                    gaps[Gap("firmware", name.replace("_", " "), seen, needed)] = None
    return tuple(gaps)


def _platform_gaps(versions: SecurityVersions, tee_tcb_svn: bytes, label: str, tcb_info: TcbInfo) -> tuple[Gap, ...]:
    """Return the gaps to the level of the best status, where several have it, to that which asks for the fewest updates."""
    by_level = [(level, tuple(_level_gaps(versions, tee_tcb_svn, label, level))) for level in tcb_info.levels]
    reached = next((level.status for level, gaps in by_level if not gaps), None)
    better = [(level.status, len(gaps), gaps) for level, gaps in by_level if reached is None or level.status < reached]
    return min(better, key=lambda each: each[:2])[2] if better else ()


def _level_gaps(versions: SecurityVersions, tee_tcb_svn: bytes, label: str, level: TcbLevel) -> Iterator[Gap]:
    for place, (seen, needed) in enumerate(zip(versions.cpu_svn, level.sgx_components, strict=True)):
        if seen < needed:
            yield Gap("platform", f"SGX component {place}", seen, needed)
    if versions.pce_svn < level.pce_svn:
        yield Gap("platform", "PCE", versions.pce_svn, level.pce_svn)
    # With a versioned module, components 0 and 1 are the module's version and are judged by its identity.
    first = 2 if tee_tcb_svn[1:2] > b"\0" else 0
    for place in range(first, len(tee_tcb_svn)):
        if tee_tcb_svn[place] < level.tdx_components[place]:
            name = " ".join(filter(None, (f"TDX component {place}", label)))
            yield Gap("platform", name, tee_tcb_svn[place], level.tdx_components[place])


def _module_gaps(tee_tcb_svn: bytes, label: str, tcb_info: TcbInfo) -> Iterator[Gap]:
    if tee_tcb_svn[1:2] > b"\0":
        name = " ".join(filter(None, (f"version {tee_tcb_svn[1]}.x", label)))
        for module in tcb_info.modules:
            if module.major_version == tee_tcb_svn[1]:
                yield from _svn_gaps("TDX module", name, tee_tcb_svn[0], module.levels)


def _svn_gaps(part: str, component: str, svn: int, levels: tuple[SvnLevel, ...]) -> Iterator[Gap]:
    """Yield the gap to the lowest level that is up to date, if the level reached is not."""
    reached = next((level.status for level in levels if svn >= level.isv_svn), None)
    needed = min((level.isv_svn for level in levels if level.status is TcbStatus.UP_TO_DATE), default=svn)
    if reached is not TcbStatus.UP_TO_DATE and needed > svn:
        yield Gap(part, component, svn, needed)
