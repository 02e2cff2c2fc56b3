"""The state machine of proposals, whole: every step that its table lists, and in every state all that is refused."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product

import pytest

from state.governance_messages import Payload, SetBrake, VoteChoice
from state.governance_records import PROPOSALS, ProposalState
from state.records import number_key
from state.runtime.life_tables import PROPOSAL_STEPS, ProposalTrigger
from state.trust_records import Brake, BrakeScope
from tests.support.chain_builders import account_key
from tests.support.governing import (
    ABSTAIN,
    NO,
    TEXT,
    TIMELOCK_MS,
    VETO,
    VOTING_MS,
    YES,
    Assembly,
    change,
    powers_genesis,
    vote,
)
from tests.support.step_tables import listed

V, P, E, F, R, D = ProposalState
T = ProposalTrigger
SLOT_MS = 256
SECOND_MS = 1_000
Step = tuple[int, VoteChoice] | Callable[[Assembly], object]


def text(_world: Assembly) -> Payload:
    return TEXT


def fees(world: Assembly) -> Payload:
    return change(world.params, "fees", base=7)


def brake(world: Assembly, seconds: int = 3_600) -> Payload:
    return SetBrake(brake=Brake(scope=BrakeScope.ORDERS, subject=b"", until_ms=world.time_ms + seconds * SECOND_MS))


def short_brake(world: Assembly) -> Payload:
    """A brake that is over before the time for votes is."""
    return brake(world, 100)


def lower_share(world: Assembly) -> None:
    """Let brakes need no more than the power of validator 0."""
    world.enact(change(world.params, "governance", brake_bp=5_100))


def move_basis(world: Assembly) -> None:
    """Change what proposal 1 is about by another proposal."""
    world.enact(change(world.params, "fees", per_byte=9))


def wait(world: Assembly) -> None:
    """Outlast a short brake, but not the time for votes."""
    world.apply(interval_ms=world.proposal().created_ms + 110 * SECOND_MS - world.time_ms)


def voting_ends(world: Assembly) -> None:
    world.apply(interval_ms=world.proposal().vote_until_ms + SLOT_MS - world.time_ms)


def timelock_ends(world: Assembly) -> None:
    world.apply(interval_ms=world.proposal().execute_at_ms + SLOT_MS - world.time_ms)


def trigger_of(step: Step) -> ProposalTrigger:
    """Return what a step is to the table."""
    if isinstance(step, tuple):
        return T.VETO if step[1] is VETO else T.VOTE
    return {voting_ends: T.VOTE_UNTIL, timelock_ends: T.EXECUTE_AT}[step]


Case = tuple[ProposalState, ProposalTrigger, ProposalState, Callable[[Assembly], Payload], Sequence[Step], str]
CASES: list[Case] = [
    (V, T.VOTE, V, text, [(3, NO)], ""),
    (V, T.VOTE, P, text, [(0, YES), (1, ABSTAIN)], ""),
    (V, T.VOTE, E, brake, [(0, YES), (1, YES)], ""),
    (V, T.VOTE, F, short_brake, [(0, YES), wait, (1, YES)], "until_past"),
    (V, T.VOTE, R, text, [(0, NO)], "majority_missed"),
    (V, T.VETO, V, text, [(3, VETO)], ""),
    (V, T.VETO, P, text, [(0, YES), (1, VETO)], ""),
    (V, T.VETO, E, brake, [(0, YES), lower_share, (3, VETO)], ""),
    (V, T.VETO, F, short_brake, [(0, YES), lower_share, wait, (3, VETO)], "until_past"),
    (V, T.VETO, R, text, [(1, VETO), (2, VETO)], "voted_down"),
    (V, T.VOTE_UNTIL, P, text, [(0, ABSTAIN), (1, YES), voting_ends], ""),
    (V, T.VOTE_UNTIL, E, brake, [(0, YES), lower_share, voting_ends], ""),
    (V, T.VOTE_UNTIL, F, short_brake, [(0, YES), lower_share, voting_ends], "until_past"),
    (V, T.VOTE_UNTIL, R, text, [voting_ends], "quorum_missed"),
    (P, T.VETO, P, text, [(0, YES), (1, YES), (3, VETO)], ""),
    (P, T.VETO, D, text, [(0, YES), (1, YES), (0, VETO)], ""),
    (P, T.EXECUTE_AT, E, fees, [(0, YES), (1, YES), timelock_ends], ""),
    (P, T.EXECUTE_AT, F, fees, [move_basis, (0, YES), (1, YES), timelock_ends], "basis_moved"),
]
"""State, what happens last of some steps, the state then; and why. Shares that change meanwhile count at once."""
PATHS: dict[ProposalState, Case] = {V: CASES[0], P: CASES[1], E: CASES[2], F: CASES[3], R: CASES[4], D: CASES[15]}
"""A way to each state."""


def assembly() -> Assembly:
    """Return four validators, of whom the first one has a majority, but no quorum."""
    return Assembly(powers_genesis(51, 17, 17, 15, quorum_bp=6_500))


def take(world: Assembly, step: Step) -> None:
    """Let a vote be given, which may be, or let something else happen."""
    if isinstance(step, tuple):
        assert world.vote(*step) == ""
    else:
        step(world)


def brought_to(state: ProposalState) -> Assembly:
    """Return a world whose proposal 1 is in this state."""
    _, _, _, payload, steps, _ = PATHS[state]
    world = assembly()
    world.propose(payload(world))
    for step in steps:
        take(world, step)
    assert world.proposal().state is state
    return world


@pytest.mark.parametrize("case", CASES, ids=lambda case: "-".join(str(each) for each in case[:3]))
def test_every_step_leads_where_the_table_says(case: Case) -> None:
    before, trigger, after, payload, steps, reason = case
    assert trigger is trigger_of(steps[-1])
    world = assembly()
    assert world.ledger.find(PROPOSALS, number_key(1)) is None
    world.propose(payload(world))
    assert world.standing() == (V, "")
    for step in steps[:-1]:
        take(world, step)
    assert world.standing() == (before, "")
    take(world, steps[-1])
    assert world.standing() == (after, reason)


def test_the_table_lists_what_is_tried_here_and_nothing_else() -> None:
    assert listed(PROPOSAL_STEPS) == {(None, T.PROPOSE, V), *(case[:3] for case in CASES)}
    assert PROPOSAL_STEPS.keys() == {None, *ProposalState}


@pytest.mark.parametrize("state", ProposalState)
def test_a_vote_that_the_table_does_not_list_is_refused_and_so_is_every_vote_of_others(state: ProposalState) -> None:
    world = brought_to(state)
    before = world.proposal()
    for choice in VoteChoice:
        is_listed = trigger_of((3, choice)) in PROPOSAL_STEPS[state]
        assert is_listed is (state is V or (state, choice) == (P, VETO))
        (receipt,) = world.apply(world.sign(account_key(0), vote(choice))).receipts
        assert receipt.reason == ("no_power" if is_listed else "voting_over")
        if not is_listed:
            assert world.vote(3, choice) == "voting_over"
    assert world.proposal() == before


@pytest.mark.parametrize("state", [E, F, R, D])
def test_no_date_moves_a_proposal_that_has_ended(state: ProposalState) -> None:
    world = brought_to(state)
    before = world.proposal()
    for _ in range(3):
        world.apply(interval_ms=VOTING_MS + TIMELOCK_MS)
    assert world.proposal() == before
    assert PROPOSAL_STEPS[state] == {}


def test_the_end_of_the_time_for_votes_does_not_move_what_has_passed() -> None:
    world = Assembly(powers_genesis(60, 40, timelock_ms=2 * VOTING_MS))
    world.propose()
    assert world.vote(0, YES) == ""
    voting_ends(world)
    assert world.standing() == (P, "")
    timelock_ends(world)
    assert world.standing() == (E, "")


def test_nobody_votes_on_what_was_never_proposed() -> None:
    world = assembly()
    for index, choice in product((0, 3), VoteChoice):
        assert world.vote(index, choice) == "no_proposal"
    assert world.ledger.find(PROPOSALS, number_key(1)) is None
