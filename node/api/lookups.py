"""Parsing of parameters and look-ups that several handlers share."""

from __future__ import annotations

from msgspec import Struct

from node.api.errors import ApiReason, ErrorCode, RpcError
from state.address import VALIDATOR_PREFIX, parse_address
from state.chain import Chain
from state.chain_views import StoredBlock
from state.ledger import RecordType, Table


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
