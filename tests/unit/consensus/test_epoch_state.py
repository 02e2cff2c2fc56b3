"""What is known above the final block, and the questions that the rules ask of it."""

from __future__ import annotations

from msgspec import structs

from consensus.epoch_state import ANCESTORS_MAX, EpochState
from consensus.messages import CERTIFICATES_IN_ANSWER_MAX, NULLIFICATIONS_IN_PROPOSAL_MAX
from state.block import BlockReference, Header, hash_header
from state.votes import VoteKind
from tests.support.consensus_cast import HASH_A, RESULT_A, F, N, X, certificate, child_header, state_at_genesis
from tests.support.consensus_toys import toy_set


def add_block(state: EpochState, parent: BlockReference, view: int, parent_view: int) -> BlockReference:
    """Add an executed block that changes no validator."""
    header = child_header(parent, view, parent_view)
    reference = BlockReference(
        block_hash=hash_header(header), height=header.height, time_ms=header.time_ms, result=RESULT_A
    )
    block_state = state.block_state(reference.block_hash, header)
    block_state.reference, block_state.next_validators = reference, state.validators
    return reference


def settle(state: EpochState, kind: VoteKind, view: int, block_hash: bytes = HASH_A) -> None:
    state.view_state(view).certificates[kind] = certificate(kind, view, block_hash)


def test_at_genesis_the_root_is_final_at_view_0():
    state = state_at_genesis()

    assert state.block_hash_at(0) == state.start.root.block_hash
    assert state.is_settled(0)
    assert state.find_parent_view(1) == 0
    assert not state.is_sealing(state.start.root.block_hash)


def test_the_parent_is_the_newest_block_below_nullified_views():
    state = state_at_genesis()
    settle(state, N, 1)
    settle(state, X, 2)
    settle(state, X, 3)

    assert state.find_parent_view(4) == 1
    assert state.find_parent_view(2) == 1
    assert state.first_gap(1, 4) is None


def test_an_unsettled_view_between_hides_every_parent():
    state = state_at_genesis()
    settle(state, N, 1)
    settle(state, X, 3)

    assert state.find_parent_view(4) is None
    assert state.first_gap(1, 4) == 2


def test_a_view_with_both_certificates_is_a_parent_and_a_gap():
    state = state_at_genesis()
    settle(state, N, 1)
    settle(state, X, 1)

    assert state.find_parent_view(2) == 1
    assert state.first_gap(0, 2) is None
    assert [one.kind for one in state.certificates_from(1, 1)] == [N, X]


def test_a_finalization_names_a_block_where_the_notarization_was_missed():
    state = state_at_genesis()
    settle(state, F, 1)

    assert state.block_hash_at(1) == HASH_A
    assert state.is_settled(1)


def test_a_justification_has_the_parent_and_at_most_the_newest_eight_nullifications():
    state = state_at_genesis()
    settle(state, N, 1)
    for view in range(2, 20):
        settle(state, X, view)
    found = state.justification(1, 20)

    assert (found[0].kind, found[0].view) == (N, 1)
    assert [one.view for one in found[1:]] == list(range(20 - NULLIFICATIONS_IN_PROPOSAL_MAX, 20))


def test_an_answer_has_at_most_twelve_certificates_oldest_first_and_nothing_below_the_final_view():
    state = state_at_genesis()
    for view in range(1, 40):
        settle(state, X, view)

    assert [one.view for one in state.certificates_from(0, 39)] == list(range(1, 1 + CERTIFICATES_IN_ANSWER_MAX))
    assert state.certificates_from(5, 4) == []


def test_a_path_leads_from_the_final_block_to_a_descendant_only():
    state = state_at_genesis()
    first = add_block(state, state.tip, 1, 0)
    second = add_block(state, first, 2, 1)
    other = add_block(state, state.tip, 3, 0)

    assert state.path_from_tip(second.block_hash) == (first.block_hash, second.block_hash)
    assert state.path_from_tip(state.tip.block_hash) == ()
    assert state.path_from_tip(HASH_A) is None
    state.advance(2, second.block_hash)
    assert state.path_from_tip(other.block_hash) is None


