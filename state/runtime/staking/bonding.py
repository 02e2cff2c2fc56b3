"""bond: validators come, grow, leave and return from jail; delegators follow; providers put up security.

A validator is named by its operator's account. It registers its consensus key once, with a signature by that key over the
operator's address, so that nobody can register another's key. Whoever keeps less own stake than the minimum leaves the roster,
and returns by bonding enough again. Nobody may leave whose absence would make the set too small.
"""

from __future__ import annotations

from msgspec.structs import replace

from state.address import AddressKind
from state.codec import PublicKey
from state.crypto import verify
from state.development import is_development_key
from state.errors import TransactionRejected
from state.messages import Bond, BondAction, BondPurpose, consensus_key_signing_bytes
from state.receipts import EventKind
from state.records import (
    CHAIN_IDENTITY,
    CHAIN_STATE,
    CONSENSUS_KEYS,
    HOLDINGS,
    NEW_HOLDINGS,
    NO_REWARDS,
    ONLY,
    VALIDATORS,
    ConsensusKeyOwner,
    ValidatorRecord,
    ValidatorStatus,
)
from state.runtime.accounts.money import debit
from state.runtime.context import Context
from state.runtime.life_tables import VALIDATOR_STEPS, ValidatorTrigger, check_step
from state.runtime.reasons import TransactionReason
from state.runtime.staking.delegations import add_stake, claim_rewards, find_validator, remove_stake
from state.runtime.staking.roster import can_spare, is_eligible, join_roster, leave_roster, own_stake, set_status
from state.runtime.staking.unbonding import start_unbonding


def apply_bond(context: Context, sender: bytes, message: Bond) -> None:
    """Lock, release or reward money that stands for something.

    Raises:
        TransactionRejected: ZERO_AMOUNT, UNEXPECTED_AMOUNT, UNEXPECTED_FIELD, WRONG_ACTION, and those of each action below.
    """
    _check_fields(message)
    address = message.validator if message.purpose is BondPurpose.DELEGATE else sender
    match message.action, message.purpose:
        case BondAction.ADD, BondPurpose.PROVIDER:
            _add_provider_bond(context, sender, message.amount)
        case BondAction.REMOVE, BondPurpose.PROVIDER:
            _remove_provider_bond(context, sender, message.amount)
        case BondAction.ADD, _:
            _add(context, sender, address, message)
        case BondAction.REMOVE, _:
            _remove(context, sender, address, message)
        case BondAction.CLAIM, BondPurpose.VALIDATOR | BondPurpose.DELEGATE:
            claim_rewards(context, sender, address, find_validator(context, address))
        case BondAction.UNJAIL, BondPurpose.VALIDATOR:
            _unjail(context, sender)
        case _:
            seen = f"{message.action.name.lower()} {message.purpose.name.lower()}"
            raise TransactionRejected(TransactionReason.WRONG_ACTION, seen)


def _check_fields(message: Bond) -> None:
    """Check that exactly the fields are filled that the action uses."""
    takes_amount = message.action in (BondAction.ADD, BondAction.REMOVE)
    if takes_amount and message.amount == 0:
        raise TransactionRejected(TransactionReason.ZERO_AMOUNT, 0, 1)
    if message.amount and not takes_amount:
        raise TransactionRejected(TransactionReason.UNEXPECTED_AMOUNT, message.amount, 0)
    names_validator = len(message.validator) == 21 and message.validator[0] == AddressKind.ACCOUNT
    is_delegation = message.purpose is BondPurpose.DELEGATE
    if names_validator != is_delegation or (message.validator and not is_delegation):
        raise TransactionRejected(TransactionReason.UNEXPECTED_FIELD, f"validator {message.validator.hex()}")
    may_register = message.action is BondAction.ADD and message.purpose is BondPurpose.VALIDATOR
    lengths = (len(message.consensus_key), len(message.proof))
    if lengths != (0, 0) and not (may_register and lengths == (32, 64)):
        raise TransactionRejected(TransactionReason.UNEXPECTED_FIELD, f"key and proof of {lengths} bytes")


def _add(context: Context, sender: bytes, address: bytes, message: Bond) -> None:
    """Add stake, own or delegated; own stake makes or returns a validator."""
    validator = context.ledger.find(VALIDATORS, address)
    if validator is None and message.purpose is BondPurpose.VALIDATOR:
        validator = _register(context, sender, message)
    elif validator is None:
        raise TransactionRejected(TransactionReason.NO_VALIDATOR, address.hex())
    elif message.consensus_key:
        raise TransactionRejected(TransactionReason.KEY_IS_FIXED, message.consensus_key.hex())
    validator = add_stake(context, sender, address, validator, message.amount)
    if validator.status is ValidatorStatus.UNBONDING and sender == address:
        _return_to_roster(context, address, validator)
    _emit_bonded(context, sender, message.purpose, address, message.amount)


