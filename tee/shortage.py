"""What a machine lacks to be up to date: each component with its version and the least one that would do.

For forecasts and for people who update machines; no verdict rests on it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

from msgspec import Struct

from tee.appraisal import Policy, find_snp_floors
from tee.claims import SnpClaims, SnpTcb, TcbStatus
from tee.documents import QeIdentity, SvnLevel, TcbInfo, TcbLevel
from tee.tcb import SecurityVersions

LevelType = TypeVar("LevelType", TcbLevel, SvnLevel)


class Shortage(Struct, frozen=True):
    """One component that is too old."""

    component: str
    seen: int
    needed: int


def find_intel_shortages(
    versions: SecurityVersions, tcb_info: TcbInfo, qe_identity: QeIdentity
) -> tuple[Shortage, ...]:
    """Return what an Intel machine lacks under these documents, in the order platform, TDX module, quoting enclave."""
    found = list(_platform_shortages(versions, tcb_info))
    for tee_tcb_svn in (versions.tee_tcb_svn, versions.tee_tcb_svn2):
        found.extend(each for each in _module_shortages(tee_tcb_svn, tcb_info) if each not in found)
    quoting_enclave = _least_good(qe_identity.levels)
    if quoting_enclave is not None and versions.qe_svn < quoting_enclave.isv_svn:
        found.append(Shortage("quoting enclave", versions.qe_svn, quoting_enclave.isv_svn))
    return tuple(found)


def find_snp_shortages(claims: SnpClaims, policy: Policy) -> tuple[Shortage, ...]:
    """Return what an AMD machine lacks under all floors of its product, those of later dates too."""
    needed: dict[str, int] = {}
    for floor in find_snp_floors(claims.product, policy):
        for name in SnpTcb.__struct_fields__:
            needed[name] = max(needed.get(name, 0), getattr(floor.tcb, name))
    return tuple(
        Shortage(name.replace("_", " "), getattr(claims.reported, name), least)
        for name, least in needed.items()
        if getattr(claims.reported, name) < least
    )


def _least_good(levels: Sequence[LevelType]) -> LevelType | None:
    """Return the lowest level that is up to date, or the highest of all if none is."""
    good = [level for level in levels if level.status is TcbStatus.UP_TO_DATE]
    return good[-1] if good else next(iter(levels), None)


def _platform_shortages(versions: SecurityVersions, tcb_info: TcbInfo) -> Iterator[Shortage]:
    wanted = _least_good(tcb_info.levels)
    if wanted is None:
        return
    for index, (seen, needed) in enumerate(zip(versions.cpu_svn, wanted.sgx_components, strict=True)):
        if seen < needed:
            yield Shortage(f"SGX component {index}", seen, needed)
    if versions.pce_svn < wanted.pce_svn:
        yield Shortage("PCE", versions.pce_svn, wanted.pce_svn)
    svn = versions.tee_tcb_svn2 or versions.tee_tcb_svn
    first = 2 if svn and svn[1] > 0 else 0
    for index in range(first, min(len(svn), len(wanted.tdx_components))):
        if svn[index] < wanted.tdx_components[index]:
            yield Shortage(f"TDX component {index}", svn[index], wanted.tdx_components[index])


def _module_shortages(tee_tcb_svn: bytes, tcb_info: TcbInfo) -> Iterator[Shortage]:
    """Yield what the TDX module of these versions lacks; one of an unknown major version lacks that."""
    if not tee_tcb_svn or tee_tcb_svn[1] == 0:
        return
    minor, major = tee_tcb_svn[0], tee_tcb_svn[1]
    module = next((module for module in tcb_info.modules if module.major_version == major), None)
    if module is None:
        known = max((module.major_version for module in tcb_info.modules), default=0)
        yield Shortage("TDX module, major version", major, known)
        return
    wanted = _least_good(module.levels)
    if wanted is not None and minor < wanted.isv_svn:
        yield Shortage(f"TDX module {major}", minor, wanted.isv_svn)
