"""Proposals as people write them: TOML by the names that nodes show, and templates of it with comments.

    title = "Cheaper transactions"
    deposit = "100"

    [payload]
    kind = "change_params"

    [payload.fees]
    base = 500

What a change of parameters or rules does not name stays as it is at present. Bytes are hex, or an address or the name of a key;
money is written as on the command line; enumerations are lower-case names; what may be absent is left out.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from enum import Enum, IntEnum
from types import NoneType, UnionType
from typing import Any, Final, Union, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Struct

from bocc.amounts import parse_amount
from bocc.errors import InputReason, InputRejected
from state.address import bech32m_decode
from state.governance_messages import ChangeParams, Payload, Propose, SetRules
from state.messages import message_name
from state.params import Params
from state.trust_records import AppraisalRules

Json = Any  # documents nest freely; `_unname` checks them against the wire types
FindAddress = Callable[[str], bytes]
"""Finds the address behind the name of a key; raises InputRejected for a name that is unknown."""

PAYLOADS: Final[Mapping[str, type[Payload]]] = {message_name(each): each for each in get_args(Payload)}
"""Kinds of change by name."""
_MONEY_NAMES: Final = frozenset({"amount", "deposit"})


class Present(Struct, frozen=True):
    """What a proposal changes parts of."""

    params: Params
    rules: AppraisalRules


def parse_proposal(document: bytes, present: Present, find_address: FindAddress) -> Propose:
    """Return the message of a document.

    Raises:
        InputRejected: BAD_PROPOSAL, BAD_AMOUNT, AMOUNT_TOO_LARGE, and what find_address raises.
        AddressRejected: something looks like an address and is none.
    """
    try:
        named = tomllib.loads(document.decode())
        payload = named.get("payload")
        if isinstance(payload, dict):
            named["payload"] = _complete(payload, present)
        return msgspec.convert(_unname(Propose, named, "", find_address), Propose)
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise _bad(str(error)) from error


def name_fields(wire: Json) -> Json:
    """Return a wire value as a document spells it; what is absent is left out."""
    if isinstance(wire, Struct):
        fields = ((name, getattr(wire, name)) for name in wire.__struct_fields__)
        return {name: name_fields(value) for name, value in fields if value is not None}
    if isinstance(wire, tuple):
        return [name_fields(item) for item in wire]
    if isinstance(wire, IntEnum):
        return wire.name.lower()
    if isinstance(wire, bytes):
        return wire.hex()
    return wire.value if isinstance(wire, Enum) else wire


def _complete(payload: dict[str, Json], present: Present) -> dict[str, Json]:
    """Return a payload whose groups have all their members: those that are not given are the present ones."""
    match PAYLOADS.get(str(payload.get("kind"))):
        case kind if kind is ChangeParams:
            before = name_fields(present.params)
            return {name: _merge(before.get(name), given) for name, given in payload.items()}
        case kind if kind is SetRules:
            return {**payload, "rules": _merge(name_fields(present.rules), payload.get("rules", {}))}
    return payload


def _merge(before: Json, given: Json) -> Json:
    if isinstance(before, dict) and isinstance(given, dict):
        return {**before, **{name: _merge(before.get(name), value) for name, value in given.items()}}
    return given


def _unname(wire_type: Json, named: Json, path: str, find_address: FindAddress) -> Json:
    """Return what msgspec converts to a type, for a value that a document names; the path is for people."""
    origin: object = get_origin(wire_type)
    if origin in {Union, UnionType}:
        return _unname_union(get_args(wire_type), named, path, find_address)
    if origin is tuple:
        if not isinstance(named, list):
            raise _bad(f"{path}: a list is needed")
        item_type = get_args(wire_type)[0]
        return [_unname(item_type, item, f"{path}[{index}]", find_address) for index, item in enumerate(named)]
    if not isinstance(wire_type, type):
        return named
    if issubclass(wire_type, Struct):
        return _unname_struct(wire_type, named, path, find_address)
    if issubclass(wire_type, IntEnum):
        return _member(wire_type, named, path)
    if issubclass(wire_type, bytes):
        return _parse_bytes(named, path, find_address)
    is_money = wire_type is int and path.rpartition(".")[2] in _MONEY_NAMES
    return parse_amount(str(named)) if is_money else named


def _unname_struct(wire_type: type[Struct], named: Json, path: str, find_address: FindAddress) -> list[Json]:
    if not isinstance(named, dict):
        raise _bad(f"{path or 'document'}: a table is needed")
    types = get_type_hints(wire_type)
    names = wire_type.__struct_fields__
    tag = wire_type.__struct_config__.tag
    unknown = sorted(named.keys() - set(names) - ({"kind"} if tag is not None else set()))
    if unknown:
        raise _bad(f"{path or 'document'}: unknown {' '.join(unknown)}; known are {' '.join(names)}")
    missing = [name for name in names if name not in named and NoneType not in get_args(types[name])]
    if missing:
        raise _bad(f"{path or 'document'}: without {' '.join(missing)}")
    fields = [_unname(types[name], named.get(name), f"{path}.{name}" if path else name, find_address) for name in names]
    return fields if tag is None else [tag, *fields]


def _unname_union(members: tuple[Json, ...], named: Json, path: str, find_address: FindAddress) -> Json:
    """Return a value of a union: nothing, or the struct that `kind` names, or the one type beside nothing."""
    if named is None and NoneType in members:
        return None
    present = [member for member in members if member is not NoneType]
    if len(present) == 1:
        return _unname(present[0], named, path, find_address)
    kinds = {message_name(member): member for member in present}
    kind = str(named.get("kind")) if isinstance(named, dict) else ""
    if kind not in kinds:
        raise _bad(f"{path}.kind: one of {' '.join(kinds)} is needed")
    return _unname(kinds[kind], named, path, find_address)


def _member(enumeration: type[IntEnum], named: Json, path: str) -> int:
    names = {member.name.lower(): member.value for member in enumeration}
    if not isinstance(named, str) or named not in names:
        raise _bad(f"{path}: one of {' '.join(names)} is needed")
    return names[named]


def _parse_bytes(named: Json, path: str, find_address: FindAddress) -> bytes:
    """Return the bytes of hex, of an address of any kind, or of the address of a key."""
    if not isinstance(named, str):
        raise _bad(f"{path}: hex or an address is needed, in quotes")
    try:
        return bytes.fromhex(named)
    except ValueError:
        is_address = named.startswith("bocc") and "1" in named
        return bech32m_decode(named)[1] if is_address else find_address(named)


def _bad(seen: str) -> InputRejected:
    return InputRejected(InputReason.BAD_PROPOSAL, seen)
