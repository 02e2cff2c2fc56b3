"""Counting votes: what is verified when, what convicts, and what junk can do."""

from __future__ import annotations

from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consensus.vote_tally import NULLIFY_CHOICE, VOTES_PER_VALIDATOR_MAX, Outcome, VoteTally, choice_of
from state.votes import Vote, VoteKind, are_conflicting
from tests.support.consensus_cast import HASH_A, HASH_B, RESULT_B, F, N, X, is_signed, vote, votes
from tests.support.consensus_toys import toy_set

LEADER = 3


class Counting:
    """A verifier that counts its calls."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, one: Vote) -> bool:
        self.calls += 1
        return is_signed(one)


def tally_of(powers: tuple[int, ...] = (1, 1, 1, 1)) -> tuple[VoteTally, Counting]:
    verify = Counting()
    return VoteTally(toy_set(powers), LEADER, verify), verify


def offer_all(tally: VoteTally, many: list[Vote]) -> list[Outcome]:
    return [tally.offer(one, f"v{one.validator}") for one in many]


# laziness


def test_votes_are_verified_together_when_they_could_complete_a_quorum():
    tally, verify = tally_of()
    two = votes(N, [0, 1])

    assert [outcome.has_counted for outcome in offer_all(tally, two)] == [False, False]
    assert verify.calls == 0
    assert offer_all(tally, [vote(N, 2)])[0].has_counted
    assert verify.calls == 3
    assert tally.power_of(choice_of(vote(N, 2))) == 3


def test_votes_after_a_quorum_are_not_verified():
    tally, verify = tally_of()
    offer_all(tally, votes(N, [0, 1, 2, 3]))

    assert verify.calls == 3
    assert sorted(tally.votes_for(choice_of(vote(N, 0)))) == [0, 1, 2]


def test_the_first_nullify_vote_is_verified_at_once():
    tally, verify = tally_of()
    offer_all(tally, [vote(X, 0)])

    assert verify.calls == 1
    assert tally.has_nullify()


def test_a_third_of_nullify_power_is_verified_at_once():
    tally, verify = tally_of((1,) * 7)
    offer_all(tally, votes(X, [0, 1]))
    assert verify.calls == 1
    offer_all(tally, [vote(X, 2)])

    assert verify.calls == 3
    assert tally.power_of(NULLIFY_CHOICE) == 3


def test_the_nullify_vote_of_the_leader_is_verified_at_once():
    tally, verify = tally_of((1,) * 7)
    offer_all(tally, votes(X, [0, LEADER]))

    assert LEADER in tally.votes_for(NULLIFY_CHOICE)
    assert verify.calls == 2


def test_the_same_vote_again_costs_nothing():
    tally, verify = tally_of()
    for _ in range(5):
        offer_all(tally, votes(N, [0, 1, 2]))

    assert verify.calls == 3


def test_the_own_vote_has_waiting_votes_verified_that_it_completes_to_a_quorum():
    """The slowest of three that answer votes last; nothing else comes afterwards to have the others' votes verified."""
    tally, _ = tally_of()
    offer_all(tally, votes(F, [1, 2]))

    assert tally.add_verified([vote(F, 0)]).has_counted
    assert sorted(tally.votes_for(choice_of(vote(F, 0)))) == [0, 1, 2]


def test_liars_among_waiting_votes_are_named_when_the_own_vote_comes():
    tally, _ = tally_of()
    tally.offer(vote(F, 1, is_forged=True), "liar")
    tally.offer(vote(F, 2), "v2")

    assert tally.add_verified([vote(F, 0)]).liars == ("liar",)
    assert sorted(tally.votes_for(choice_of(vote(F, 0)))) == [0, 2]


@pytest.mark.parametrize("order", list(permutations(range(4))))
def test_power_decides_and_not_the_number_of_votes_or_their_order(order: tuple[int, ...]):
    powers = (5, 1, 1, 1)
    tally, _ = tally_of(powers)
    seen = 0
    for index in order:
        tally.offer(vote(N, index), f"v{index}")
        seen += powers[index]
        has_quorum = toy_set(powers).is_quorum(tally.power_of(choice_of(vote(N, 0))))
        assert has_quorum == (seen * 3 > 8 * 2)


# contradictions

CONFLICTS = [
    (vote(N, 1, 1, HASH_A), vote(N, 1, 1, HASH_B)),
    (vote(F, 1, 1, HASH_A), vote(F, 1, 1, HASH_B)),
    (vote(F, 1, 1, HASH_A), vote(F, 1, 1, HASH_A, RESULT_B)),
    (vote(X, 1), vote(F, 1, 1, HASH_A)),
    (vote(N, 1, 1, HASH_A), vote(F, 1, 1, HASH_B)),
]


