"""R3 as a function: each wrong field makes a proposal invalid, each missing thing is named, and nothing else is changed by it."""

from __future__ import annotations

import pytest
from msgspec import structs

from consensus.epoch_state import EpochState
from consensus.judgement import Circumstances, Verdict, is_list_of, is_well_formed, judge
from consensus.messages import Proposal
from consensus.timeouts import TimingParameters
from state.block import BlockReference, Header, hash_header
from state.validators import ValidatorSet
from tests.support.consensus_cast import (
    HASH_B,
    RESULT_B,
    F,
    N,
    X,
    certificate,
    child_header,
    proposal_of,
    state_at_genesis,
    vote,
)
from tests.support.consensus_toys import CHAIN_ID, GENESIS_TIME_MS, toy_set

CIRCUMSTANCES = Circumstances(CHAIN_ID, 0, GENESIS_TIME_MS + 20, TimingParameters())
GAP = [certificate(X, 1), certificate(X, 2)]


def state_with(proposal: Proposal) -> EpochState:
    """Return a state in which everything that the proposal needs is known, and its block is whole and valid."""
    state = state_at_genesis()
    for one in proposal.justify:
        state.view_state(one.view).certificates[one.kind] = one
    block_state = state.block_state(proposal.vote.block_hash, proposal.header)
    block_state.is_body_here = True
    block_state.is_valid = True
    return state


def good_header() -> Header:
    """Return the header of a block of view 3 on the root, over two nullified views."""
    return child_header(state_at_genesis().tip, 3, 0)


def verdict_of(header: Header) -> Verdict:
    proposal = proposal_of(header, view=3, parent_view=0, justify=GAP)
    return judge(proposal, state_with(proposal), CIRCUMSTANCES)


def test_a_child_of_a_certified_parent_over_nullified_views_is_valid():
    assert verdict_of(good_header()) is Verdict.VALID


@pytest.mark.parametrize(
    "change",
    [
        {"version": 2},
        {"chain_id": bytes(32)},
        {"epoch": 1},
        {"view": 2},
        {"view": 4},
        {"height": 0},
        {"height": 2},
        {"time_ms": GENESIS_TIME_MS},
        {"time_ms": GENESIS_TIME_MS + 20 + 501},
        {"parent_hash": bytes(32)},
        {"parent_view": 1},
        {"parent_result": bytes(32)},
        {"proposer": bytes(21)},
        {"validators_hash": bytes(32)},
    ],
    ids=lambda change: " ".join(f"{name}={field}"[:24] for name, field in change.items()),
)
def test_each_wrong_field_of_the_header_is_invalid_on_its_own(change: dict[str, object]):
    header = structs.replace(good_header(), **change)
    proposal = structs.replace(
        proposal_of(header, view=3, parent_view=0, justify=GAP), epoch=0, vote=vote(N, 1, 3, hash_header(header))
    )

    assert judge(proposal, state_with(proposal), CIRCUMSTANCES) is Verdict.INVALID


def test_every_field_of_the_header_is_judged():
    """Of a new field in the header this test says that it needs a rule; the list of transactions has its own."""
    judged = {
        *("version", "chain_id", "epoch", "view", "height", "time_ms", "parent_hash", "parent_view", "parent_result"),
        *("proposer", "validators_hash"),
    }
    assert judged | {"tx_root", "tx_count"} == set(Header.__struct_fields__)


@pytest.mark.parametrize("change", [{"tx_root": bytes(32)}, {"tx_count": 1}, {"tx_count": 3}])
def test_the_list_of_transactions_is_the_one_that_the_header_commits_to(change: dict[str, object]):
    header = child_header(state_at_genesis().tip, 1, 0, envelopes=[b"a", b"b"])

    assert is_list_of(proposal_of(header, envelopes=[b"a", b"b"]))
    assert not is_list_of(proposal_of(header, envelopes=[b"b", b"a"]))
    assert not is_list_of(proposal_of(structs.replace(header, **change), envelopes=[b"a", b"b"]))


def test_a_block_proposed_again_lists_nothing():
    header = child_header(state_at_genesis().tip, 1, 0, envelopes=[b"a"])

    assert is_list_of(proposal_of(header, view=2, parent_view=1))
    assert not is_list_of(proposal_of(header, view=2, parent_view=1, envelopes=[b"a"]))


# what is not known yet


def test_a_missing_nullification_is_fetched():
    proposal = proposal_of(good_header(), justify=GAP)
    state = state_with(proposal)
    del state.views[2].certificates[X]

    assert judge(proposal, state, CIRCUMSTANCES) is Verdict.NEEDS_CERTIFICATES


def test_a_missing_certificate_of_the_parent_is_fetched():
    proposal = proposal_of(child_header(state_at_genesis().tip, 3, 2))

    assert judge(proposal, state_with(proposal), CIRCUMSTANCES) is Verdict.NEEDS_CERTIFICATES


def test_a_parent_that_is_not_executed_is_waited_for():
    parent = child_header(state_at_genesis().tip, 1, 0)
    reference = BlockReference(block_hash=hash_header(parent), height=1, time_ms=parent.time_ms, result=RESULT_B)
    proposal = proposal_of(child_header(reference, 2, 1), justify=[certificate(N, 1, reference.block_hash)])

    assert judge(proposal, state_with(proposal), CIRCUMSTANCES) is Verdict.NEEDS_PARENT


