"""The roster: which validators may be chosen for the set, and the standing of each.

The state has no scans, so the roster is an explicit list. It is bounded; a newcomer to a full one must outbid the weakest
validator outside the set, so nobody can keep others out with little stake.
"""

from __future__ import annotations

from bisect import bisect_left

from msgspec.structs import replace

from state.errors import TransactionRejected
from state.ledger import Ledger
from state.receipts import EventKind
from state.records import (
    CHAIN_STATE,
    DELEGATIONS,
    ONLY,
    ROSTER,
    ROSTER_MAX,
    VALIDATORS,
    Roster,
    ValidatorRecord,
    ValidatorStatus,
)
from state.runtime.context import Context
from state.runtime.life_tables import VALIDATOR_STEPS, ValidatorTrigger, check_step
from state.runtime.reasons import TransactionReason


def is_eligible(validator: ValidatorRecord) -> bool:
    """Tell whether a validator may be chosen for the next set."""
    return validator.status in (ValidatorStatus.CANDIDATE, ValidatorStatus.ACTIVE)


def own_stake(ledger: Ledger, address: bytes, validator: ValidatorRecord) -> int:
    """Return what of the validator's stake is its operator's, in ubocc."""
    delegation = ledger.find(DELEGATIONS, address + address)
    return delegation.shares * validator.stake // validator.shares if delegation and validator.shares else 0


def mark_set_stale(context: Context) -> None:
    """Have the validator set chosen anew when its time has come."""
    chain = context.ledger.get(CHAIN_STATE, ONLY)
    if not chain.is_set_stale:
        context.ledger.put(CHAIN_STATE, ONLY, replace(chain, is_set_stale=True))


def set_status(
    context: Context, address: bytes, validator: ValidatorRecord, trigger: ValidatorTrigger, status: ValidatorStatus
) -> ValidatorRecord:
    """Return the validator with another standing; the caller stores it."""
    check_step(VALIDATOR_STEPS, validator.status, trigger, status)
    context.emit(EventKind.VALIDATOR_STATUS, validator=address, status=status.name.lower().encode())
    mark_set_stale(context)
    return replace(validator, status=status)


def can_spare(context: Context, address: bytes) -> bool:
    """Tell whether enough eligible validators remain for the smallest allowed set without this one."""
    ledger, needed = context.ledger, context.params.consensus.validators_min
    for other in ledger.get(ROSTER, ONLY).addresses:
        if other != address and is_eligible(ledger.get(VALIDATORS, other)):
            needed -= 1
            if needed == 0:
                return True
    return False


def join_roster(context: Context, address: bytes, stake: int) -> None:
    """Put a validator on the roster, if need be in the place of the weakest one outside the set.

    Raises:
        TransactionRejected: ROSTER_FULL.
    """
    ledger = context.ledger
    addresses = ledger.get(ROSTER, ONLY).addresses
    if len(addresses) >= ROSTER_MAX:
        outside = [(ledger.get(VALIDATORS, other), other) for other in addresses]
        stakes = [(validator.stake, other) for validator, other in outside if validator.power == 0]
        weakest_stake, weakest = min(stakes, default=(stake, address))
        if weakest_stake >= stake:
            raise TransactionRejected(TransactionReason.ROSTER_FULL, stake, weakest_stake)
        dropped = ledger.get(VALIDATORS, weakest)
        dropped = set_status(context, weakest, dropped, ValidatorTrigger.OUTBID, ValidatorStatus.UNBONDING)
        ledger.put(VALIDATORS, weakest, dropped)
        leave_roster(context, weakest)
        addresses = ledger.get(ROSTER, ONLY).addresses
    position = bisect_left(addresses, address)
    ledger.put(ROSTER, ONLY, Roster(addresses=(*addresses[:position], address, *addresses[position:])))


def leave_roster(context: Context, address: bytes) -> None:
    """Take a validator off the roster, if it is there."""
    ledger = context.ledger
    addresses = ledger.get(ROSTER, ONLY).addresses
    ledger.put(ROSTER, ONLY, Roster(addresses=tuple(other for other in addresses if other != address)))
