"""How many proposals may be under way, and of one account; what is on record of those that have ended, and for how long."""

from __future__ import annotations

import pytest

from state import governance_queries
from state.governance_records import (
    ELECTORATES,
    PROPOSALS_OF_ONE_MAX,
    PROPOSALS_OF_OTHERS_MAX,
    PROPOSALS_VOTING_MAX,
    VOTES,
    VOTES_KEPT_MS,
    ProposalState,
    votes_kept_until_ms,
)
from state.records import number_key
from state.runtime.reasons import TransactionReason
from tests.support.chain_builders import account, operator_key
from tests.support.governing import (
    ABSTAIN,
    TEXT,
    TIMELOCK_MS,
    VETO,
    VOTING_MS,
    YES,
    Assembly,
    powers_genesis,
    propose,
)

SLOT_MS = 256
PASSED, EXECUTED, REJECTED = ProposalState.PASSED, ProposalState.EXECUTED, ProposalState.REJECTED


def test_places_are_bounded_and_some_are_the_validators_own(monkeypatch: pytest.MonkeyPatch) -> None:
    assert PROPOSALS_OF_OTHERS_MAX < PROPOSALS_VOTING_MAX
    monkeypatch.setattr("state.runtime.governance.proposals.PROPOSALS_OF_OTHERS_MAX", 2)
    monkeypatch.setattr("state.runtime.governance.proposals.PROPOSALS_VOTING_MAX", 3)
    world = Assembly(powers_genesis(34, 66))
    first = world.propose()
    world.propose()
    assert world.reason_of(TEXT) == TransactionReason.TOO_MANY_PROPOSALS
    for reason in ("", TransactionReason.TOO_MANY_PROPOSALS):
        (receipt,) = world.apply(world.sign(operator_key(0), propose())).receipts
        assert receipt.reason == reason
    world.vote(0, VETO, first)
    world.vote(0, VETO, first + 1)
    assert world.reason_of(TEXT) == ""


def test_one_account_has_few_places_and_each_that_ends_is_free_again() -> None:
    world = Assembly(powers_genesis(34, 66))
    for _ in range(PROPOSALS_OF_ONE_MAX):
        number = world.propose()
    assert world.reason_of(TEXT) == TransactionReason.TOO_MANY_OWN_PROPOSALS
    world.propose(proposer=1)
    assert world.own_counts() == {account(0): PROPOSALS_OF_ONE_MAX, account(1): 1}
    world.vote(0, VETO, number)
    assert world.own_counts() == {account(0): PROPOSALS_OF_ONE_MAX - 1, account(1): 1}
    world.propose()
    world.apply(interval_ms=VOTING_MS + SLOT_MS)
    assert (world.own_counts(), world.books.voting_count) == ({}, 0)


def test_a_passed_proposal_keeps_its_place_until_the_end_of_the_timelock() -> None:
    world = Assembly(powers_genesis(60, 40))
    world.propose()
    world.vote(0, YES)
    assert (world.standing(), world.own_counts()) == ((PASSED, ""), {account(0): 1})
    world.apply(interval_ms=TIMELOCK_MS + SLOT_MS)
    assert (world.standing(), world.own_counts()) == ((EXECUTED, ""), {})


def on_record(world: Assembly, number: int = 1) -> tuple[bool, int]:
    """Return whether the electorate of a proposal is on record, and how many votes are."""
    prefix = VOTES.prefix + number_key(number)
    votes = sum(key.startswith(prefix) for key in world.state)
    return world.ledger.find(ELECTORATES, number_key(number)) is not None, votes


@pytest.mark.parametrize("is_early", [True, False], ids=["decided by a vote", "decided by time"])
def test_votes_on_what_has_ended_are_forgotten_after_their_time_and_the_tallies_stay(is_early: bool) -> None:
    world = Assembly(powers_genesis(34, 33, 33))
    world.propose()
    world.vote(1, ABSTAIN)
    if is_early:
        world.vote(0, VETO)
    else:
        world.apply(interval_ms=VOTING_MS)
    ended = world.proposal()
    assert (ended.state, on_record(world)) == (REJECTED, (True, 1 + is_early))
    world.apply(interval_ms=votes_kept_until_ms(ended) - world.time_ms - 1)
    assert on_record(world) == (True, 1 + is_early)
    voters = governance_queries.voters(world.ledger, 1, 10)
    assert voters is not None
    assert [each.choice for each in voters.voters].count(None) == 2 - is_early
    world.apply(interval_ms=SLOT_MS)
    assert (on_record(world), world.proposal()) == ((False, 0), ended)
    assert governance_queries.voters(world.ledger, 1, 10) is None
    assert world.vote(2, YES) == TransactionReason.VOTING_OVER


def test_many_votes_are_forgotten_a_few_in_a_block_and_nobody_seems_not_to_have_voted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("state.runtime.governance.proposals.VOTES_FORGOTTEN_MAX", 2)
    world = Assembly(powers_genesis(20, 20, 20, 20, 20))
    world.propose()
    for index in range(5):
        world.vote(index, ABSTAIN)
    assert (world.standing(), on_record(world)) == ((REJECTED, TransactionReason.MAJORITY_MISSED), (True, 5))
    world.apply(interval_ms=VOTES_KEPT_MS + SLOT_MS)
    seen = []
    for _ in range(4):
        seen.append((on_record(world), governance_queries.voters(world.ledger, 1, 10)))
        world.apply(interval_ms=SLOT_MS)
    assert seen == [((True, 3), None), ((True, 1), None), ((False, 0), None), ((False, 0), None)]
