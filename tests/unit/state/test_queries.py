"""Readers of the state."""

from __future__ import annotations

from state import queries
from state.messages import BondAction, BondPurpose
from state.records import NEW_ACCOUNT, Account
from tests.support.chain_builders import World, account, account_key, bond, delegate, operator, undelegate


def test_an_account_s_view_gathers_everything_about_it() -> None:
    world = World()
    world.apply(
        world.sign(
            account_key(0),
            delegate(operator(0), 500),
            undelegate(operator(0), 200),
            bond(BondAction.ADD, BondPurpose.PROVIDER, 9),
        )
    )
    due_ms = world.time_ms + world.params.staking.unbonding_ms
    assert queries.find_account(world.ledger, account(0)) == queries.AccountView(
        address=account(0),
        account=Account(balance=10**12 - 500 - 9 - 100_000, next_nonce=1, unused_nonces=(), has_auth=False),
        auth=None,
        pending_auth=None,
        provider_bond=9,
        provider_locked=0,
        delegations=(queries.DelegationView(operator(0), 300, 0),),
        unbondings=(queries.UnbondingView(0, operator(0), 200, due_ms),),
    )


def test_an_account_that_does_not_exist_has_no_view() -> None:
    world = World()
    assert queries.find_account(world.ledger, b"\x00" * 21) is None
    assert world.account(b"\x00" * 21) is NEW_ACCOUNT


def test_validators_are_listed_with_their_own_stake() -> None:
    world = World()
    views = queries.validators(world.ledger)
    assert [view.address for view in views] == sorted(operator(index) for index in range(4))
    assert {view.own_stake for view in views} == {10**13}
    assert queries.find_validator(world.ledger, account(0)) is None


def test_a_resting_chain_has_no_work_ahead() -> None:
    world = World()
    assert queries.next_work_ms(world.ledger) is None


def test_the_next_work_is_the_earlier_of_deadline_and_set_change() -> None:
    world = World()
    world.apply(world.sign(account_key(0), delegate(operator(0), 5), undelegate(operator(0), 5)))
    deadline_ms = world.time_ms + world.params.staking.unbonding_ms
    assert 0 <= queries.next_work_ms(world.ledger) - deadline_ms < 256
