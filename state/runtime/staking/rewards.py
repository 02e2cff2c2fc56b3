"""Rewards: fees to validators by power, and on to their delegators by shares, without touching any of them.

Two accumulators in 1/REWARD_SCALE ubocc do it. The chain counts what one unit of power has earned since the beginning; a
validator counts what one share has earned. Whoever's power or shares are about to change is settled first, so a block costs one
write whatever the number of validators and delegators. Divisions floor for the receiver; what they leave over is carried to the
next division, and the fraction of an ubocc that a delegator's settlement drops stays in the fee pool. There is no commission.
"""

from __future__ import annotations

from msgspec.structs import replace

from state.records import (
    CHAIN_STATE,
    MONEY,
    ONLY,
    REWARD_SCALE,
    Delegation,
    ValidatorRecord,
)
from state.runtime.context import Context


def distribute_fees(context: Context, fees: int, total_power: int) -> None:
    """Credit the fees of a block to the power of the present set."""
    if fees == 0:
        return
    ledger = context.ledger
    money, chain = ledger.get(MONEY, ONLY), ledger.get(CHAIN_STATE, ONLY)
    ledger.put(MONEY, ONLY, replace(money, fee_pool=money.fee_pool + fees))
    per_power, carry = divmod(fees * REWARD_SCALE + chain.reward_carry, total_power)
    ledger.put(
        CHAIN_STATE,
        ONLY,
        replace(chain, reward_per_power=_plus(chain.reward_per_power, per_power), reward_carry=carry),
    )


def settle_validator(context: Context, validator: ValidatorRecord) -> ValidatorRecord:
    """Return the validator with the rewards of its power passed on to its shares. Due before power or shares change.

    Rewards of a validator without shares go to the treasury: there is nobody whom they belong to.
    """
    ledger = context.ledger
    settled, unowned = settled_rewards(ledger.get(CHAIN_STATE, ONLY).reward_per_power, validator)
    if unowned:
        money = ledger.get(MONEY, ONLY)
        moved = replace(money, fee_pool=money.fee_pool - unowned, treasury=money.treasury + unowned)
        ledger.put(MONEY, ONLY, moved)
    return settled


def settled_rewards(reward_per_power: bytes, validator: ValidatorRecord) -> tuple[ValidatorRecord, int]:
    """Return the validator settled up to the chain's accumulator, and the ubocc earned that belong to nobody."""
    earned = validator.power * (_number(reward_per_power) - _number(validator.power_paid))
    if validator.shares == 0:
        return replace(validator, power_paid=reward_per_power), earned // REWARD_SCALE
    per_share, carry = divmod(earned + validator.reward_carry, validator.shares)
    settled = replace(
        validator,
        power_paid=reward_per_power,
        reward_per_share=_plus(validator.reward_per_share, per_share),
        reward_carry=carry,
    )
    return settled, 0


def settle_delegation(validator: ValidatorRecord, delegation: Delegation) -> Delegation:
    """Return the delegation with its rewards up to the settled validator's present. Due before its shares change."""
    earned = delegation.shares * (_number(validator.reward_per_share) - _number(delegation.reward_paid))
    return replace(
        delegation,
        reward_paid=validator.reward_per_share,
        rewards=delegation.rewards + earned // REWARD_SCALE,
    )


def _number(accumulator: bytes) -> int:
    return int.from_bytes(accumulator, "big")


def _plus(accumulator: bytes, increment: int) -> bytes:
    return (_number(accumulator) + increment).to_bytes(16, "big")
