"""How a platform stands against Intel's documents: the status of its security versions, by table look-up alone.

Nothing is verified here and no signature is needed, so a stored claim is judged again in the same way when documents move.
Documents hold their levels in descending order, whatever order Intel sent.

Source: specification of attestation, section 3.5, after Intel's own library of 2026.
"""

from __future__ import annotations

from operator import ge
from typing import Final

from msgspec import Struct

from tee.claims import SgxClaims, Tcb, TcbStatus, TdxClaims
from tee.documents import ModuleIdentity, QeIdentity, SvnLevel, TcbInfo, TcbLevel
from tee.errors import EvidenceRejected, Reason

_PULLED_DOWN: Final = {
    TcbStatus.UP_TO_DATE: TcbStatus.OUT_OF_DATE,
    TcbStatus.SW_HARDENING_NEEDED: TcbStatus.OUT_OF_DATE,
    TcbStatus.CONFIGURATION_NEEDED: TcbStatus.OUT_OF_DATE_CONFIGURATION_NEEDED,
    TcbStatus.CONFIGURATION_AND_SW_HARDENING_NEEDED: TcbStatus.OUT_OF_DATE_CONFIGURATION_NEEDED,
}
"""What an OutOfDate module or QE makes of the platform's status; the others stay."""

_STALE: Final = frozenset({TcbStatus.OUT_OF_DATE, TcbStatus.OUT_OF_DATE_CONFIGURATION_NEEDED})
_CURRENT: Final = frozenset(_PULLED_DOWN)
"""Statuses that a relaunch of the trust domain can reach."""
_CONFIGURATION: Final = frozenset(
    {
        TcbStatus.CONFIGURATION_NEEDED,
        TcbStatus.CONFIGURATION_AND_SW_HARDENING_NEEDED,
        TcbStatus.OUT_OF_DATE_CONFIGURATION_NEEDED,
    }
)


class SecurityVersions(Struct, frozen=True, gc=False):
    """All versions that a status depends on."""

    cpu_svn: bytes
    """16 components of the PCK certificate."""
    pce_svn: int
    qe_svn: int
    tee_tcb_svn: bytes
    """16 components at launch, or none for SGX."""
    tee_tcb_svn2: bytes
    """16 components now in force, or none before TDX 1.5."""


class _Standing(Struct, frozen=True, gc=False):
    """One evaluation."""

    status: TcbStatus
    platform: TcbLevel
    module: SvnLevel | None


def get_versions(claims: SgxClaims | TdxClaims) -> SecurityVersions:
    """Return the versions that were proven, for an evaluation against other documents."""
    return SecurityVersions(
        cpu_svn=claims.platform.cpu_svn,
        pce_svn=claims.platform.pce_svn,
        qe_svn=claims.platform.qe_svn,
        tee_tcb_svn=claims.tee_tcb_svn if isinstance(claims, TdxClaims) else b"",
        tee_tcb_svn2=claims.tee_tcb_svn2 if isinstance(claims, TdxClaims) else b"",
    )


def evaluate_tcb(versions: SecurityVersions, tcb_info: TcbInfo, qe_identity: QeIdentity) -> Tcb:
    """Return the status of these versions, with the levels that it comes from.

    A trust domain that was launched under an old level and runs under a good one is told to relaunch; where the level in force is
    worse, the status of the launch stands and `current_status` shows the other.

    Raises:
        EvidenceRejected: QE_TCB_NOT_SUPPORTED, TCB_NOT_SUPPORTED, TDX_MODULE_IDENTITY_MISSING, TDX_MODULE_TCB_NOT_SUPPORTED.
    """
    qe_level = find_qe_level(qe_identity, versions.qe_svn)
    launch = _evaluate(versions, versions.tee_tcb_svn, tcb_info, qe_level)
    current = _evaluate(versions, versions.tee_tcb_svn2, tcb_info, qe_level) if versions.tee_tcb_svn2 else launch
    date_s = min(launch.platform.date_s, qe_level.date_s)
    if launch.module is not None:
        date_s = min(date_s, launch.module.date_s)
    return Tcb(
        status=_advise_relaunch(launch.status, current.status),
        date_s=date_s,
        advisories=_advisories(launch, tcb_info, qe_level, qe_identity),
        current_advisories=_advisories(current, tcb_info, qe_level, qe_identity),
        platform_status=launch.platform.status,
        module_status=TcbStatus.UP_TO_DATE if launch.module is None else launch.module.status,
        qe_status=qe_level.status,
        current_status=current.status,
        tcb_info_number=tcb_info.number,
        qe_identity_number=qe_identity.number,
    )


