"""Blocks: header, result of execution, and the references by which consensus and storage name them.

A header commits to its parent, to the parent's *result* and to its transactions; its own result is known from the finalize votes
and from the next header's parent_result (consensus spec 4.2, 7.4).
"""

from __future__ import annotations

from typing import Annotated, Final

from msgspec import Meta

from state.certificates import CERTIFICATE_BYTES_MAX, Certificate
from state.codec import Address, Codec, Hash, Height, TimeMs, UInt, Wire, encode
from state.crypto import tag, tagged_hash
from state.validators import Validators

HEADER_VERSION: Final = 1
HEADER_BYTES_MAX: Final = 512
BLOCK_BYTES_MAX: Final = 4 << 20
"""Sum of the envelopes' bytes in one block, as a bound of formats; the parameter may be lower."""
BLOCK_TRANSACTIONS_MAX: Final = 10_000
ENVELOPE_BYTES_MAX: Final = 320 << 10
"""Largest envelope of any kind; those without collateral are held to 64 KiB in admission."""

_BLOCK_TAG: Final = tag("block")
_RESULT_TAG: Final = tag("result")
_GENESIS_TAG: Final = tag("genesis-block")


class Header(Wire, frozen=True):
    """What a block is identified by; its hash is the block's hash."""

    version: Annotated[int, Meta(ge=1, le=1)]
    chain_id: Hash
    epoch: UInt
    view: UInt
    """The view for which it was made; a sealing block may be proposed again in later ones."""
    height: Height
    time_ms: TimeMs
    """Proposer's clock, within the bounds of proposer-based time; strictly above the parent's."""
    parent_hash: Hash
    parent_view: UInt
    parent_result: Hash
    proposer: Address
    validators_hash: Hash
    """Of the set of this epoch."""
    tx_root: Hash
    """Merkle root (state/merkle.py) of the envelope hashes."""
    tx_count: Annotated[int, Meta(ge=0, le=BLOCK_TRANSACTIONS_MAX)]


class BlockResult(Wire, frozen=True):
    """What executing a block gives; its digest is what finalize votes sign."""

    state_root: Hash
    """Of the tree after the block."""
    receipts_root: Hash
    """Merkle root of the encoded receipts, in the order of the transactions."""
    next_validators_hash: Hash
    """Of the set after the block; if it differs from the header's, the block ends its epoch."""


class BlockReference(Wire, frozen=True):
    """A block as others refer to it."""

    block_hash: Hash
    height: Height
    time_ms: TimeMs
    result: Hash


class EpochStart(Wire, frozen=True):
    """An epoch: its number, the last block of the one before, and its validators."""

    epoch: UInt
    root: BlockReference
    validators: Validators


class Tip(Wire, frozen=True):
    """The newest final block of a node, stored in one batch with the state after it."""

    epoch_start: EpochStart
    view: UInt
    """View of the finalization within the epoch; 0 for the root of the epoch."""
    block: BlockReference
    certificate: Certificate | None
    """The finalization, or the one that ended the epoch before; None at genesis."""


class Block(Wire, frozen=True):
    """A whole block: its header and its envelopes, byte for byte, in the order of execution."""

    header: Header
    envelopes: Annotated[
        tuple[Annotated[bytes, Meta(min_length=1, max_length=ENVELOPE_BYTES_MAX)], ...],
        Meta(max_length=BLOCK_TRANSACTIONS_MAX),
    ]


HEADER_CODEC: Final = Codec(Header, HEADER_BYTES_MAX)
RESULT_CODEC: Final = Codec(BlockResult, 128)
BLOCK_CODEC: Final = Codec(Block, HEADER_BYTES_MAX + BLOCK_BYTES_MAX + 8 * BLOCK_TRANSACTIONS_MAX)
TIP_CODEC: Final = Codec(Tip, 1 << 18)
assert CERTIFICATE_BYTES_MAX < 1 << 17


def hash_header(header: Header) -> bytes:
    """Return the block's hash, 32 bytes."""
    return tagged_hash(_BLOCK_TAG, encode(header))


def hash_result(block_result: BlockResult) -> bytes:
    """Return the digest that finalize votes and the next header carry, 32 bytes."""
    return tagged_hash(_RESULT_TAG, encode(block_result))


def genesis_block_hash(chain_id: bytes) -> bytes:
    """Return the hash that the first block names as its parent."""
    return tagged_hash(_GENESIS_TAG, chain_id)