def _register(context: Context, sender: bytes, message: Bond) -> ValidatorRecord:
    """Bind a consensus key to the sender for ever and return its validator, still without stake."""
    key = message.consensus_key
    if not key:
        raise TransactionRejected(TransactionReason.UNEXPECTED_FIELD, "no consensus key at the first bond")
    if is_development_key(key) and not context.ledger.get(CHAIN_IDENTITY, ONLY).is_development:
        raise TransactionRejected(TransactionReason.DEVELOPMENT_KEY, key.hex())
    owner = context.ledger.find(CONSENSUS_KEYS, key)
    if owner is not None:
        raise TransactionRejected(TransactionReason.KEY_TAKEN, key.hex(), owner.validator.hex())
    stake_min = context.params.staking.own_stake_min
    if message.amount < stake_min:
        raise TransactionRejected(TransactionReason.STAKE_TOO_LOW, message.amount, stake_min)
    if not verify(key, message.proof, consensus_key_signing_bytes(context.chain_id, sender)):
        raise TransactionRejected(TransactionReason.BAD_PROOF, message.proof.hex())
    context.ledger.put(CONSENSUS_KEYS, key, ConsensusKeyOwner(validator=sender))
    validator = blank_validator(key, context.ledger.get(CHAIN_STATE, ONLY).reward_per_power)
    check_step(VALIDATOR_STEPS, None, ValidatorTrigger.REGISTER, validator.status)
    return validator


def blank_validator(consensus_key: PublicKey, power_paid: bytes = NO_REWARDS) -> ValidatorRecord:
    """Return a validator outside set and roster without stake, which has no part in the rewards so far."""
    return ValidatorRecord(
        consensus_key=consensus_key,
        status=ValidatorStatus.UNBONDING,
        stake=0,
        shares=0,
        unbonding=0,
        unbonding_shares=0,
        power=0,
        power_paid=power_paid,
        reward_per_share=NO_REWARDS,
        reward_carry=0,
        jailed_until_ms=0,
    )


def _return_to_roster(context: Context, address: bytes, validator: ValidatorRecord) -> None:
    """Make a validator with enough own stake a candidate; one that left jail by leaving the roster goes back to it."""
    if own_stake(context.ledger, address, validator) < context.params.staking.own_stake_min:
        return
    join_roster(context, address, validator.stake)
    is_jailed = validator.jailed_until_ms > context.time_ms
    status = ValidatorStatus.JAILED if is_jailed else ValidatorStatus.CANDIDATE
    validator = set_status(context, address, validator, ValidatorTrigger.STAKE_ADDED, status)
    context.ledger.put(VALIDATORS, address, validator)


def _remove(context: Context, sender: bytes, address: bytes, message: Bond) -> None:
    """Start unbonding of own or delegated stake; too little own stake takes the validator off the roster."""
    validator = find_validator(context, address)
    purpose = message.purpose.name.lower().encode()
    validator = remove_stake(context, sender, address, validator, message.amount, purpose)
    if sender != address or validator.status in (ValidatorStatus.UNBONDING, ValidatorStatus.TOMBSTONED):
        return
    if own_stake(context.ledger, address, validator) >= context.params.staking.own_stake_min:
        return
    if is_eligible(validator) and not can_spare(context, address):
        raise TransactionRejected(TransactionReason.BELOW_MINIMUM_SET, address.hex())
    leave_roster(context, address)
    validator = set_status(context, address, validator, ValidatorTrigger.STAKE_REMOVED, ValidatorStatus.UNBONDING)
    context.ledger.put(VALIDATORS, address, validator)


def _unjail(context: Context, sender: bytes) -> None:
    """Return a validator whose jail time is over to the candidates."""
    validator = find_validator(context, sender)
    if validator.status is not ValidatorStatus.JAILED:
        raise TransactionRejected(TransactionReason.NOT_JAILED, validator.status.name.lower())
    if validator.jailed_until_ms > context.time_ms:
        raise TransactionRejected(TransactionReason.STILL_JAILED, context.time_ms, validator.jailed_until_ms)
    freed = replace(validator, jailed_until_ms=0)
    freed = set_status(context, sender, freed, ValidatorTrigger.UNJAIL, ValidatorStatus.CANDIDATE)
    context.ledger.put(VALIDATORS, sender, freed)


def _add_provider_bond(context: Context, sender: bytes, amount: int) -> None:
    debit(context, sender, amount)
    holdings = context.ledger.find(HOLDINGS, sender) or NEW_HOLDINGS
    context.ledger.put(HOLDINGS, sender, replace(holdings, provider_bond=holdings.provider_bond + amount))
    _emit_bonded(context, sender, BondPurpose.PROVIDER, b"", amount)


def _remove_provider_bond(context: Context, sender: bytes, amount: int) -> None:
    """Start unbonding of a provider's bond that stands for no order."""
    holdings = context.ledger.find(HOLDINGS, sender) or NEW_HOLDINGS
    if holdings.provider_bond < amount:
        raise TransactionRejected(TransactionReason.BOND_TOO_LOW, holdings.provider_bond, amount)
    context.ledger.put(HOLDINGS, sender, replace(holdings, provider_bond=holdings.provider_bond - amount))
    start_unbonding(context, sender, b"", amount, is_slashable=False, purpose=b"provider")


def _emit_bonded(context: Context, owner: bytes, purpose: BondPurpose, validator: bytes, amount: int) -> None:
    context.emit(
        EventKind.BONDED, owner=owner, purpose=purpose.name.lower().encode(), validator=validator, amount=amount
    )
