"""Capsules of granted keys, found in the transactions that brought them: the state keeps only their digests."""

from __future__ import annotations

from hashlib import sha256
from typing import Final

from bocc.client import Client
from bocc.errors import RpcRejected
from state.address import format_address
from state.chain_history import HistoryReason
from state.order_messages import Grant
from state.order_records import OrderGrant
from state.transactions import parse_transaction

_PAGE: Final = 100


async def find_capsule(client: Client, order: bytes, line: int, grant: OrderGrant) -> bytes | None:
    """Return the capsule of a grant on record, or None if the node does not have its block any more.

    Raises:
        RpcRejected: the node refuses a call.
        NodeUnreachable: no answer after all attempts.
        Malformed: what it tells is no transaction.
    """
    try:
        block = await client.block(grant.height)
    except RpcRejected as error:
        if error.reason == HistoryReason.PRUNED:
            return None
        raise
    cursor: str | None = block["first_cursor"]
    name = format_address(order)
    while cursor is not None:
        page = await client.events(cursor, _PAGE, ["granted"])
        for event in page["events"]:
            if event["height"] > grant.height:
                return None
            told = event["attributes"]
            if (told["order"], told["line"], told["capsule_hash"]) == (name, line, grant.capsule_hash.hex()):
                tx_id = block["tx_ids"][event["tx_index"]]
                return await _capsule_in(client, tx_id, order, line, grant)
        cursor = page["cursor"] if page["has_more"] else None
    return None


async def _capsule_in(client: Client, tx_id: str, order: bytes, line: int, grant: OrderGrant) -> bytes | None:
    """Return the capsule that a transaction brought for a line."""
    told = await client.tx(tx_id)
    transaction = parse_transaction(bytes.fromhex(told["envelope"]), await client.chain_id())
    for message in transaction.body.messages:
        if not isinstance(message, Grant) or (message.order, message.line) != (order, line):
            continue
        if sha256(message.capsule).digest() == grant.capsule_hash:
            return message.capsule
    return None
