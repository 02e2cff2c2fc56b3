"""Pure readers of the state, for the API, the wallet and the agreement on blocks. They take any ledger and change nothing."""

from __future__ import annotations

from msgspec import Struct

from state.deadlines import find_next_deadline_ms
from state.ledger import Ledger
from state.params import Params
from state.records import (
    ACCOUNTS,
    AUTHS,
    CHAIN_STATE,
    CURRENT_SET,
    DELEGATIONS,
    HOLDINGS,
    MONEY,
    NEW_HOLDINGS,
    ONLY,
    PARAMS,
    PENDING_AUTHS,
    ROSTER,
    UNBONDINGS,
    VALIDATORS,
    Account,
    Auth,
    Money,
    PendingAuth,
    Unbonding,
    ValidatorRecord,
    number_key,
)
from state.runtime.order_queue import has_reviews
from state.runtime.staking.rewards import settle_delegation, settled_rewards
from state.runtime.staking.roster import own_stake
from state.runtime.trust.cohorts import has_queue
from state.validators import ValidatorSet


class DelegationView(Struct, frozen=True):
    """One delegation as its owner sees it."""

    validator: bytes
    worth: int
    """ubocc that its shares are worth."""
    rewards: int
    """ubocc that a claim would pay now."""


class UnbondingView(Struct, frozen=True):
    """One unbonding entry as its owner sees it."""

    number: int
    validator: bytes
    amount: int
    """ubocc that it would pay now."""
    due_ms: int


class AccountView(Struct, frozen=True):
    """Everything the state says about one account."""

    address: bytes
    account: Account
    auth: Auth | None
    """None while the address' own key alone controls it."""
    pending_auth: PendingAuth | None
    provider_bond: int
    provider_locked: int
    delegations: tuple[DelegationView, ...]
    unbondings: tuple[UnbondingView, ...]


class ValidatorView(Struct, frozen=True):
    """One validator."""

    address: bytes
    record: ValidatorRecord
    own_stake: int
    """ubocc of its operator."""


def params(ledger: Ledger) -> Params:
    """Return the parameters in force."""
    return ledger.get(PARAMS, ONLY)


def money(ledger: Ledger) -> Money:
    """Return where all money is."""
    return ledger.get(MONEY, ONLY)


def validator_set(ledger: Ledger) -> ValidatorSet:
    """Return the validator set of the next block."""
    return ValidatorSet(ledger.get(CURRENT_SET, ONLY).members)


def find_account(ledger: Ledger, address: bytes) -> AccountView | None:
    """Return everything about an account, or None if it does not exist."""
    account = ledger.find(ACCOUNTS, address)
    if account is None:
        return None
    holdings = ledger.find(HOLDINGS, address) or NEW_HOLDINGS
    return AccountView(
        address=address,
        account=account,
        auth=ledger.find(AUTHS, address),
        pending_auth=ledger.find(PENDING_AUTHS, address),
        provider_bond=holdings.provider_bond,
        provider_locked=holdings.provider_locked,
        delegations=tuple(_delegation_view(ledger, address, validator) for validator in holdings.delegations),
        unbondings=tuple(_unbonding_view(ledger, number) for number in holdings.unbondings),
    )


def find_validator(ledger: Ledger, address: bytes) -> ValidatorView | None:
    """Return the validator that this account operates, or None."""
    record = ledger.find(VALIDATORS, address)
    return None if record is None else ValidatorView(address, record, own_stake(ledger, address, record))


def validators(ledger: Ledger) -> tuple[ValidatorView, ...]:
    """Return the validators of the set and of the roster, sorted by address."""
    members = {member.address for member in ledger.get(CURRENT_SET, ONLY).members}
    addresses = sorted(members | set(ledger.get(ROSTER, ONLY).addresses))
    views = (find_validator(ledger, address) for address in addresses)
    return tuple(view for view in views if view is not None)


def next_work_ms(ledger: Ledger) -> int | None:
    """Return the block time from which the end of a block has something to do although nobody sends anything, or None.

    It is the earliest deadline, or the time at which a waiting change of the validator set may take effect, or the time of the last
    block if enclaves or orders wait for another look. A time that is past means that work carried over: the chain must not rest.
    """
    deadline_ms = find_next_deadline_ms(ledger)
    chain = ledger.get(CHAIN_STATE, ONLY)
    if has_queue(ledger) or has_reviews(ledger):
        return chain.time_ms
    if not chain.is_set_stale:
        return deadline_ms
    change_ms = chain.set_changed_ms + params(ledger).consensus.validator_update_interval_ms
    return change_ms if deadline_ms is None else min(change_ms, deadline_ms)


def _delegation_view(ledger: Ledger, owner: bytes, address: bytes) -> DelegationView:
    chain, validator = ledger.get(CHAIN_STATE, ONLY), ledger.get(VALIDATORS, address)
    delegation = ledger.get(DELEGATIONS, address + owner)
    worth = delegation.shares * validator.stake // validator.shares
    settled, _unowned = settled_rewards(chain.reward_per_power, validator)
    return DelegationView(address, worth, settle_delegation(settled, delegation).rewards)


def _unbonding_view(ledger: Ledger, number: int) -> UnbondingView:
    entry: Unbonding = ledger.get(UNBONDINGS, number_key(number))
    amount = entry.amount
    if entry.is_slashable:
        validator = ledger.get(VALIDATORS, entry.validator)
        amount = amount * validator.unbonding // validator.unbonding_shares
    return UnbondingView(number, entry.validator, amount, entry.due_ms)
