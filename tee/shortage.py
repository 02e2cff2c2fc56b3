"""What a machine lacks for a better status: each security version that is too old, and the least one that would do.

For forecasts and for people who update machines; no verdict rests on it. Components are counted from 0, as in Intel's documents.

Source: attestation specification, section 3.5.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from msgspec import Struct

from tee.appraisal import SnpFloor
from tee.claims import SnpClaims, TcbStatus
from tee.documents import QeIdentity, SvnLevel, TcbInfo, TcbLevel
from tee.tcb import SecurityVersions


class Shortage(Struct, frozen=True):
    """A security version that a better level asks for."""

    part: str
    """What would have to be updated."""
    component: str
    seen: int
    needed: int

    @property
    def name(self) -> str:
        """Part and component, where the component does not name the machine's own."""
        return self.component if self.part in {"platform", "firmware"} else f"{self.part} {self.component}"


def find_intel_shortages(
    versions: SecurityVersions, tcb_info: TcbInfo, qe_identity: QeIdentity
) -> tuple[Shortage, ...]:
    """Return what stands between these versions and the best level, part by part; nothing if no update would better it."""
    sets = [("at launch" if versions.tee_tcb_svn2 else "", versions.tee_tcb_svn)]
    if versions.tee_tcb_svn2:
        sets.append(("in force", versions.tee_tcb_svn2))
    found: dict[Shortage, None] = {}
    for label, tee_tcb_svn in sets:
        found.update(dict.fromkeys(_platform_shortages(versions, tee_tcb_svn, label, tcb_info)))
        found.update(dict.fromkeys(_module_shortages(tee_tcb_svn, label, tcb_info)))
    found.update(dict.fromkeys(_svn_shortages("quoting enclave", "ISVSVN", versions.qe_svn, qe_identity.levels)))
    return tuple(found)


def find_snp_shortages(claims: SnpClaims, floors: Iterable[SnpFloor]) -> tuple[Shortage, ...]:
    """Return the components below the highest of these floors, which are those of the product that shall count."""
    needed: dict[str, int] = {}
    for floor in floors:
        for name in floor.tcb.__struct_fields__:
            needed[name] = max(needed.get(name, 0), getattr(floor.tcb, name))
    return tuple(
        Shortage("firmware", name.replace("_", " "), getattr(claims.reported, name), least)
        for name, least in needed.items()
        if getattr(claims.reported, name) < least
    )


def _platform_shortages(
    versions: SecurityVersions, tee_tcb_svn: bytes, label: str, tcb_info: TcbInfo
) -> tuple[Shortage, ...]:
    """Return what the level of the best status asks for; where several have it, the one that asks for the fewest updates."""
    by_level = [(level, tuple(_level_shortages(versions, tee_tcb_svn, label, level))) for level in tcb_info.levels]
    reached = next((level.status for level, short in by_level if not short), None)
    better = [
        (level.status, len(short), short) for level, short in by_level if reached is None or level.status < reached
    ]
    return min(better, key=lambda each: each[:2])[2] if better else ()


def _level_shortages(versions: SecurityVersions, tee_tcb_svn: bytes, label: str, level: TcbLevel) -> Iterator[Shortage]:
    for place, (seen, needed) in enumerate(zip(versions.cpu_svn, level.sgx_components, strict=True)):
        if seen < needed:
            yield Shortage("platform", f"SGX component {place}", seen, needed)
    if versions.pce_svn < level.pce_svn:
        yield Shortage("platform", "PCE", versions.pce_svn, level.pce_svn)
    # With a versioned module, components 0 and 1 are the module's version and are judged by its identity.
    first = 2 if tee_tcb_svn[1:2] > b"\0" else 0
    for place in range(first, len(tee_tcb_svn)):
        if tee_tcb_svn[place] < level.tdx_components[place]:
            yield Shortage(
                "platform", _labelled(f"TDX component {place}", label), tee_tcb_svn[place], level.tdx_components[place]
            )


def _module_shortages(tee_tcb_svn: bytes, label: str, tcb_info: TcbInfo) -> Iterator[Shortage]:
    """Yield what the TDX module of these versions lacks; one of an unknown major version lacks that."""
    if tee_tcb_svn[1:2] <= b"\0":
        return
    minor, major = tee_tcb_svn[0], tee_tcb_svn[1]
    module = next((module for module in tcb_info.modules if module.major_version == major), None)
    if module is None:
        known = max((module.major_version for module in tcb_info.modules), default=0)
        yield Shortage("TDX module", _labelled("major version", label), major, known)
    else:
        yield from _svn_shortages("TDX module", _labelled(f"version {major}.x", label), minor, module.levels)


def _svn_shortages(part: str, component: str, svn: int, levels: tuple[SvnLevel, ...]) -> Iterator[Shortage]:
    """Yield what lacks to the lowest level that is up to date, if the level reached is not."""
    reached = next((level.status for level in levels if svn >= level.isv_svn), None)
    needed = min((level.isv_svn for level in levels if level.status is TcbStatus.UP_TO_DATE), default=svn)
    if reached is not TcbStatus.UP_TO_DATE and needed > svn:
        yield Shortage(part, component, svn, needed)


def _labelled(component: str, label: str) -> str:
    return f"{component} {label}" if label else component
