"""Counting votes: what is verified when."""

from __future__ import annotations

from consensus.vote_tally import VoteTally, choice_of
from state.votes import Vote, VoteKind, vote_signing_bytes
from tests.support.consensus_toys import CHAIN_ID, key_of, toy_set, verify_stand_in

VALIDATORS = toy_set((1, 1, 1, 1))


def vote(validator: int, kind: VoteKind = VoteKind.FINALIZE) -> Vote:
    block_hash = b"" if kind is VoteKind.NULLIFY else bytes(32)
    result = bytes(32) if kind is VoteKind.FINALIZE else b""
    message = vote_signing_bytes(CHAIN_ID, kind, 0, 1, block_hash, result)
    return Vote(
        kind=kind,
        epoch=0,
        view=1,
        block_hash=block_hash,
        result=result,
        validator=validator,
        signature=key_of(f"v{validator}", is_real=False).sign(message),
    )


def is_valid(one: Vote) -> bool:
    message = vote_signing_bytes(CHAIN_ID, one.kind, one.epoch, one.view, one.block_hash, one.result)
    return verify_stand_in(VALIDATORS.members[one.validator].public_key, one.signature, message)


def test_the_own_vote_has_waiting_votes_verified_that_it_completes_to_a_quorum() -> None:
    """The slowest of three that answer votes last; nothing else comes afterwards to have the others' votes verified."""
    tally = VoteTally(VALIDATORS, 0, is_valid)
    assert not tally.offer(vote(1), "v1").has_counted
    assert not tally.offer(vote(2), "v2").has_counted
    assert tally.add_verified([vote(0)]).has_counted
    assert sorted(tally.votes_for(choice_of(vote(0)))) == [0, 1, 2]


def test_liars_among_waiting_votes_are_named_when_the_own_vote_comes() -> None:
    tally = VoteTally(VALIDATORS, 0, is_valid)
    forged = Vote(**{field: getattr(vote(1), field) for field in Vote.__struct_fields__} | {"signature": bytes(64)})
    tally.offer(forged, "liar")
    tally.offer(vote(2), "v2")
    assert tally.add_verified([vote(0)]).liars == ("liar",)
    assert sorted(tally.votes_for(choice_of(vote(0)))) == [0, 2]