def find_module(tcb_info: TcbInfo, tee_tcb_svn: bytes) -> ModuleIdentity:
    """Return the identity that a TDX module of these versions must have; major version 0 has an identity without levels.

    Raises:
        EvidenceRejected: TDX_MODULE_IDENTITY_MISSING.
    """
    for module in tcb_info.modules:
        if module.major_version == tee_tcb_svn[1]:
            return module
    known = ", ".join(str(module.major_version) for module in tcb_info.modules)
    raise EvidenceRejected(Reason.TDX_MODULE_IDENTITY_MISSING, tee_tcb_svn[1], known)


def find_qe_level(qe_identity: QeIdentity, qe_svn: int) -> SvnLevel:
    """Return the highest level that a quoting enclave of this version reaches.

    Raises:
        EvidenceRejected: QE_TCB_NOT_SUPPORTED.
    """
    return _find_level(qe_identity.levels, qe_svn, Reason.QE_TCB_NOT_SUPPORTED)


def _evaluate(versions: SecurityVersions, tee_tcb_svn: bytes, tcb_info: TcbInfo, qe_level: SvnLevel) -> _Standing:
    """Evaluate the platform with one set of TDX versions; none for SGX."""
    has_module = bool(tee_tcb_svn) and tee_tcb_svn[1] > 0
    platform = _find_platform(versions, tee_tcb_svn, has_module, tcb_info)
    if not has_module:
        return _Standing(_merge(platform.status, (qe_level.status,)), platform, None)
    levels = find_module(tcb_info, tee_tcb_svn).levels
    module = _find_level(levels, tee_tcb_svn[0], Reason.TDX_MODULE_TCB_NOT_SUPPORTED)
    return _Standing(_merge(platform.status, (module.status, qe_level.status)), platform, module)


def _find_platform(versions: SecurityVersions, tee_tcb_svn: bytes, has_module: bool, tcb_info: TcbInfo) -> TcbLevel:
    # With a versioned module, components 0 and 1 are the module's version and are judged by its identity.
    first = 2 if has_module else 0
    tdx_components = tee_tcb_svn[first:]
    for level in tcb_info.levels:
        if (
            versions.pce_svn >= level.pce_svn
            and all(map(ge, versions.cpu_svn, level.sgx_components))
            and all(map(ge, tdx_components, level.tdx_components[first:]))
        ):
            return level
    seen = f"{versions.cpu_svn.hex()} {versions.pce_svn} {tee_tcb_svn.hex()}"
    raise EvidenceRejected(Reason.TCB_NOT_SUPPORTED, seen, f"one of {len(tcb_info.levels)} levels")


def _find_level(levels: tuple[SvnLevel, ...], svn: int, reason: Reason) -> SvnLevel:
    for level in levels:
        if svn >= level.isv_svn:
            return level
    raise EvidenceRejected(reason, svn, levels[-1].isv_svn if levels else "no level")


def _merge(platform: TcbStatus, components: tuple[TcbStatus, ...]) -> TcbStatus:
    """Let an OutOfDate or Revoked component pull the platform's status down."""
    if TcbStatus.REVOKED in components:
        return TcbStatus.REVOKED
    if TcbStatus.OUT_OF_DATE in components:
        return _PULLED_DOWN.get(platform, platform)
    return platform


def _advise_relaunch(launch: TcbStatus, current: TcbStatus) -> TcbStatus:
    if launch not in _STALE or current not in _CURRENT:
        return launch
    if launch in _CONFIGURATION or current in _CONFIGURATION:
        return TcbStatus.TD_RELAUNCH_ADVISED_CONFIGURATION_NEEDED
    return TcbStatus.TD_RELAUNCH_ADVISED


def _advisories(standing: _Standing, tcb_info: TcbInfo, qe_level: SvnLevel, qe_identity: QeIdentity) -> tuple[str, ...]:
    """Return the advisories of all levels of one evaluation, sorted, distinct."""
    module = standing.module.advisories if standing.module is not None else b""
    names = {tcb_info.advisories[position] for position in standing.platform.advisories + module}
    names.update(qe_identity.advisories[position] for position in qe_level.advisories)
    return tuple(sorted(names))
