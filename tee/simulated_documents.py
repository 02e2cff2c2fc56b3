"""Intel's JSON documents, written by the software TEE: TCB info version 3 and quoting enclave identity version 2.

A template holds every member, so a document in any bad state is a template with one field changed; what no template can say (a
float, a repeated member) is a text for `sign_document`. Source: attestation specification, sections 2.3 and 3.3.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Final

from msgspec import Struct

from tee.simulated_keys import SimulatedKey, derive_bytes

TDX_ID: Final = "TDX"
SGX_ID: Final = "SGX"
TD_QE_ID: Final = "TD_QE"
QE_ID: Final = "QE"

SIMULATED_FMSPC: Final = bytes.fromhex("ff00ff00ff00")
"""No product of Intel has this number."""
SIMULATED_QE_MRSIGNER: Final = derive_bytes("mrsigner", "quoting enclave", 32)
CURRENT_COMPONENTS: Final = (2, 2, 2, 2, 3, 1, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0)
OLD_COMPONENTS: Final = (1, 1, 2, 2, 3, 1, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0)
NEXT_COMPONENTS: Final = (3, 3, 2, 2, 4, 1, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0)
CURRENT_PCE_SVN: Final = 11
OLD_PCE_SVN: Final = 5
CURRENT_TDX_SVN: Final = bytes((8, 1, 3)) + bytes(13)
"""Module 1 at minor version 8, platform component 3."""
OLD_TDX_SVN: Final = bytes((4, 1, 2)) + bytes(13)
NEXT_TDX_SVN: Final = bytes((9, 1, 4)) + bytes(13)
CURRENT_QE_SVN: Final = 4
OLD_QE_SVN: Final = 2

CURRENT_DATE_S: Final = 1_748_736_000
"""2025-06-01T00:00:00Z: date of the levels that are up to date."""
OLD_DATE_S: Final = 1_704_067_200
"""2024-01-01T00:00:00Z."""
RECOVERY_DATE_S: Final = 1_767_225_600
"""2026-01-01T00:00:00Z: date of the level that a TCB recovery adds."""
PLATFORM_ADVISORY: Final = "INTEL-SA-90001"
MODULE_ADVISORY: Final = "INTEL-SA-90002"
QE_ADVISORY: Final = "INTEL-SA-90003"
RECOVERY_ADVISORY: Final = "INTEL-SA-90004"

QE_ATTRIBUTES_MASK: Final = bytes.fromhex("FBFFFFFFFFFFFFFF0000000000000000")
"""Mask that Intel gives for the attributes of its quoting enclaves."""


class PlatformLevelTemplate(Struct, frozen=True, kw_only=True):
    """One level of a TCB info."""

    components: tuple[int, ...] = CURRENT_COMPONENTS
    pce_svn: int = CURRENT_PCE_SVN
    tdx_components: tuple[int, ...] = (8, 0, 3, *(0,) * 13)
    """Written in documents for TDX only."""
    date_s: int = CURRENT_DATE_S
    status: str = "UpToDate"
    advisories: tuple[str, ...] = ()


class SvnLevelTemplate(Struct, frozen=True, kw_only=True):
    """One level of a TDX module or of a quoting enclave."""

    svn: int
    date_s: int = CURRENT_DATE_S
    status: str = "UpToDate"
    advisories: tuple[str, ...] = ()


class ModuleTemplate(Struct, frozen=True, kw_only=True):
    """One identity of a TDX module."""

    id: str = "TDX_01"
    mr_signer: bytes = bytes(48)
    attributes: bytes = bytes(8)
    mask: bytes = b"\xff" * 8
    levels: tuple[SvnLevelTemplate, ...] = (
        SvnLevelTemplate(svn=8),
        SvnLevelTemplate(svn=4, date_s=OLD_DATE_S, status="OutOfDate", advisories=(MODULE_ADVISORY,)),
    )


_OLD_LEVEL: Final = PlatformLevelTemplate(
    components=OLD_COMPONENTS,
    pce_svn=OLD_PCE_SVN,
    tdx_components=(4, 0, 2, *(0,) * 13),
    date_s=OLD_DATE_S,
    status="OutOfDate",
    advisories=(PLATFORM_ADVISORY,),
)
CURRENT_LEVELS: Final = (PlatformLevelTemplate(), _OLD_LEVEL)
"""The simulated platform up to date, and one TCB recovery earlier."""
RECOVERY_LEVELS: Final = (
    PlatformLevelTemplate(components=NEXT_COMPONENTS, tdx_components=(9, 0, 4, *(0,) * 13), date_s=RECOVERY_DATE_S),
    PlatformLevelTemplate(status="OutOfDate", advisories=(RECOVERY_ADVISORY,)),
    _OLD_LEVEL,
)
"""One TCB recovery later: what was up to date is so no more."""


class TcbInfoTemplate(Struct, frozen=True, kw_only=True):
    """What a TCB info says, and who signs it."""

    issue_s: int
    next_update_s: int
    id: str = TDX_ID
    version: int = 3
    fmspc: bytes = SIMULATED_FMSPC
    pce_id: bytes = bytes(2)
    tcb_type: int = 0
    number: int = 20
    """tcbEvaluationDataNumber."""
    module: ModuleTemplate | None = ModuleTemplate()
    """tdxModule, without id and levels; absent in documents for SGX."""
    modules: tuple[ModuleTemplate, ...] = (ModuleTemplate(),)
    levels: tuple[PlatformLevelTemplate, ...] = CURRENT_LEVELS
    signed_by: str = "tcb signer"


class QeIdentityTemplate(Struct, frozen=True, kw_only=True):
    """What an identity of a quoting enclave says, and who signs it."""

    issue_s: int
    next_update_s: int
    id: str = TD_QE_ID
    version: int = 2
    number: int = 20
    misc_select: bytes = bytes(4)
    misc_select_mask: bytes = b"\xff" * 4
    attributes: bytes = b"\x11" + bytes(15)
    attributes_mask: bytes = QE_ATTRIBUTES_MASK
    mr_signer: bytes = SIMULATED_QE_MRSIGNER
    prod_id: int = 2
    levels: tuple[SvnLevelTemplate, ...] = (
        SvnLevelTemplate(svn=CURRENT_QE_SVN),
        SvnLevelTemplate(svn=OLD_QE_SVN, date_s=OLD_DATE_S, status="OutOfDate", advisories=(QE_ADVISORY,)),
    )
    signed_by: str = "tcb signer"


def write_tcb_info(template: TcbInfoTemplate) -> bytes:
    """Return the object that is signed, compact, with the members in Intel's order."""
    is_tdx = template.id == TDX_ID
    members: dict[str, object] = {
        "id": template.id,
        "version": template.version,
        "issueDate": _time(template.issue_s),
        "nextUpdate": _time(template.next_update_s),
        "fmspc": template.fmspc.hex(),
        "pceId": template.pce_id.hex(),
        "tcbType": template.tcb_type,
        "tcbEvaluationDataNumber": template.number,
    }
    if is_tdx and template.module is not None:
        members["tdxModule"] = _module_members(template.module)
    if is_tdx and template.modules:
        members["tdxModuleIdentities"] = [
            {"id": module.id, **_module_members(module), "tcbLevels": [_svn_level(level) for level in module.levels]}
            for module in template.modules
        ]
    members["tcbLevels"] = [_platform_level(level, is_tdx=is_tdx) for level in template.levels]
    return _compact(members)


