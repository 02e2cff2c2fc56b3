"""What replaces a whole group fails if the group was changed since it was proposed: nobody undoes what nobody spoke of."""

from __future__ import annotations

from msgspec.structs import replace

from state.governance_messages import ListPlatform, SetRules
from state.governance_queries import find_proposal
from state.governance_records import ProposalState
from state.records import ONLY
from state.runtime.governance.basis import find_basis
from state.runtime.reasons import TransactionReason
from state.trust_records import APPRAISAL_RULES
from tests.support.chain_builders import account, operator_key
from tests.support.governing import (
    DEPOSIT,
    NO_CHANGE,
    TEXT,
    TIMELOCK_MS,
    YES,
    Assembly,
    change,
    powers_genesis,
    vote,
)

EXECUTED, FAILED = ProposalState.EXECUTED, ProposalState.FAILED


def is_stale(world: Assembly, number: int) -> bool:
    """Tell what readers are told."""
    view = find_proposal(world.ledger, number)
    assert view is not None
    return view.is_stale


def test_of_two_changes_of_one_group_the_second_fails_and_undoes_nothing_of_the_first() -> None:
    """Given two proposals on one group, one of another group and one on two, then whatever replaces what has moved fails."""
    world = Assembly(powers_genesis(60, 40))
    before = world.params
    fees, accounts = change(world.params, "fees", base=7), change(world.params, "accounts", auth_delay_ms=5)
    payloads = (
        fees,
        change(world.params, "fees", per_byte=8),
        accounts,
        replace(fees, market=replace(before.market, fee_bp=3)),
    )
    numbers = [world.propose(payload) for payload in payloads]
    world.apply(world.sign(operator_key(0), *(vote(YES, number) for number in numbers)))
    balance = world.balance(account(0))
    world.apply(interval_ms=TIMELOCK_MS + 256)
    moved = (FAILED, TransactionReason.BASIS_MOVED)
    assert [world.standing(number) for number in numbers] == [(EXECUTED, ""), moved, (EXECUTED, ""), moved]
    assert world.params == replace(
        before, fees=replace(before.fees, base=7), accounts=replace(before.accounts, auth_delay_ms=5)
    )
    assert world.balance(account(0)) == balance + 4 * DEPOSIT


def test_of_two_sets_of_rules_the_second_fails() -> None:
    world = Assembly(powers_genesis(60, 40))
    rules = world.ledger.get(APPRAISAL_RULES, ONLY)
    numbers = [world.propose(SetRules(rules=replace(rules, standing_min=standing))) for standing in (4, 5)]
    world.apply(world.sign(operator_key(0), *(vote(YES, number) for number in numbers)))
    world.apply(interval_ms=TIMELOCK_MS + 256)
    assert [world.standing(number) for number in numbers] == [(EXECUTED, ""), (FAILED, TransactionReason.BASIS_MOVED)]
    assert world.ledger.get(APPRAISAL_RULES, ONLY) == replace(rules, standing_min=4)


def test_what_has_come_back_to_what_it_was_may_be_replaced() -> None:
    world = Assembly(powers_genesis(60, 40, voting_ms=1_000_000))
    before = world.params
    waiting = world.propose(change(world.params, "fees", base=9))
    world.enact(change(world.params, "fees", base=7))
    assert is_stale(world, waiting)
    world.enact(replace(NO_CHANGE, fees=before.fees))
    assert not is_stale(world, waiting)
    world.vote(0, YES, waiting)
    world.apply(interval_ms=TIMELOCK_MS + 256)
    assert (world.standing(waiting), world.params.fees.base) == ((EXECUTED, ""), 9)


def test_what_has_ended_is_not_stale_whatever_changes() -> None:
    world = Assembly(powers_genesis(60, 40))
    world.enact(change(world.params, "fees", base=7))
    world.enact(change(world.params, "fees", base=8))
    assert not is_stale(world, 1)


def test_kinds_that_replace_nothing_whole_have_no_basis() -> None:
    ledger = Assembly().ledger
    assert find_basis(ledger, TEXT) == find_basis(ledger, ListPlatform(platform=b"\x01\xaa", verdict=None)) == b""
