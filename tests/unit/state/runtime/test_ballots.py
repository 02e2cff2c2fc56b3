"""How votes decide: exact at every bound, and early only where the missing votes cannot change it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import pytest
from msgspec.structs import replace

from state.development_genesis import DEVELOPMENT_PARAMS
from state.governance_messages import EndOrder, Payload, VoteChoice
from state.governance_records import Proposal, ProposalState
from state.runtime.governance.ballots import final_decision, find_early_decision, recount
from state.runtime.reasons import TransactionReason
from tests.support.governing import TEXT

GOVERNANCE = DEVELOPMENT_PARAMS.governance
BRAKE = EndOrder(order=bytes(21))
PASSES = "passes"
QUORUM, MAJORITY, DOWN = (
    TransactionReason.QUORUM_MISSED,
    TransactionReason.MAJORITY_MISSED,
    TransactionReason.VOTED_DOWN,
)


def proposal(total: int, yes: int, no: int, abstain: int, veto: int, payload: Payload = TEXT) -> Proposal:
    return Proposal(
        proposer=bytes(21),
        title="",
        payload=payload,
        basis=b"",
        deposit=0,
        state=ProposalState.VOTING,
        reason="",
        created_ms=0,
        created_height=0,
        vote_until_ms=0,
        execute_at_ms=0,
        decided_ms=0,
        power_total=total,
        power_yes=yes,
        power_no=no,
        power_abstain=abstain,
        power_veto=veto,
    )


def early(counted: Proposal, governance=GOVERNANCE) -> str | None:
    decision = find_early_decision(counted, governance)
    return None if decision is None else decision.reason or PASSES


def final(counted: Proposal, governance=GOVERNANCE) -> str:
    return final_decision(counted, governance).reason or PASSES


@pytest.mark.parametrize(
    ("tallies", "at_end", "at_once"),
    [
        pytest.param((0, 0, 0, 0), QUORUM, None, id="nobody"),
        pytest.param((3_999, 0, 0, 0), QUORUM, None, id="one below the quorum"),
        pytest.param((4_000, 0, 0, 0), PASSES, None, id="the quorum alone"),
        pytest.param((1, 0, 3_999, 0), PASSES, None, id="one yes and abstentions"),
        pytest.param((0, 0, 4_000, 0), MAJORITY, None, id="abstentions alone"),
        pytest.param((5_000, 0, 0, 0), PASSES, None, id="half of all"),
        pytest.param((5_001, 0, 0, 0), PASSES, PASSES, id="more than half of all"),
        pytest.param((2_500, 2_500, 0, 0), MAJORITY, None, id="half of those who decide"),
        pytest.param((2_501, 2_500, 0, 0), PASSES, None, id="one more"),
        pytest.param((2_500, 1_250, 0, 1_250), MAJORITY, None, id="a veto is a no"),
        pytest.param((0, 4_999, 0, 0), MAJORITY, None, id="the rest can still pass it"),
        pytest.param((0, 5_000, 0, 0), MAJORITY, MAJORITY, id="the rest can no longer pass it"),
        pytest.param((0, 0, 10_000, 0), MAJORITY, MAJORITY, id="all abstain"),
        pytest.param((5_001, 0, 0, 3_339), PASSES, PASSES, id="one below the veto"),
        pytest.param((5_001, 0, 0, 3_340), DOWN, DOWN, id="the veto"),
        pytest.param((0, 0, 0, 3_340), DOWN, DOWN, id="the veto without a quorum"),
    ],
)
def test_shares_are_exact_at_their_bounds(tallies, at_end, at_once) -> None:
    counted = proposal(10_000, *tallies)
    assert (final(counted), early(counted)) == (at_end, at_once)


@pytest.mark.parametrize(
    ("tallies", "at_end", "at_once"),
    [
        pytest.param((6_666, 0, 0, 0), MAJORITY, None, id="one below"),
        pytest.param((6_667, 0, 0, 0), PASSES, PASSES, id="two thirds of all"),
        pytest.param((6_667, 0, 0, 3_333), PASSES, PASSES, id="whatever the rest says"),
        pytest.param((6_666, 3_333, 0, 0), MAJORITY, None, id="one is missing"),
        pytest.param((6_666, 0, 3_334, 0), MAJORITY, MAJORITY, id="abstentions count against it"),
        pytest.param((0, 3_334, 0, 0), MAJORITY, MAJORITY, id="the rest can no longer pass it"),
        pytest.param((0, 0, 0, 3_340), DOWN, DOWN, id="the veto"),
    ],
)
def test_a_brake_needs_its_share_of_all_power(tallies, at_end, at_once) -> None:
    counted = proposal(10_000, *tallies, payload=BRAKE)
    assert (final(counted), early(counted)) == (at_end, at_once)


def test_shares_do_not_overflow_or_round() -> None:
    total = 10**15 + 1
    assert final(proposal(total, (total + 1) // 2, total // 2, 0, 0)) == PASSES
    assert final(proposal(total, total // 2, (total + 1) // 2, 0, 0)) == MAJORITY
    third = -(-total * 3_340 // 10_000)
    assert final(proposal(total, total - third, 0, 0, third)) == DOWN
    assert final(proposal(total, total - third + 1, 0, 0, third - 1)) == PASSES


TOTAL = 6


def all_tallies() -> Iterator[tuple[int, int, int, int]]:
    return (each for each in product(range(TOTAL + 1), repeat=4) if sum(each) <= TOTAL)


@pytest.mark.parametrize("payload", [TEXT, BRAKE], ids=["change", "brake"])
@pytest.mark.parametrize(
    "governance",
    [
        GOVERNANCE,
        replace(GOVERNANCE, quorum_bp=8_000, pass_bp=2_000),
        replace(GOVERNANCE, quorum_bp=1_000, pass_bp=9_000),
        replace(GOVERNANCE, quorum_bp=0, pass_bp=0, veto_bp=10_000),
    ],
    ids=["usual", "much quorum", "much agreement", "no bound"],
)
def test_what_is_decided_early_stays_so_whatever_the_missing_votes_say(governance, payload) -> None:
    """What is rejected stays rejected; what passes can be turned by enough vetoes alone."""
    outcomes = {each: final(proposal(TOTAL, *each, payload=payload), governance) for each in all_tallies()}
    decisions = {each: early(proposal(TOTAL, *each, payload=payload), governance) for each in all_tallies()}
    assert set(decisions.values()) > {None, PASSES}
    for tallies, more in product(outcomes, repeat=2):
        completed = tuple(left + right for left, right in zip(tallies, more, strict=True))
        if completed in outcomes and decisions[tallies] is not None:
            can_pass = outcomes[completed] == PASSES
            assert outcomes[completed] == DOWN or can_pass is (decisions[tallies] == PASSES), (tallies, more)


@pytest.mark.parametrize("payload", [TEXT, BRAKE], ids=["change", "brake"])
def test_what_all_have_voted_on_is_decided(payload) -> None:
    for tallies in all_tallies():
        if sum(tallies) == TOTAL:
            counted = proposal(TOTAL, *tallies, payload=payload)
            outcome = early(counted)
            assert outcome == final(counted) or (outcome is None and final(counted) == PASSES), tallies


@pytest.mark.parametrize(("before", "after"), list(product((None, *VoteChoice), VoteChoice)))
def test_a_later_vote_takes_the_place_of_the_one_before(before: VoteChoice | None, after: VoteChoice) -> None:
    counted = proposal(10, 0, 0, 0, 0)
    if before is not None:
        counted = recount(counted, 3, None, before)
    counted = recount(counted, 3, before, after)
    tallies = (counted.power_yes, counted.power_no, counted.power_abstain, counted.power_veto)
    assert tallies == tuple(3 * (choice is after) for choice in VoteChoice)
