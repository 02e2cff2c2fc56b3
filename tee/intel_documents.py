"""Formats of Intel's signed JSON: TCB info version 3 and QE identity version 2, read into what a chain stores.

Unknown members are passed over; a word or number outside its range refuses the document. Levels are sorted here, so no later code
depends on the order in which Intel sent them.

Source: specification of attestation, sections 2.3 and 3.3.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

from msgspec import Struct

from tee.claims import TcbStatus
from tee.documents import CollateralKind, IntelTee, ModuleIdentity, QeIdentity, SvnLevel, TcbInfo, TcbLevel
from tee.strict_json import JsonError, read_hex, read_integer, read_list, read_object, read_text, read_time

LEVELS_MAX: Final = 256
"""Most levels of one list; Intel's longest has some twenty."""
MODULES_MAX: Final = 32
ADVISORIES_MAX: Final = 256
"""Most distinct advisories of a document, so that a position fits one byte; Intel's longest names some forty."""
ADVISORY_CHARACTERS_MAX: Final = 32
NUMBER_MAX: Final = (1 << 32) - 1
COMPONENTS: Final = 16

_PLATFORM_STATUSES: Final = {
    "UpToDate": TcbStatus.UP_TO_DATE,
    "SWHardeningNeeded": TcbStatus.SW_HARDENING_NEEDED,
    "ConfigurationNeeded": TcbStatus.CONFIGURATION_NEEDED,
    "ConfigurationAndSWHardeningNeeded": TcbStatus.CONFIGURATION_AND_SW_HARDENING_NEEDED,
    "OutOfDate": TcbStatus.OUT_OF_DATE,
    "OutOfDateConfigurationNeeded": TcbStatus.OUT_OF_DATE_CONFIGURATION_NEEDED,
    "Revoked": TcbStatus.REVOKED,
}
_SVN_STATUSES: Final = {word: _PLATFORM_STATUSES[word] for word in ("UpToDate", "OutOfDate", "Revoked")}
_MODULE_ID: Final = re.compile(r"TDX_([0-9A-Fa-f]{2})", re.ASCII)
_ADVISORY: Final = re.compile(r"[!-~]+", re.ASCII)

_Members = dict[str, Any]  # Values of JSON, each of which one of the readers checks.
_Value = TypeVar("_Value")


class Vouching(Struct, frozen=True, kw_only=True, gc=False):
    """Which root vouches for a document, and when all certificates between are valid, both ends included."""

    root: bytes
    """SHA-256 of the root certificate."""
    signer_serial: bytes
    """Big endian, minimal, unsigned."""
    valid_from_s: int
    valid_until_s: int


class _Advisories:
    """The advisories of one document in the order of their first mention."""

    def __init__(self) -> None:
        self._positions: dict[str, int] = {}

    def names(self) -> tuple[str, ...]:
        return tuple(self._positions)

    def add(self, listed: object) -> bytes:
        """Read the optional list of a level; return the positions of its entries, ascending."""
        entries = [] if listed is None else read_list(listed, ADVISORIES_MAX)
        positions: set[int] = set()
        for entry in entries:
            name = read_text(entry, ADVISORY_CHARACTERS_MAX)
            if _ADVISORY.fullmatch(name) is None:
                raise JsonError("the name of an advisory is empty, or not printable ASCII without spaces")
            positions.add(self._positions.setdefault(name, len(self._positions)))
        if len(self._positions) > ADVISORIES_MAX:
            raise JsonError(f"more than {ADVISORIES_MAX} advisories")
        return bytes(sorted(positions))


def read_tcb_info(members: _Members, vouching: Vouching) -> TcbInfo:
    """Read the object `tcbInfo`.

    Raises:
        JsonError: another format.
    """
    tee = _read_word(members.get("id"), {"SGX": IntelTee.SGX, "TDX": IntelTee.TDX})
    _check_version(members, 3)
    if read_integer(members.get("tcbType"), NUMBER_MAX) != 0:
        raise JsonError("a kind of TCB whose components have another meaning")
    advisories = _Advisories()
    levels = [
        _read_platform_level(read_object(level), tee, advisories)
        for level in read_list(members.get("tcbLevels"), LEVELS_MAX)
    ]
    modules = _read_modules(members, advisories) if tee is IntelTee.TDX else ()
    issued_s, next_update_s = read_time(members.get("issueDate")), read_time(members.get("nextUpdate"))
    return TcbInfo(
        kind=CollateralKind.INTEL_TCB_INFO,
        root=vouching.root,
        issued_s=issued_s,
        next_update_s=next_update_s,
        valid_from_s=max(issued_s, vouching.valid_from_s),
        valid_until_s=min(next_update_s, vouching.valid_until_s),
        tee=tee,
        fmspc=read_hex(members.get("fmspc"), 6),
        pce_id=read_hex(members.get("pceId"), 2),
        signer_serial=vouching.signer_serial,
        number=read_integer(members.get("tcbEvaluationDataNumber"), NUMBER_MAX),
        advisories=advisories.names(),
        levels=_sort_distinct(levels, lambda level: (level.sgx_components, level.pce_svn, level.tdx_components)),
        modules=modules,
    )


