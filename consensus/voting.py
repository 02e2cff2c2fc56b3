"""R3, R5, R6, R7: when a validator signs notarize, finalize and nullify."""

from __future__ import annotations

from consensus.effects import Broadcast, CheckBlock, ExecuteBlock, FetchBlock, Notarized, Persist
from consensus.epoch_state import ANCESTORS_MAX
from consensus.judgement import Circumstances, Verdict, judge
from consensus.messages import Proposal, VoteMessage
from consensus.participant import Participant
from consensus.proposing import FETCH_INTERVAL_MS, fetch_certificates, has_voted, notarize_support
from consensus.records import NotarizationRecord
from consensus.view_state import BlockState, ViewState
from consensus.vote_tally import NULLIFY_CHOICE
from state.votes import VoteKind


def vote_on_proposal(node: Participant) -> bool:
    """R3: notarize the first proposal of the current view if all of it holds; R6 if something is false; else get what lacks."""
    current, view = node.current, node.view
    proposal = current.proposal
    if proposal is None or has_voted(node, view):
        return False
    match judge_proposal(node, current, proposal):
        case Verdict.VALID:
            return _notarize(node, proposal)
        case Verdict.INVALID:
            return nullify(node, view)
        case Verdict.NEEDS_CERTIFICATES:
            _fetch_what_justifies(node, proposal)
        case Verdict.NEEDS_PARENT:
            parent_hash = node.state.block_hash_at(proposal.parent_view)
            if parent_hash is not None:
                advance_block(node, parent_hash, current.proposal_peer, set())
        case Verdict.NEEDS_BODY:
            fetch_block(node, proposal.vote.block_hash, proposal.envelope_hashes, current.proposal_peer)
        case Verdict.NEEDS_CHECK:
            check_block(node, proposal.vote.block_hash)
    return False


def judge_proposal(node: Participant, current: ViewState, proposal: Proposal) -> Verdict:
    """Apply R3 as of now."""
    if current.is_refused:
        return Verdict.INVALID
    circumstances = Circumstances(node.identity.chain_id, node.failed_views, current.received_ms, node.timing)
    return judge(proposal, node.state, circumstances)


def _notarize(node: Participant, proposal: Proposal) -> bool:
    block_hash = proposal.vote.block_hash
    vote = node.sign(VoteKind.NOTARIZE, proposal.view, block_hash, b"")
    if vote is None:
        return False
    node.persist(vote, *notarize_support(node, proposal))
    node.emit(Broadcast(VoteMessage(vote=vote)))
    node.count([vote])
    node.current.is_armed = False  # R3: the timer starts again, with T(k)
    return True


def _fetch_what_justifies(node: Participant, proposal: Proposal) -> None:
    state = node.state
    if state.block_hash_at(proposal.parent_view) is None:
        fetch_certificates(node, proposal.parent_view, proposal.view - 1)
        return
    gap = state.first_gap(proposal.parent_view, proposal.view)
    if gap is not None:
        fetch_certificates(node, gap, proposal.view - 1)


def fetch_block(node: Participant, block_hash: bytes, envelope_hashes: tuple[bytes, ...] | None, peer: str) -> None:
    """Ask for a block, of which the shell has most, unless that was just done; a list of its envelopes is news once."""
    block_state = node.state.block_state(block_hash, None)
    is_list_new = envelope_hashes is not None and not block_state.is_list_told
    if not is_list_new and node.now.mono_ms - block_state.asked_ms < FETCH_INTERVAL_MS:
        return
    block_state.asked_ms = node.now.mono_ms
    block_state.is_list_told = block_state.is_list_told or is_list_new
    node.emit(FetchBlock(block_hash, block_state.header, envelope_hashes, peer))


def check_block(node: Participant, block_hash: bytes) -> None:
    """Ask for the check of a block whose body is here and whose parent is executed, once."""
    block_state = node.state.blocks[block_hash]
    if not block_state.is_checking:
        block_state.is_checking = True
        node.emit(CheckBlock(block_hash))


