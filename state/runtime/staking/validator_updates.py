"""The next validator set: the eligible validators with the most stake, chosen when something changed and the interval has passed.

A block after which the set differs ends its epoch. Ties go to the lower address. If fewer than the minimum are eligible, the
set stays. The bounds are those of the next block, for which the set is chosen.
"""

from __future__ import annotations

from msgspec.structs import replace

from state.deadlines import Deadline, DeadlineKind, push_deadline
from state.receipts import EventKind
from state.records import (
    CHAIN_STATE,
    CURRENT_SET,
    EPOCH_ENDS,
    ONLY,
    PARAMS,
    POWER_UNIT,
    ROSTER,
    VALIDATORS,
    CurrentSet,
    EpochEnd,
    ValidatorStatus,
    number_key,
)
from state.runtime.context import Context
from state.runtime.life_tables import VALIDATOR_STEPS, ValidatorTrigger, check_step
from state.runtime.staking.rewards import settle_validator
from state.runtime.staking.roster import is_eligible
from state.validators import Validator, ValidatorSet


def update_validators(context: Context, validators: ValidatorSet) -> ValidatorSet:
    """Return the set of the next block: the given object if nothing changes, else a new set, which ends the epoch."""
    ledger = context.ledger
    chain = ledger.get(CHAIN_STATE, ONLY)
    if not chain.is_set_stale:
        return validators
    consensus = ledger.get(PARAMS, ONLY).consensus
    if context.time_ms < chain.set_changed_ms + consensus.validator_update_interval_ms:
        return validators
    chosen = _choose(context, consensus.validators_max)
    if len(chosen) < consensus.validators_min:
        chosen = validators.members
    ledger.put(CHAIN_STATE, ONLY, replace(chain, is_set_stale=False))
    _install(context, validators.members, chosen)
    if chosen == validators.members:
        return validators
    next_validators = ValidatorSet(chosen)
    _end_epoch(context, next_validators)
    context.emit(EventKind.VALIDATORS_CHANGED, members=len(next_validators), power=next_validators.total_power)
    return next_validators


def forget_epoch(context: Context, deadline: Deadline) -> None:
    """Forget the end of an epoch whose votes convict no longer."""
    context.ledger.delete(EPOCH_ENDS, deadline.subject)


def _choose(context: Context, count_max: int) -> tuple[Validator, ...]:
    """Return the eligible validators with the most power, sorted by address."""
    eligible: list[Validator] = []
    for address in context.ledger.get(ROSTER, ONLY).addresses:
        record = context.ledger.get(VALIDATORS, address)
        power = record.stake // POWER_UNIT
        if is_eligible(record) and power:
            eligible.append(Validator(address=address, public_key=record.consensus_key, power=power))
    eligible.sort(key=lambda member: (-member.power, member.address))
    return tuple(sorted(eligible[:count_max], key=lambda member: member.address))


def _install(context: Context, present: tuple[Validator, ...], chosen: tuple[Validator, ...]) -> None:
    """Write powers and standings where they change, after settling the rewards of the power before."""
    powers = {member.address: 0 for member in present} | {member.address: member.power for member in chosen}
    for address, power in powers.items():
        record = context.ledger.get(VALIDATORS, address)
        status, trigger = record.status, ValidatorTrigger.CHOSEN
        if power and is_eligible(record):
            status = ValidatorStatus.ACTIVE
        elif status is ValidatorStatus.ACTIVE:
            status, trigger = ValidatorStatus.CANDIDATE, ValidatorTrigger.NOT_CHOSEN
        if (power, status) == (record.power, record.status):
            continue
        if status is not record.status:
            check_step(VALIDATOR_STEPS, record.status, trigger, status)
            context.emit(EventKind.VALIDATOR_STATUS, validator=address, status=status.name.lower().encode())
        settled = settle_validator(context, record)
        context.ledger.put(VALIDATORS, address, replace(settled, power=power, status=status))


def _end_epoch(context: Context, next_validators: ValidatorSet) -> None:
    """Store the next set, and put the end of this epoch on record for the evidence window."""
    ledger, subject = context.ledger, number_key(context.epoch)
    ledger.put(CURRENT_SET, ONLY, CurrentSet(members=next_validators.members))
    chain = ledger.get(CHAIN_STATE, ONLY)
    ledger.put(CHAIN_STATE, ONLY, replace(chain, epoch=context.epoch + 1, set_changed_ms=context.time_ms))
    ledger.put(EPOCH_ENDS, subject, EpochEnd(ended_ms=context.time_ms))
    due_ms = context.time_ms + context.params.staking.evidence_age_ms
    push_deadline(ledger, DeadlineKind.EVIDENCE_OVER, subject, due_ms)