def write_qe_identity(template: QeIdentityTemplate) -> bytes:
    """Return the object that is signed, compact, with the members in Intel's order."""
    return _compact(
        {
            "id": template.id,
            "version": template.version,
            "issueDate": _time(template.issue_s),
            "nextUpdate": _time(template.next_update_s),
            "tcbEvaluationDataNumber": template.number,
            "miscselect": template.misc_select.hex(),
            "miscselectMask": template.misc_select_mask.hex(),
            "attributes": template.attributes.hex(),
            "attributesMask": template.attributes_mask.hex(),
            "mrsigner": template.mr_signer.hex(),
            "isvprodid": template.prod_id,
            "tcbLevels": [_svn_level(level) for level in template.levels],
        }
    )


def sign_document(member: str, signed: bytes, key: SimulatedKey) -> bytes:
    """Return an answer of Intel's service: the object under `tcbInfo` or `enclaveIdentity`, byte for byte, and its signature."""
    return b'{"%s":%s,"signature":"%s"}' % (member.encode(), signed, key.sign_raw(signed).hex().encode())


def _module_members(module: ModuleTemplate) -> dict[str, object]:
    return {
        "mrsigner": module.mr_signer.hex(),
        "attributes": module.attributes.hex(),
        "attributesMask": module.mask.hex(),
    }


def _platform_level(level: PlatformLevelTemplate, *, is_tdx: bool) -> dict[str, object]:
    tcb: dict[str, object] = {"sgxtcbcomponents": [{"svn": svn} for svn in level.components], "pcesvn": level.pce_svn}
    if is_tdx:
        tcb["tdxtcbcomponents"] = [{"svn": svn} for svn in level.tdx_components]
    return {"tcb": tcb, **_verdict(level)}


def _svn_level(level: SvnLevelTemplate) -> dict[str, object]:
    return {"tcb": {"isvsvn": level.svn}, **_verdict(level)}


def _verdict(level: PlatformLevelTemplate | SvnLevelTemplate) -> dict[str, object]:
    """Return the members that all levels share; Intel leaves the list out where it would be empty."""
    verdict: dict[str, object] = {"tcbDate": _time(level.date_s), "tcbStatus": level.status}
    if level.advisories:
        verdict["advisoryIDs"] = list(level.advisories)
    return verdict


def _time(time_s: int) -> str:
    return datetime.fromtimestamp(time_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _compact(members: dict[str, object]) -> bytes:
    return json.dumps(members, separators=(",", ":")).encode()