def test_only_a_block_whose_known_ancestors_miss_the_final_one_lies_beside_it():
    state = state_at_genesis()
    first = add_block(state, state.tip, 1, 0)
    second = add_block(state, first, 2, 1)
    third = add_block(state, second, 4, 2)
    other = add_block(state, state.tip, 3, 0)
    above_other = add_block(state, other, 5, 3)
    kept = {block: state.blocks[block.block_hash] for block in (other, above_other)}
    state.advance(1, first.block_hash)
    state.blocks |= {block.block_hash: known for block, known in kept.items()}

    beside = [one for one in (first, second, third, other, above_other) if state.is_beside_tip(one.block_hash)]
    assert beside == [other, above_other]
    assert not state.is_beside_tip(HASH_A)
    del state.blocks[second.block_hash]
    assert not state.is_beside_tip(third.block_hash)
    assert state.path_from_tip(third.block_hash) is None


def test_a_new_final_block_leaves_nothing_below_it():
    state = state_at_genesis()
    first = add_block(state, state.tip, 1, 0)
    second = add_block(state, first, 2, 1)
    third = add_block(state, second, 4, 2)
    dead = add_block(state, state.tip, 3, 0)
    for view in (1, 2, 3, 4):
        settle(state, X, view)
    state.advance(2, second.block_hash)

    assert state.tip == second
    assert sorted(state.views) == [2, 3, 4]
    assert set(state.blocks) == {second.block_hash, third.block_hash}
    assert dead.block_hash not in state.blocks


def test_what_was_executed_on_a_dead_branch_is_forgotten_at_any_height():
    state = state_at_genesis()
    final = add_block(state, state.tip, 1, 0)
    dead = add_block(state, state.tip, 2, 0)
    child_of_dead = add_block(state, dead, 3, 2)
    state.advance(1, final.block_hash)

    assert state.find_executed(child_of_dead.block_hash) is None


def test_a_block_named_by_a_certificate_stays_although_its_header_is_unknown():
    state = state_at_genesis()
    final = add_block(state, state.tip, 1, 0)
    state.block_state(HASH_A, None)
    state.block_state(b"C" * 32, None)
    settle(state, N, 2, HASH_A)
    state.advance(1, final.block_hash)

    assert HASH_A in state.blocks
    assert b"C" * 32 not in state.blocks


def test_a_header_is_added_to_a_block_that_was_known_by_its_hash():
    state = state_at_genesis()
    header = child_header(state.tip, 1, 0)
    known = state.block_state(hash_header(header), None)

    assert state.block_state(hash_header(header), header) is known
    assert known.header == header


def test_a_sealing_block_changes_the_set():
    state = state_at_genesis()
    first = add_block(state, state.tip, 1, 0)

    assert not state.is_sealing(first.block_hash)
    state.blocks[first.block_hash].next_validators = toy_set((1, 1, 1, 2))
    assert state.is_sealing(first.block_hash)


def test_a_finalization_far_ahead_drops_what_lies_between():
    state = state_at_genesis()
    first = add_block(state, state.tip, 1, 0)
    far: Header = structs.replace(child_header(state.tip, 90, 89), height=ANCESTORS_MAX + 1)
    state.block_state(hash_header(far), far)
    for view in (1, 50, 90):
        settle(state, X, view)

    state.drop_superseded(certificate(F, 90, hash_header(far)))

    assert sorted(state.views) == [0, 90]
    assert first.block_hash not in state.blocks
    assert state.find_executed(state.tip.block_hash) == state.tip


def test_a_finalization_near_by_drops_nothing():
    state = state_at_genesis()
    first = add_block(state, state.tip, 1, 0)
    state.drop_superseded(certificate(F, 1, first.block_hash))

    assert first.block_hash in state.blocks
