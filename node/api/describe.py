"""Wire values as JSON: one rule for every record, message and event.

Bytes are lower-case hex, those that are an address bech32m; money is a decimal string of ubocc; enumerations are lower-case names;
other integers stay integers, or become decimal strings above 2^53. Absent bytes are null. Structs become objects by field name.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum, IntEnum
from typing import Any, Final

import msgspec

from state.address import ADDRESS_BYTES, VALIDATOR_PREFIX, AddressKind, format_address
from state.messages import Message, message_name
from state.receipts import TEXT_ATTRIBUTES, Attribute
from state.trust_messages import Publish, PutCollateral
from tee.documents import CollateralKind
from tee.evidence import EvidenceKind

JSON_INTEGER_MAX: Final = (1 << 53) - 1
MONEY_NAMES: Final = frozenset(
    {"amount", "deposit", "fee", "held", "penalty", "penalty_max", "price", "price_max", "refund", "reward"}
)
"""Names of fields of messages and attributes of events that are money."""
_VALIDATOR_NAMES: Final = frozenset({"validator"})
"""Names of fields and attributes whose address names a validator."""
_OTHER_NAMES: Final = {(Publish, "kind"): "resource_kind", (PutCollateral, "kind"): "collateral_kind"}
"""Fields of messages that would hide the kind of the message itself."""
_ENUMERATIONS: Final[dict[str, type[IntEnum]]] = {
    "collateral_kind": CollateralKind,
    "kinds": EvidenceKind,
    "tee": EvidenceKind,
}
"""Names of integers that stand for something; one without a meaning in this version is shown as it is."""
_ADDRESS_KINDS: Final = frozenset(kind.value for kind in AddressKind)


def describe_address(address: bytes) -> str:
    """Return an address as people write it."""
    return format_address(address)


def describe_optional_address(address: bytes) -> str | None:
    """Return an address as people write it, or None for no bytes."""
    return describe_address(address) if address else None


def describe_validator(address: bytes) -> str:
    """Return a validator's name, its operator's address under the validators' prefix."""
    return format_address(address, VALIDATOR_PREFIX)


def describe(name: str, wire_value: object) -> Any:
    """Return the JSON of a field's value; the name says what an integer or bytes mean."""
    if isinstance(wire_value, IntEnum):
        return wire_value.name.lower()
    if isinstance(wire_value, Enum):
        return wire_value.value
    if wire_value is None or isinstance(wire_value, bool | str):
        return wire_value
    if isinstance(wire_value, int):
        if name in _ENUMERATIONS and wire_value in set(_ENUMERATIONS[name]):
            return _ENUMERATIONS[name](wire_value).name.lower()
        return str(wire_value) if name in MONEY_NAMES or wire_value > JSON_INTEGER_MAX else wire_value
    if isinstance(wire_value, bytes):
        return _describe_bytes(name, wire_value)
    if isinstance(wire_value, tuple):
        return [describe(name, part) for part in wire_value]
    assert isinstance(wire_value, msgspec.Struct), f"no JSON for {type(wire_value).__name__}"
    return describe_fields(wire_value)


def describe_fields(struct: msgspec.Struct) -> dict[str, Any]:
    """Return a struct's fields by name; one of a union comes with its kind, as a message does."""
    if struct.__struct_config__.tag is not None:
        return {"kind": message_name(type(struct)), **_fields_of(struct)}
    return _fields_of(struct)


def _fields_of(struct: msgspec.Struct) -> dict[str, Any]:
    shown = ((_OTHER_NAMES.get((type(struct), name), name), name) for name in struct.__struct_fields__)
    return {other: describe(other, getattr(struct, name)) for other, name in shown}


def describe_message(message: Message) -> dict[str, Any]:
    """Return a message's fields after its kind, which is its name in lower case."""
    return describe_fields(message)


def message_kind(message: Message) -> str:
    """Return the name of a message's type, as in `set_auth`."""
    return message_name(type(message))


def describe_attributes(attributes: Iterable[Attribute]) -> dict[str, Any]:
    """Return an event's attributes by name."""
    return {
        name: attribute.decode("ascii", "replace")
        if name in TEXT_ATTRIBUTES and isinstance(attribute, bytes)
        else describe(name, attribute)
        for name, attribute in attributes
    }


def _describe_bytes(name: str, raw: bytes) -> str | None:
    if not raw:
        return None
    if len(raw) == ADDRESS_BYTES and raw[0] in _ADDRESS_KINDS:
        return describe_validator(raw) if name in _VALIDATOR_NAMES else describe_address(raw)
    return raw.hex()