@pytest.mark.parametrize(
    ("is_body_here", "is_valid", "expected"),
    [
        (False, None, Verdict.NEEDS_BODY),
        (True, None, Verdict.NEEDS_CHECK),
        (True, True, Verdict.VALID),
        (True, False, Verdict.INVALID),
    ],
)
def test_transactions_are_gathered_and_checked(is_body_here: bool, is_valid: bool | None, expected: Verdict):
    proposal = proposal_of(good_header(), justify=GAP)
    state = state_with(proposal)
    block_state = state.blocks[proposal.vote.block_hash]
    block_state.is_body_here, block_state.is_valid = is_body_here, is_valid

    assert judge(proposal, state, CIRCUMSTANCES) is expected


def test_a_false_header_is_told_without_waiting_for_its_transactions():
    header = structs.replace(good_header(), parent_result=bytes(32))
    proposal = proposal_of(header, justify=GAP)
    state = state_with(proposal)
    state.blocks[proposal.vote.block_hash].is_body_here = False

    assert judge(proposal, state, CIRCUMSTANCES) is Verdict.INVALID


def test_a_parent_below_the_final_view_is_invalid_for_good():
    proposal = proposal_of(good_header(), justify=GAP)
    state = state_with(proposal)
    state.final_view = 1

    assert judge(proposal, state, CIRCUMSTANCES) is Verdict.INVALID


# sealing blocks


def sealed(next_validators: ValidatorSet) -> tuple[EpochState, BlockReference, Header]:
    """Return a state with a block of view 1 that is notarised and executed, and this set after it."""
    state = state_at_genesis()
    header = child_header(state.tip, 1, 0)
    reference = BlockReference(block_hash=hash_header(header), height=1, time_ms=header.time_ms, result=RESULT_B)
    block_state = state.block_state(reference.block_hash, header)
    block_state.reference, block_state.next_validators = reference, next_validators
    block_state.is_body_here = block_state.is_valid = True
    state.view_state(1).certificates[N] = certificate(N, 1, reference.block_hash)
    return state, reference, header


@pytest.mark.parametrize(
    ("powers", "again", "child"),
    [((1, 1, 1, 2), Verdict.VALID, Verdict.INVALID), ((1, 1, 1, 1), Verdict.INVALID, Verdict.VALID)],
    ids=["sealing", "plain"],
)
def test_a_sealing_block_is_proposed_again_and_has_no_children_others_the_reverse(
    powers: tuple[int, ...], again: Verdict, child: Verdict
):
    state, reference, header = sealed(toy_set(powers))
    repeated = proposal_of(header, view=2, parent_view=1)
    following = proposal_of(child_header(reference, 2, 1))
    block_state = state.block_state(following.vote.block_hash, following.header)
    block_state.is_body_here = block_state.is_valid = True

    assert judge(repeated, state, CIRCUMSTANCES) is again
    assert judge(following, state, CIRCUMSTANCES) is child


def test_the_root_of_an_epoch_is_never_proposed_again():
    state = state_at_genesis()
    proposal = structs.replace(proposal_of(good_header(), justify=GAP), vote=vote(N, 1, 3, state.start.root.block_hash))
    for one in GAP:
        state.view_state(one.view).certificates[X] = one

    assert judge(proposal, state, CIRCUMSTANCES) is Verdict.INVALID


# what no correct leader says


def test_a_good_proposal_is_well_formed():
    assert is_well_formed(proposal_of(good_header(), justify=GAP), state_at_genesis(), CHAIN_ID)


@pytest.mark.parametrize(
    "change",
    [
        {"epoch": 1},
        {"view": 4},
        {"parent_view": 3},
        {"vote": vote(N, 0, 3, hash_header(good_header()))},
        {"vote": vote(N, 1, 2, hash_header(good_header()))},
        {"vote": vote(N, 1, 3, HASH_B)},
        {"vote": vote(F, 1, 3, hash_header(good_header()))},
        {"vote": structs.replace(vote(X, 1, 3), block_hash=hash_header(good_header()))},
        {"vote": structs.replace(vote(N, 1, 3, hash_header(good_header())), result=RESULT_B)},
        {"justify": tuple(reversed(GAP))},
        {"justify": (*GAP, certificate(N, 2))},
        {"justify": (certificate(N, 1), *GAP)},
        {"justify": (*GAP, certificate(X, 3))},
    ],
    ids=str,
)
def test_what_no_leader_says_is_malformed(change: dict[str, object]):
    proposal = structs.replace(proposal_of(good_header(), justify=GAP), **change)

    assert not is_well_formed(proposal, state_at_genesis(), CHAIN_ID)


@pytest.mark.parametrize("height", [0, 4])
def test_a_height_outside_the_views_since_the_final_block_is_malformed(height: int):
    header = structs.replace(good_header(), height=height)

    assert not is_well_formed(proposal_of(header, justify=GAP), state_at_genesis(), CHAIN_ID)


def test_growth_of_the_delay_saves_a_block_that_is_slow_to_arrive():
    header = good_header()
    late = structs.replace(CIRCUMSTANCES, received_ms=header.time_ms + 3_000)
    proposal = proposal_of(header, justify=GAP)
    state = state_with(proposal)

    assert judge(proposal, state, late) is Verdict.INVALID
    assert judge(proposal, state, structs.replace(late, failed_views=1)) is Verdict.VALID
