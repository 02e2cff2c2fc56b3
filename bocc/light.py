"""The light client: facts about the chain, checked offline from the genesis alone.

`verify_file` takes a proof bundle as it is, or an answer of a node that has one in its member `proof`. What it returns comes from
the verified bytes, never from what stands beside them. The rules are in state/proof_bundle.py.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from state import governance_records, order_records, records, resource_records, trust_records
from state.address import AddressRejected, format_address
from state.genesis import Genesis
from state.ledger import Table
from state.messages import message_name
from state.proof_bundle import (
    BUNDLE_BYTES_MAX,
    BundleReason,
    BundleRejected,
    VerifiedFact,
    VerifiedState,
    VerifiedTransaction,
    parse_bundle,
    verify_bundle,
)
from state.transactions import Body

_ADDRESS_BYTES: Final = 21
_WRAPPERS: Final = ("result", "proof")
"""Members of an answer inside of which a bundle may stand, outermost first."""
_TABLES: Final = {
    table.prefix: (name.lower(), table)
    for module in (records, resource_records, trust_records, order_records, governance_records)
    for name, table in vars(module).items()
    if type(table) is Table
}


def verify_file(content: bytes, genesis: Genesis) -> VerifiedFact:
    """Return the fact that a file proves on the chain of this genesis.

    Raises:
        Rejected: BundleRejected, or another rejection of a record, certificate or tree proof inside.
    """
    return verify_bundle(parse_bundle(extract_bundle(content)), genesis)


def extract_bundle(content: bytes) -> bytes:
    """Return the JSON of the proof in a file: the file itself, or what stands under `proof` in an answer of a node.

    Raises:
        BundleRejected: BAD_FILE.
    """
    if len(content) > BUNDLE_BYTES_MAX:
        raise BundleRejected(BundleReason.BAD_FILE, f"{len(content)} bytes", BUNDLE_BYTES_MAX)
    for member in _WRAPPERS:
        try:
            document = msgspec.json.decode(content, type=dict[str, msgspec.Raw])
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise BundleRejected(BundleReason.BAD_FILE, str(error)) from error
        if "format" not in document and member in document:
            content = bytes(document[member])
    return content


def describe_fact(fact: VerifiedFact) -> dict[str, Any]:
    """Return a verified fact as JSON: bytes in hex, addresses bech32m, money as integers of ubocc."""
    block = {"block_hash": fact.block_hash.hex(), "height": fact.height, "time_ms": fact.time_ms}
    match fact:
        case VerifiedState():
            return {"kind": "state", **block, **_describe_state(fact)}
        case VerifiedTransaction():
            return {
                "kind": "transaction",
                **block,
                "index": fact.index,
                "tx_id": fact.transaction.tx_id.hex(),
                "receipt": describe_record(fact.receipt),
                "body": _describe_body(fact.transaction.body),
            }


def _describe_state(fact: VerifiedState) -> dict[str, Any]:
    """Return key and record of a state fact, decoded if this version knows the table."""
    described: dict[str, Any] = {"key": fact.key.hex(), "value": None if fact.value is None else fact.value.hex()}
    if fact.key[:1] in _TABLES:
        name, table = _TABLES[fact.key[:1]]
        described |= {"table": name, "id": describe_record(fact.key[1:])}
        described["record"] = None if fact.value is None else describe_record(table.codec.decode(fact.value))
    return described


def _describe_body(body: Body) -> dict[str, Any]:
    kinds = [message_name(type(message)) for message in body.messages]
    described: dict[str, Any] = describe_record(body)
    for message, kind in zip(described["messages"], kinds, strict=True):
        message["kind"] = kind
    return described


def describe_record(wire: Any) -> Any:
    """Return a record, or a value inside of one, as JSON by name. Any: fields of all records."""
    if isinstance(wire, msgspec.Struct):
        return {name: describe_record(getattr(wire, name)) for name in wire.__struct_fields__}
    if isinstance(wire, tuple):
        return [describe_record(item) for item in wire]
    if isinstance(wire, bytes):
        return _describe_bytes(wire)
    return wire


def _describe_bytes(raw: bytes) -> str:
    if len(raw) == _ADDRESS_BYTES:
        try:
            return format_address(raw)
        except (ValueError, AddressRejected):
            return raw.hex()
    return raw.hex()