@pytest.mark.parametrize(("first", "second"), [*CONFLICTS, *((b, a) for a, b in CONFLICTS)])
def test_a_contradiction_is_found_at_once_and_once(first: Vote, second: Vote):
    tally, _ = tally_of()
    tally.offer(first, "v1")

    assert set(tally.offer(second, "v2").conflicts) == {(first, second)}
    assert tally.offer(second, "v2").conflicts == ()


@pytest.mark.parametrize(
    ("first", "second"), [(vote(N, 1), vote(X, 1)), (vote(N, 1), vote(F, 1)), (vote(X, 1), vote(N, 1, 1, HASH_B))]
)
def test_what_a_correct_validator_may_sign_is_no_contradiction(first: Vote, second: Vote):
    tally, _ = tally_of()
    tally.offer(first, "v1")

    assert tally.offer(second, "v1").conflicts == ()


def test_a_vote_inside_a_certificate_convicts_too():
    tally, _ = tally_of()
    tally.add_verified(votes(N, [0, 1, 2]))

    outcome = tally.offer(vote(N, 1, 1, HASH_B), "v1")
    assert outcome.conflicts == ((vote(N, 1), vote(N, 1, 1, HASH_B)),)


def test_a_contradiction_that_completes_a_quorum_counts():
    tally, _ = tally_of()
    tally.offer(vote(N, 3, 1, HASH_B), "v3")
    offer_all(tally, votes(N, [1, 2]))
    outcome = tally.offer(vote(N, 3), "v3")

    assert len(outcome.conflicts) == 1
    assert tally.power_of(choice_of(vote(N, 3))) == 3


def test_a_convicted_validator_costs_no_more_verifications():
    tally, verify = tally_of()
    for number in range(50):
        tally.offer(vote(N, 1, 1, bytes([number]) * 32), "v1")

    assert verify.calls == VOTES_PER_VALIDATOR_MAX
    assert len(tally.choices(N)) == VOTES_PER_VALIDATOR_MAX


# junk


def test_junk_in_the_name_of_another_takes_no_place_of_its_votes():
    tally, _ = tally_of()
    for index in (0, 1, 2):
        tally.offer(vote(N, index, is_forged=True), "liar")
    outcomes = offer_all(tally, votes(N, [0, 1, 2]))

    assert outcomes[-1].has_counted
    assert sorted(tally.votes_for(choice_of(vote(N, 0)))) == [0, 1, 2]


def test_junk_that_contradicts_convicts_nobody_and_names_its_sender():
    tally, _ = tally_of()
    tally.offer(vote(N, 1), "v1")
    outcome = tally.offer(vote(N, 1, 1, HASH_B, is_forged=True), "liar")

    assert outcome == Outcome((), ("liar",), has_counted=True)
    assert sorted(tally.votes_for(choice_of(vote(N, 1)))) == [1]


def test_two_pieces_of_junk_are_both_thrown_out():
    tally, _ = tally_of()
    tally.offer(vote(N, 1, 1, HASH_A, is_forged=True), "liar")
    outcome = tally.offer(vote(N, 1, 1, HASH_B, is_forged=True), "other liar")

    assert outcome == Outcome((), ("liar", "other liar"), has_counted=False)


def test_junk_nullify_wakes_nobody():
    tally, _ = tally_of()

    assert tally.offer(vote(X, 1, is_forged=True), "liar").liars == ("liar",)
    assert not tally.has_nullify()


KINDS = st.sampled_from(list(VoteKind))
OFFERS = st.tuples(KINDS, st.integers(0, 3), st.sampled_from([HASH_A, HASH_B]), st.booleans(), st.integers(0, 4))


@given(st.lists(OFFERS, max_size=40))
def test_whatever_comes_only_signed_votes_count_and_true_contradictions_are_told(offers):
    tally, _ = tally_of()
    told: list[tuple[Vote, Vote]] = []
    for kind, index, block_hash, is_forged, peer in offers:
        told += tally.offer(vote(kind, index, 1, block_hash, is_forged=is_forged), f"v{peer}").conflicts

    for kind in VoteKind:
        for choice in tally.choices(kind):
            counted = tally.votes_for(choice)
            assert all(is_signed(one) and choice_of(one) == choice for one in counted.values())
            assert tally.power_of(choice) == len(counted)
    for first, second in told:
        assert are_conflicting(first, second)
        assert is_signed(first)
        assert is_signed(second)
        assert first.validator == second.validator
    contradicted = {
        one.validator
        for kind, index, block_hash, is_forged, _ in offers
        if not is_forged
        for one in [vote(kind, index, 1, block_hash)]
        for other_kind, other_index, other_hash, is_other_forged, _ in offers
        if not is_other_forged and other_index == index
        if are_conflicting(one, vote(other_kind, index, 1, other_hash))
    }
    # A peer that sends forged votes of a validator may thereby keep its own true ones of it from being looked at.
    forged = {index for _, index, _, is_forged, _ in offers if is_forged}
    convicted = {first.validator for first, _ in told}
    assert convicted <= contradicted
    assert convicted - forged == contradicted - forged
