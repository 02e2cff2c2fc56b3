"""Parsing of parameters and look-ups that several handlers share."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

from node.api.context import Call
from node.api.errors import ApiReason, ErrorCode, RpcError
from node.api.views import JsonObject
from state.address import HUMAN_PREFIX, VALIDATOR_PREFIX, AddressKind, parse_address
from state.chain import Chain
from state.chain_views import StoredBlock
from state.ledger import RecordType, Table

NUMBER_CHARS_MAX: Final = 16

NumberCursor = Annotated[str, Meta(max_length=NUMBER_CHARS_MAX)]
"""A cursor that is a number in a list."""


def parse_hex(text: str) -> bytes:
    """Return the bytes of lower-case hex.

    Raises:
        RpcError: INVALID_PARAMS, BAD_HEX.
    """
    try:
        raw = bytes.fromhex(text)
    except ValueError as error:
        raise RpcError(ErrorCode.INVALID_PARAMS, ApiReason.BAD_HEX, text, "lower-case hex") from error
    if raw.hex() != text:
        raise RpcError(ErrorCode.INVALID_PARAMS, ApiReason.BAD_HEX, text, "lower-case hex")
    return raw


def parse_account(text: str) -> bytes:
    """Return the 21 bytes of an account's address, or of the account behind a validator's name.

    Raises:
        AddressRejected: it is neither.
    """
    prefix = VALIDATOR_PREFIX if text.startswith(VALIDATOR_PREFIX + "1") else "bocc"
    return parse_address(text, prefix)


class StateAt(Struct, frozen=True):
    """The state after a final height."""

    chain: Chain
    height: int

    def find(self, table: Table[RecordType], key: bytes) -> RecordType | None:
        """Return a record.

        Raises:
            HistoryRejected: PRUNED, FUTURE.
        """
        if self.height == self.chain.tip.block.height:
            return self.chain.ledger.find(table, key)
        encoded = self.chain.value_at(table.raw_key(key), self.height)
        return None if encoded is None else table.codec.decode(encoded)


def state_at(chain: Chain, height: int | None) -> StateAt:
    """Return the state after a height, the newest if None."""
    return StateAt(chain, chain.tip.block.height if height is None else height)


def get_block(chain: Chain, height: int | None, block_hash: str | None) -> StoredBlock:
    """Return a final block by height or hash, the newest without either.

    Raises:
        RpcError: NOT_FOUND, UNKNOWN_BLOCK; INVALID_PARAMS for both at once.
        HistoryRejected: PRUNED, FUTURE.
    """
    if block_hash is not None:
        if height is not None:
            raise RpcError(ErrorCode.INVALID_PARAMS, ApiReason.BAD_PARAMS, "height and hash", "one of them")
        block = chain.views.block_by_hash(parse_hex(block_hash))
        if block is None:
            raise RpcError(ErrorCode.NOT_FOUND, ApiReason.UNKNOWN_BLOCK, block_hash)
        return block
    height = chain.tip.block.height if height is None else height
    if height == 0:
        raise RpcError(ErrorCode.NOT_FOUND, ApiReason.UNKNOWN_BLOCK, height, "1, as the genesis is no block")
    return chain.views.block_by_height(height)


def parse_kind(text: str, kind: AddressKind) -> bytes:
    """Return the 21 bytes of an address of this kind.

    Raises:
        AddressRejected: it is another one, or none.
    """
    return parse_address(text, HUMAN_PREFIX[kind], kind)


def prove(call: Call, table: Table[RecordType], key: bytes) -> JsonObject:
    """Return the bundle that proves a record, or its absence, after the newest block."""
    proof: JsonObject = msgspec.to_builtins(call.proofs.prove_state(table.raw_key(key), None).bundle)
    return proof


def parse_number_cursor(text: str | None) -> int | None:
    """Return the number that a cursor stands for.

    Raises:
        RpcError: INVALID_PARAMS, BAD_CURSOR.
    """
    if text is None:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) <= NUMBER_CHARS_MAX):
        raise RpcError(ErrorCode.INVALID_PARAMS, ApiReason.BAD_CURSOR, text, "a cursor that this node gave")
    return int(text)


def format_number_cursor(number: int | None) -> str | None:
    """Return the cursor of a number; None at the end."""
    return None if number is None else str(number)