def advance_block(node: Participant, block_hash: bytes, peer: str, visited: set[bytes]) -> None:
    """Bring a named block one step nearer to being executed: header and body, parent, check, execution.

    Ancestors that were visited in the same pass are left alone, so that a pass over a long unfinal chain is linear.
    """
    state = node.state
    while block_hash not in visited:
        visited.add(block_hash)
        block_state = state.block_state(block_hash, None)
        if block_state.reference is not None or block_state.is_executing:
            return
        if block_state.header is None or not block_state.is_body_here:
            fetch_block(node, block_hash, None, peer)
            return
        parent_hash = block_state.header.parent_hash
        if state.find_executed(parent_hash) is not None:
            _check_or_execute(node, block_hash, block_state)
            return
        if not state.tip.height + 1 < block_state.header.height <= state.tip.height + ANCESTORS_MAX:
            return
        block_hash = parent_hash


def _check_or_execute(node: Participant, block_hash: bytes, block_state: BlockState) -> None:
    if block_state.is_valid is None:
        check_block(node, block_hash)
    elif block_state.is_valid:
        block_state.is_executing = True
        node.emit(ExecuteBlock(block_hash))
    else:
        node.halt(f"block {block_hash.hex()} is certified, but invalid")


def advance_named_blocks(node: Participant) -> None:
    """Execute what certificates or the own notarize vote name, so that finalize votes can be signed and children judged.

    Below a finalization that waits for its block, only its ancestors matter.
    """
    state = node.state
    visited: set[bytes] = set()
    finalized = max((view for view, known in state.views.items() if known.finalization), default=state.final_view)
    for view in sorted(state.views):
        if view <= state.final_view or view < finalized:
            continue
        view_state = state.views[view]
        certificate = view_state.block_certificate
        if certificate is not None:
            advance_block(node, certificate.block_hash, view_state.proposal_peer, visited)
            continue
        own = node.signer.find_vote(state.number, view, VoteKind.NOTARIZE)
        if own is not None:
            advance_block(node, own.block_hash, view_state.proposal_peer, visited)


def sign_finalizes(node: Participant) -> bool:
    """R5: finalize every notarised and executed block above the final view where the guard allows it."""
    state = node.state
    has_signed_any = False
    for view in sorted(state.views):
        notarization = state.views[view].notarization
        if view <= state.final_view or notarization is None or node.has_signed(view, VoteKind.FINALIZE):
            continue
        executed = state.find_executed(notarization.block_hash)
        if executed is None:
            continue
        if not state.views[view].is_announced:
            state.views[view].is_announced = True
            node.emit(Notarized(executed.block_hash))
        vote = node.sign(VoteKind.FINALIZE, view, executed.block_hash, executed.result)
        if vote is None:
            continue
        node.persist(vote, Persist(NotarizationRecord(certificate=notarization)))
        node.emit(Broadcast(VoteMessage(vote=vote)))
        node.count([vote])
        has_signed_any = True
    return has_signed_any


def nullify(node: Participant, view: int) -> bool:
    """R6, R7: sign that a view shall pass without a block, unless the own finalize or nullify vote is out."""
    if node.has_signed(view, VoteKind.NULLIFY):
        return False
    vote = node.sign(VoteKind.NULLIFY, view, b"", b"")
    if vote is None:
        return False
    node.persist(vote)
    node.emit(Broadcast(VoteMessage(vote=vote)))
    node.count([vote])
    return True


def join_nullify(node: Participant) -> bool:
    """R6: nullify the current view when its leader did, or a third of the power."""
    tally, state = node.current.tally, node.state
    votes = tally.votes_for(NULLIFY_CHOICE)
    if not votes:
        return False
    is_due = state.leader_index(node.view) in votes or state.validators.is_third(tally.power_of(NULLIFY_CHOICE))
    return is_due and nullify(node, node.view)


def nullify_gaps(node: Participant) -> None:
    """R7: nullify earlier views that nothing settles, which repairs certificates lost in crashes."""
    state = node.state
    for view in range(state.final_view + 1, node.view):
        if not state.is_settled(view) and not node.has_signed(view, VoteKind.FINALIZE):
            nullify(node, view)
