"""Downtime: the leaders of views that passed without a block missed them; who misses too many goes to jail.

A window begins with a missed view and counts views led and views missed. When the missed ones reach their share of the window the
validator is jailed; after `downtime_window` views led the count starts anew. An undisturbed chain writes nothing here.
"""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from state.block import Header
from state.params import BASIS_POINTS
from state.records import DOWNTIMES, VALIDATORS, Downtime, ValidatorStatus
from state.runtime.context import Context
from state.runtime.life_tables import ValidatorTrigger
from state.runtime.staking.roster import can_spare, is_eligible, set_status
from state.validators import ValidatorSet

SKIPPED_VIEWS_MAX: Final = 1_000
"""Skipped views that are looked at for one block; the first ones after the parent's count."""


def note_leaders(context: Context, header: Header, root_height: int, validators: ValidatorSet) -> None:
    """Count this block's view for its leader, and the views between the parent's and this one against theirs."""
    missed: dict[bytes, int] = {}
    last_skipped = min(header.view - 1, header.parent_view + SKIPPED_VIEWS_MAX)
    for view in range(header.parent_view + 1, last_skipped + 1):
        leader = validators.members[validators.leader_index(root_height, view)].address
        missed[leader] = missed.get(leader, 0) + 1
    if missed or context.ledger.find(DOWNTIMES, header.proposer):
        missed.setdefault(header.proposer, 0)
    for leader, count in missed.items():
        _count_views(context, leader, count, led=count + (leader == header.proposer))


def _count_views(context: Context, address: bytes, missed: int, led: int) -> None:
    """Add views to a validator's window, which begins with a missed one; close the window when it is full or ends in jail."""
    ledger, staking = context.ledger, context.params.staking
    window = ledger.find(DOWNTIMES, address)
    if window is None:
        if not missed:
            return
        window = Downtime(led=0, missed=0)
    window = Downtime(led=window.led + led, missed=window.missed + missed)
    if window.missed * BASIS_POINTS >= staking.downtime_window * staking.downtime_bp:
        _jail(context, address)
        ledger.delete(DOWNTIMES, address)
    elif window.led >= staking.downtime_window:
        ledger.delete(DOWNTIMES, address)
    else:
        ledger.put(DOWNTIMES, address, window)


def _jail(context: Context, address: bytes) -> None:
    """Jail a validator, unless it is out already or the set would become too small."""
    validator = context.ledger.get(VALIDATORS, address)
    if not is_eligible(validator) or not can_spare(context, address):
        return
    jailed = replace(validator, jailed_until_ms=context.time_ms + context.params.staking.jail_ms)
    jailed = set_status(context, address, jailed, ValidatorTrigger.MISSED_VIEWS, ValidatorStatus.JAILED)
    context.ledger.put(VALIDATORS, address, jailed)
