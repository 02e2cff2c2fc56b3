"""Delegations: shares of a validator's stake, bought one to one, sold for what they are worth, earning rewards meanwhile.

Own and delegated stake are delegations alike, so one rule serves both. Shares and ubocc are one to one until the validator is
convicted, and nothing can be added afterwards, so nobody can gain from the rounding of a price.
"""

from __future__ import annotations

from msgspec.structs import replace

from state.errors import TransactionRejected
from state.receipts import EventKind
from state.records import (
    DELEGATIONS,
    DELEGATIONS_MAX,
    HOLDINGS,
    MONEY,
    NEW_HOLDINGS,
    ONLY,
    POWER_UNIT,
    VALIDATORS,
    Delegation,
    ValidatorRecord,
    ValidatorStatus,
)
from state.runtime.accounts.money import credit, debit
from state.runtime.context import Context
from state.runtime.reasons import TransactionReason
from state.runtime.staking.rewards import settle_delegation, settle_validator
from state.runtime.staking.roster import mark_set_stale
from state.runtime.staking.unbonding import start_unbonding


def find_validator(context: Context, address: bytes) -> ValidatorRecord:
    """Return the validator at an address.

    Raises:
        TransactionRejected: NO_VALIDATOR.
    """
    validator = context.ledger.find(VALIDATORS, address)
    if validator is None:
        raise TransactionRejected(TransactionReason.NO_VALIDATOR, address.hex())
    return validator


def add_stake(
    context: Context, owner: bytes, address: bytes, validator: ValidatorRecord, amount: int
) -> ValidatorRecord:
    """Move money from the owner's balance into the validator's stake; store and return the validator.

    Raises:
        TransactionRejected: TOMBSTONED, BALANCE_TOO_LOW, TOO_MANY_DELEGATIONS.
    """
    if validator.status is ValidatorStatus.TOMBSTONED:
        raise TransactionRejected(TransactionReason.TOMBSTONED, address.hex())
    ledger = context.ledger
    debit(context, owner, amount)
    validator = settle_validator(context, validator)
    delegation = ledger.find(DELEGATIONS, address + owner)
    if delegation is None:
        delegation = Delegation(shares=0, reward_paid=validator.reward_per_share, rewards=0)
        _add_holding(context, owner, address)
    delegation = settle_delegation(validator, delegation)
    ledger.put(DELEGATIONS, address + owner, replace(delegation, shares=delegation.shares + amount))
    return _with_stake(context, address, validator, validator.stake + amount, validator.shares + amount)


def remove_stake(
    context: Context, owner: bytes, address: bytes, validator: ValidatorRecord, amount: int, purpose: bytes
) -> ValidatorRecord:
    """Start unbonding of so much stake, in ubocc; store and return the validator.

    As many shares are sold as the amount is worth, rounded up. A remainder that is worth nothing is sold with them, and with
    the last share the rewards are paid out.

    Raises:
        TransactionRejected: NOT_BONDED, BOND_TOO_LOW, TOO_MANY_UNBONDINGS.
    """
    ledger, key = context.ledger, address + owner
    validator = settle_validator(context, validator)
    delegation = settle_delegation(validator, _find_delegation(context, key))
    worth = delegation.shares * validator.stake // validator.shares
    if amount > worth:
        raise TransactionRejected(TransactionReason.BOND_TOO_LOW, worth, amount)
    sold = delegation.shares if amount == worth else -(-amount * validator.shares // validator.stake)
    validator = _with_stake(context, address, validator, validator.stake - amount, validator.shares - sold)
    delegation = replace(delegation, shares=delegation.shares - sold)
    if delegation.shares:
        ledger.put(DELEGATIONS, key, delegation)
    else:
        _pay_rewards(context, owner, address, delegation)
        ledger.delete(DELEGATIONS, key)
        _remove_holding(context, owner, address)
    is_slashable = validator.status is not ValidatorStatus.TOMBSTONED
    if is_slashable:
        held, shares = validator.unbonding + amount, validator.unbonding_shares + amount
        validator = replace(validator, unbonding=held, unbonding_shares=shares)
        ledger.put(VALIDATORS, address, validator)
    start_unbonding(context, owner, address, amount, is_slashable=is_slashable, purpose=purpose)
    return validator


def claim_rewards(context: Context, owner: bytes, address: bytes, validator: ValidatorRecord) -> None:
    """Move what a delegation has earned from the fee pool to its owner's balance.

    One that a slash left worthless, and that earns nothing any more, ends with this: there is no amount by which it could be
    removed.

    Raises:
        TransactionRejected: NOT_BONDED.
    """
    ledger, key = context.ledger, address + owner
    delegation = _find_delegation(context, key)
    validator = settle_validator(context, validator)
    delegation = settle_delegation(validator, delegation)
    _pay_rewards(context, owner, address, delegation)
    if validator.power == 0 and delegation.shares * validator.stake < validator.shares:
        _with_stake(context, address, validator, validator.stake, validator.shares - delegation.shares)
        ledger.delete(DELEGATIONS, key)
        _remove_holding(context, owner, address)
    else:
        ledger.put(VALIDATORS, address, validator)
        ledger.put(DELEGATIONS, key, replace(delegation, rewards=0))


def _find_delegation(context: Context, key: bytes) -> Delegation:
    delegation = context.ledger.find(DELEGATIONS, key)
    if delegation is None:
        raise TransactionRejected(TransactionReason.NOT_BONDED, key.hex())
    return delegation


def _pay_rewards(context: Context, owner: bytes, address: bytes, delegation: Delegation) -> None:
    money = context.ledger.get(MONEY, ONLY)
    context.ledger.put(MONEY, ONLY, replace(money, fee_pool=money.fee_pool - delegation.rewards))
    credit(context, owner, delegation.rewards)
    context.emit(EventKind.REWARDS_CLAIMED, owner=owner, validator=address, amount=delegation.rewards)


def _with_stake(
    context: Context, address: bytes, validator: ValidatorRecord, stake: int, shares: int
) -> ValidatorRecord:
    """Store and return the validator with another stake; a change of power makes the set stale."""
    if stake // POWER_UNIT != validator.stake // POWER_UNIT:
        mark_set_stale(context)
    changed = replace(validator, stake=stake, shares=shares)
    context.ledger.put(VALIDATORS, address, changed)
    return changed


def _add_holding(context: Context, owner: bytes, address: bytes) -> None:
    holdings = context.ledger.find(HOLDINGS, owner) or NEW_HOLDINGS
    count = len(holdings.delegations)
    if count >= DELEGATIONS_MAX:
        raise TransactionRejected(TransactionReason.TOO_MANY_DELEGATIONS, count, DELEGATIONS_MAX)
    context.ledger.put(HOLDINGS, owner, replace(holdings, delegations=(*holdings.delegations, address)))


def _remove_holding(context: Context, owner: bytes, address: bytes) -> None:
    holdings = context.ledger.get(HOLDINGS, owner)
    delegations = tuple(other for other in holdings.delegations if other != address)
    context.ledger.put(HOLDINGS, owner, replace(holdings, delegations=delegations))
