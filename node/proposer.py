"""What a leader puts into a block, and whether there is anything to agree on at all (DESIGN section 5, "Work is pending")."""

from __future__ import annotations

from collections.abc import Container

from consensus.core import Consensus
from consensus.effects import BuildBlock
from consensus.inputs import BlockBuilt
from node.mempool import Mempool
from state.chain import Chain
from state.ledger import Ledger
from state.protocol import is_spoken
from state.queries import next_work_ms
from state.records import CHAIN_STATE, ONLY, PARAMS
from state.transactions import Transaction


def build_block(
    chain: Chain, mempool: Mempool[Ledger], consensus: Consensus, effect: BuildBlock, wall_ms: int
) -> BlockBuilt | None:
    """Make what a leader asks for; None for a block of a protocol that this software does not speak: its view times out."""
    parent = consensus.node.state.find_executed(effect.parent_hash)
    assert parent is not None, "consensus builds on executed blocks only"
    if not is_spoken(chain.ledger_at(effect.parent_hash), parent.height + 1):
        return None
    time_ms = max(wall_ms, parent.time_ms + 1)
    chosen: list[Transaction] = []
    if not effect.must_be_empty:
        excluded = find_excluded(consensus, mempool, effect.parent_hash)
        chosen = select_transactions(chain, mempool, effect.parent_hash, time_ms, excluded)
    hashes = tuple(transaction.envelope_hash for transaction in chosen)
    return BlockBuilt(effect.epoch, effect.view, effect.parent_hash, time_ms, hashes)


def find_excluded(consensus: Consensus, mempool: Mempool[Ledger], block_hash: bytes) -> set[bytes]:
    """Return the envelope hashes of the unfinal blocks from the final one up to this block."""
    path = consensus.node.state.path_from_tip(block_hash) or ()
    return {one for ancestor in path for one in mempool.bodies.find_block(ancestor) or ()}


def select_transactions(
    chain: Chain, mempool: Mempool[Ledger], parent_hash: bytes, time_ms: int, excluded: Container[bytes]
) -> list[Transaction]:
    """Choose transactions for a block on an executed parent, within the limits in force there."""
    ledger = chain.ledger_at(parent_hash)
    limits = ledger.get(PARAMS, ONLY).blocks
    return mempool.select(
        ledger,
        time_ms,
        max_bytes=limits.bytes_max,
        max_transactions=limits.transactions_max,
        max_work=limits.work_max,
        excluded=excluded,
    )


def has_due_work(chain: Chain, mempool: Mempool[Ledger], consensus: Consensus, wall_ms: int) -> bool:
    """Tell whether there is anything to agree on: transactions, the heartbeat, a deadline, a set change.

    All of it is judged by the newest notarised block, once that is executed: what it does need not be done by the next one too.
    """
    state = consensus.node.state
    parent_view = state.find_parent_view(consensus.node.view)
    parent_hash = None if parent_view is None else state.block_hash_at(parent_view)
    if len(mempool) and mempool.has_work(_excluded_for(consensus, mempool, parent_hash)):
        return True
    is_here = parent_hash is not None and chain.is_known(parent_hash)
    ledger = chain.ledger_at(parent_hash) if parent_hash is not None and is_here else chain.ledger
    books, parameters = ledger.get(CHAIN_STATE, ONLY), ledger.get(PARAMS, ONLY).consensus
    if parameters.heartbeat_ms and wall_ms >= books.time_ms + parameters.heartbeat_ms:
        return True
    work_ms = next_work_ms(ledger)
    return work_ms is not None and work_ms <= wall_ms


def _excluded_for(consensus: Consensus, mempool: Mempool[Ledger], block_hash: bytes | None) -> set[bytes]:
    return set() if block_hash is None else find_excluded(consensus, mempool, block_hash)
