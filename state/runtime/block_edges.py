"""Duties at the two edges of a block.

Beginning: put the parent on record among the recent blocks, put a due upgrade into force, note leaders of skipped views. End: fees
become rewards, due deadlines fire within the block's budget, enclaves are judged again and orders reviewed within theirs, the next
validator set is chosen if its time has come, totals are settled and checked.
"""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from state.block import Header
from state.deadlines import take_due
from state.errors import TransactionRejected
from state.receipts import EventKind
from state.records import CHAIN_STATE, ONLY, RECENT_BLOCKS, RecentBlock, number_key
from state.runtime.conservation import settle_totals
from state.runtime.context import Context
from state.runtime.dispatch import DEADLINE_HANDLERS
from state.runtime.governance.upgrades import begin_upgrade
from state.runtime.orders.reviews import run_reviews
from state.runtime.staking.downtime import note_leaders
from state.runtime.staking.rewards import distribute_fees
from state.runtime.staking.validator_updates import update_validators
from state.runtime.trust.cohorts import queue_again, queue_concerned
from state.runtime.trust.enclaves import run_reappraisals
from state.validators import ValidatorSet

RECENT_DROPPED_MAX: Final = 4
"""Recent blocks dropped in one block; more than one, so that the record shrinks after a burst of blocks."""
RECENT_BLOCKS_MAX: Final = 1 << 16
"""Recent blocks on record at most; only a chain with more than a hundred blocks a second would reach it."""


def begin_block(context: Context, header: Header, root_height: int, validators: ValidatorSet) -> None:
    """Do the duties of a block's beginning. root_height is the height of the epoch's root block."""
    _record_parent(context, header)
    begin_upgrade(context)
    note_leaders(context, header, root_height, validators)


def _record_parent(context: Context, header: Header) -> None:
    """Put the parent on record, drop blocks that are older than the challenge window, and move on to this block."""
    ledger = context.ledger
    chain = ledger.get(CHAIN_STATE, ONLY)
    parent = RecentBlock(block_hash=header.parent_hash, time_ms=chain.time_ms)
    ledger.put(RECENT_BLOCKS, number_key(chain.height), parent)
    oldest_ms = header.time_ms - context.params.attestation.challenge_window_ms
    first = chain.recent_first
    for height in range(first, min(first + RECENT_DROPPED_MAX, chain.height)):
        key = number_key(height)
        if chain.height - height < RECENT_BLOCKS_MAX and ledger.get(RECENT_BLOCKS, key).time_ms >= oldest_ms:
            break
        ledger.delete(RECENT_BLOCKS, key)
        first = height + 1
    ledger.put(CHAIN_STATE, ONLY, replace(chain, height=header.height, time_ms=header.time_ms, recent_first=first))


def end_block(context: Context, fees: int, validators: ValidatorSet) -> ValidatorSet:
    """Do the duties of a block's end and return the set of the next block; fees are the sum that its transactions paid."""
    distribute_fees(context, fees, validators.total_power)
    fire_deadlines(context)
    queue_concerned(context)
    run_reappraisals(context)
    run_reviews(context)
    queue_again(context.ledger)
    next_validators = update_validators(context, validators)
    settle_totals(context.ledger)
    return next_validators


def fire_deadlines(context: Context) -> None:
    """Handle what is due, within the block's budget. A handler that is refused is undone and reported; the block goes on."""
    for _ in range(context.params.blocks.deadlines_max):
        deadline = take_due(context.ledger, context.time_ms)
        if deadline is None:
            return
        savepoint = context.ledger.savepoint()
        events_before, concerns_before = len(context.events), len(context.concerns)
        try:
            DEADLINE_HANDLERS[deadline.kind](context, deadline)
        except TransactionRejected as rejection:
            context.ledger.rollback(savepoint)
            del context.events[events_before:]
            del context.concerns[concerns_before:]
            context.emit(
                EventKind.DEADLINE_FAILED,
                deadline=deadline.kind.name.lower().encode(),
                subject=deadline.subject,
                reason=rejection.reason.encode(),
            )