def read_qe_identity(members: _Members, vouching: Vouching) -> QeIdentity:
    """Read the object `enclaveIdentity`, of a quoting enclave for SGX or TDX.

    Raises:
        JsonError: another format.
    """
    _check_version(members, 2)
    advisories = _Advisories()
    levels = _read_svn_levels(members, 0xFFFF, advisories)
    issued_s, next_update_s = read_time(members.get("issueDate")), read_time(members.get("nextUpdate"))
    return QeIdentity(
        kind=CollateralKind.INTEL_QE_IDENTITY,
        root=vouching.root,
        issued_s=issued_s,
        next_update_s=next_update_s,
        valid_from_s=max(issued_s, vouching.valid_from_s),
        valid_until_s=min(next_update_s, vouching.valid_until_s),
        tee=_read_word(members.get("id"), {"QE": IntelTee.SGX, "TD_QE": IntelTee.TDX}),
        signer_serial=vouching.signer_serial,
        number=read_integer(members.get("tcbEvaluationDataNumber"), NUMBER_MAX),
        misc_select=int.from_bytes(read_hex(members.get("miscselect"), 4), "little"),
        misc_select_mask=int.from_bytes(read_hex(members.get("miscselectMask"), 4), "little"),
        attributes=read_hex(members.get("attributes"), 16),
        attributes_mask=read_hex(members.get("attributesMask"), 16),
        mr_signer=read_hex(members.get("mrsigner"), 32),
        isv_prod_id=read_integer(members.get("isvprodid"), 0xFFFF),
        advisories=advisories.names(),
        levels=levels,
    )


def _check_version(members: _Members, version: int) -> None:
    if read_integer(members.get("version"), NUMBER_MAX) != version:
        raise JsonError(f"not a document of version {version}")


def _read_word(value: object, words: Mapping[str, _Value]) -> _Value:
    """Return what one of the known words stands for."""
    meaning = words.get(value) if isinstance(value, str) else None
    if meaning is None:
        raise JsonError(f"not one of the words {', '.join(words)}")
    return meaning


def _read_platform_level(level: _Members, tee: IntelTee, advisories: _Advisories) -> TcbLevel:
    versions = read_object(level.get("tcb"))
    return TcbLevel(
        sgx_components=_read_components(versions.get("sgxtcbcomponents")),
        pce_svn=read_integer(versions.get("pcesvn"), 0xFFFF),
        tdx_components=_read_components(versions.get("tdxtcbcomponents")) if tee is IntelTee.TDX else b"",
        status=_read_word(level.get("tcbStatus"), _PLATFORM_STATUSES),
        date_s=read_time(level.get("tcbDate")),
        advisories=advisories.add(level.get("advisoryIDs")),
    )


def _read_components(value: object) -> bytes:
    components = read_list(value, COMPONENTS)
    if len(components) != COMPONENTS:
        raise JsonError(f"{len(components)} components where {COMPONENTS} belong")
    return bytes([read_integer(read_object(component).get("svn"), 0xFF) for component in components])


def _read_modules(members: _Members, advisories: _Advisories) -> tuple[ModuleIdentity, ...]:
    """Read the identities of TDX modules; that of platforms without versioned modules, which must be there, is version 0."""
    modules = [_read_module(0, read_object(members.get("tdxModule")), ())]
    identities = members.get("tdxModuleIdentities")
    for entry in [] if identities is None else read_list(identities, MODULES_MAX):
        identity = read_object(entry)
        match = _MODULE_ID.fullmatch(read_text(identity.get("id"), 6))
        if match is None:
            raise JsonError("a module's id is not TDX_ and two hex digits")
        version = int(match[1], 16)
        if version == 0:
            raise JsonError("a module's id is that of platforms without versioned modules")
        modules.append(_read_module(version, identity, _read_svn_levels(identity, 0xFF, advisories)))
    versions = [module.major_version for module in modules]
    if len(set(versions)) != len(versions):
        raise JsonError("a module's id repeats")
    return tuple(sorted(modules, key=lambda module: module.major_version))


def _read_module(major_version: int, identity: _Members, levels: tuple[SvnLevel, ...]) -> ModuleIdentity:
    # The mask is read for its form only: the attributes of a genuine module are zero, mask or not.
    read_hex(identity.get("attributesMask"), 8)
    return ModuleIdentity(
        major_version, read_hex(identity.get("mrsigner"), 48), read_hex(identity.get("attributes"), 8), levels
    )


def _read_svn_levels(members: _Members, svn_max: int, advisories: _Advisories) -> tuple[SvnLevel, ...]:
    levels = [
        SvnLevel(
            isv_svn=read_integer(read_object(level.get("tcb")).get("isvsvn"), svn_max),
            status=_read_word(level.get("tcbStatus"), _SVN_STATUSES),
            date_s=read_time(level.get("tcbDate")),
            advisories=advisories.add(level.get("advisoryIDs")),
        )
        for level in map(read_object, read_list(members.get("tcbLevels"), LEVELS_MAX))
    ]
    return _sort_distinct(levels, lambda level: level.isv_svn)


def _sort_distinct(levels: list[_Value], key: Callable[[_Value], Any]) -> tuple[_Value, ...]:
    """Return levels from the highest to the lowest; there is one at least, and no two have the same versions."""
    keys = {key(level) for level in levels}
    if not levels or len(keys) != len(levels):
        raise JsonError("a list of levels is empty, or two levels have the same versions")
    return tuple(sorted(levels, key=key, reverse=True))
