"""Verifying evidence ahead of its block: at admission, once everything else holds and the fee is reserved.

The answer waits in the cache, so that the block executes without it. Nothing is decided here: evidence that is refused stays in its
transaction, which pays for the work when it fails in its block.
"""

from __future__ import annotations

from state.errors import TransactionRejected
from state.ledger import Ledger, Overlay
from state.records import CHAIN_IDENTITY, CHAIN_STATE, ONLY, RECENT_BLOCKS, RecentBlock, number_key
from state.runtime.attest_checks import CHECKS, Attempt
from state.runtime.context import Context
from state.runtime.rules import situation_at
from state.transactions import Transaction
from state.trust_messages import Attest


def has_evidence(transaction: Transaction) -> bool:
    """Tell whether a transaction has evidence to verify; nearly all have none, and this is asked of each that is admitted."""
    return any(type(message) is Attest for message in transaction.body.messages)


def warm_evidence(ledger: Ledger, transaction: Transaction, wall_ms: int) -> None:
    """Verify the evidence of an admitted transaction, if it has any that could pass in the next block.

    The newest block may be its challenge, though its hash is on record only then: nothing but GPUs is verified with the hash.
    """
    messages = [message for message in transaction.body.messages if type(message) is Attest]
    if not messages:
        return
    chain, identity = ledger.get(CHAIN_STATE, ONLY), ledger.get(CHAIN_IDENTITY, ONLY)
    time_ms = max(wall_ms, chain.time_ms + 1)
    params = situation_at(ledger, wall_ms).params
    overlay = Overlay(ledger)
    overlay.put(RECENT_BLOCKS, number_key(chain.height), RecentBlock(block_hash=bytes(32), time_ms=chain.time_ms))
    context = Context(overlay, params, identity.chain_id, chain.epoch, chain.height + 1, time_ms)
    for message in messages:
        if message.gpus and message.challenge_height == chain.height:
            continue
        attempt = Attempt(context, transaction.body.sender, message)
        for check in CHECKS:
            try:
                check.run(attempt)
            except TransactionRejected:
                break
            if check.name == "evidence":
                break
