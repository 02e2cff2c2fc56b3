"""The genesis as a JSON file for people.

Addresses are bech32m, money decimal strings of ubocc, keys and the salt lower-case hex, times integers of milliseconds, and
parameters objects by name. Nothing may be missing and nothing unknown. Spaces and the order of members do not matter; the chain
id comes from the parsed values.
"""

from __future__ import annotations

from typing import Any, Final, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Struct

from state.address import AddressRejected, format_address, parse_address
from state.codec import Wire
from state.genesis import Genesis, GenesisReason, GenesisRejected, check_genesis
from state.params import Params

GENESIS_FILE_BYTES_MAX: Final = 16 << 20

Json = Any  # JSON of parameters nests objects, lists and integers; `_unname` checks it against the wire types


class _AccountEntry(Struct, frozen=True, forbid_unknown_fields=True):
    address: str
    balance: str


class _ValidatorEntry(Struct, frozen=True, forbid_unknown_fields=True):
    operator: str
    consensus_key: str
    stake: str


class _GenesisEntry(Struct, frozen=True, forbid_unknown_fields=True):
    chain_name: str
    development: bool
    salt: str
    time_ms: int
    params: dict[str, Json]
    simulated_roots: list[str]
    treasury: str
    accounts: list[_AccountEntry]
    validators: list[_ValidatorEntry]


def parse_genesis(text: bytes) -> Genesis:
    """Return the sound genesis of a file.

    Raises:
        GenesisRejected: any reason.
        ParamsRejected: the parameters do not fit each other.
    """
    if len(text) > GENESIS_FILE_BYTES_MAX:
        raise GenesisRejected(GenesisReason.BAD_FILE, f"{len(text)} bytes", GENESIS_FILE_BYTES_MAX)
    try:
        entry = msgspec.json.decode(text, type=_GenesisEntry)
        genesis = _genesis_of(entry)
    except (msgspec.MsgspecError, ValueError, RecursionError, AddressRejected) as error:
        raise GenesisRejected(GenesisReason.BAD_FILE, str(error)) from error
    check_genesis(genesis)
    return genesis


def format_genesis(genesis: Genesis) -> bytes:
    """Return the file of a genesis, indented, with a final newline."""
    entry = _GenesisEntry(
        chain_name=genesis.chain_name,
        development=genesis.development,
        salt=genesis.salt.hex(),
        time_ms=genesis.time_ms,
        params=_name(genesis.params),
        simulated_roots=[der.hex() for der in genesis.simulated_roots],
        treasury=str(genesis.treasury),
        accounts=[_AccountEntry(format_address(account.address), str(account.balance)) for account in genesis.accounts],
        validators=[
            _ValidatorEntry(format_address(validator.operator), validator.consensus_key.hex(), str(validator.stake))
            for validator in genesis.validators
        ],
    )
    return msgspec.json.format(msgspec.json.encode(entry), indent=2) + b"\n"


def _genesis_of(entry: _GenesisEntry) -> Genesis:
    """Convert texts to values; msgspec then checks every bound."""
    wire = [
        entry.chain_name,
        entry.development,
        bytes.fromhex(entry.salt),
        entry.time_ms,
        _unname(Params, entry.params),
        [bytes.fromhex(der) for der in entry.simulated_roots],
        _amount(entry.treasury),
        [[parse_address(account.address), _amount(account.balance)] for account in entry.accounts],
        [
            [parse_address(validator.operator), bytes.fromhex(validator.consensus_key), _amount(validator.stake)]
            for validator in entry.validators
        ],
    ]
    return msgspec.convert(wire, Genesis, strict=True)


def _amount(text: str) -> int:
    """Return the integer of a decimal text without sign, spaces or leading zeros."""
    if not (text.isascii() and text.isdigit() and str(int(text)) == text):
        raise ValueError(f"not an amount in ubocc: {text[:40]!r}")
    return int(text)


def _name(wire: Json) -> Json:
    """Return a wire value with its structs as objects by name."""
    if isinstance(wire, Wire):
        return {name: _name(getattr(wire, name)) for name in wire.__struct_fields__}
    return [_name(item) for item in wire] if isinstance(wire, tuple) else wire


def _unname(wire_type: Json, named: Json) -> Json:
    """Return the array form of an object by name, for a type made of structs, tuples of structs and plain values."""
    if isinstance(wire_type, type) and issubclass(wire_type, Wire):
        types = get_type_hints(wire_type)
        if not isinstance(named, dict) or named.keys() != types.keys():
            seen = sorted(named.keys() ^ types.keys()) if isinstance(named, dict) else named
            raise ValueError(f"{wire_type.__name__}: missing or unknown {seen}")
        return [_unname(types[name], named[name]) for name in wire_type.__struct_fields__]
    origin: object = get_origin(wire_type)
    if origin is tuple and isinstance(named, list):
        return [_unname(get_args(wire_type)[0], item) for item in named]
    return named
