"""R2: a leader proposes a block on the newest notarised one, or the sealing block again."""

from __future__ import annotations

from typing import Final

from consensus.effects import (
    Broadcast,
    BuildBlock,
    Effect,
    FetchBlock,
    FetchCertificates,
    Persist,
    PersistBlock,
)
from consensus.inputs import BlockBuilt, TimerKind
from consensus.messages import VIEWS_IN_REQUEST_MAX, Proposal
from consensus.participant import Participant
from consensus.records import ProposalRecord
from consensus.timeouts import pause_ms, spacing_ms
from state import merkle
from state.block import HEADER_VERSION, Header, hash_header
from state.votes import VoteKind

UNFINAL_BLOCKS_MAX: Final = 8
"""With more blocks notarised and not final, leaders propose empty ones only."""
FETCH_INTERVAL_MS: Final = 200
"""Between two requests for missing certificates, or for the same block: without a limit every input repeats them."""


def has_voted(node: Participant, view: int) -> bool:
    """Tell whether this node notarised or nullified in the view, so that it may not notarise any more."""
    return node.has_signed(view, VoteKind.NOTARIZE) or node.has_signed(view, VoteKind.NULLIFY)


def propose(node: Participant) -> None:
    """R2: as the leader of the view, with work to do and an executed parent, ask for a block or repeat the sealing one."""
    state, view = node.state, node.view
    current = node.current
    is_leader = state.own_index is not None and state.own_index == state.leader_index(view)
    if not is_leader or current.has_asked_for_block or has_voted(node, view) or not node.has_work():
        return
    parent_view = state.find_parent_view(view)
    if parent_view is None:
        first_unsettled = next(one for one in range(state.final_view + 1, view) if not state.is_settled(one))
        fetch_certificates(node, first_unsettled, view - 1)
        return
    parent_hash = state.block_hash_at(parent_view)
    parent = None if parent_hash is None else state.find_executed(parent_hash)
    if parent is None or is_pausing(node):
        return
    if state.is_sealing(parent.block_hash):
        current.has_asked_for_block = True
        header = state.blocks[parent.block_hash].header
        assert header is not None, "an executed block above the epoch's root has its header"
        _sign_proposal(node, header, (), parent_view)
        return
    earliest_ms = parent.time_ms + spacing_ms(_count_transactions(node, parent.block_hash), node.timing)
    if node.now.wall_ms < earliest_ms:
        node.set_timer(TimerKind.PROPOSE, earliest_ms - node.now.wall_ms)
        return
    current.has_asked_for_block = True
    must_be_empty = parent.height - state.tip.height > UNFINAL_BLOCKS_MAX
    node.emit(BuildBlock(state.number, view, parent.block_hash, must_be_empty))


def is_pausing(node: Participant) -> bool:
    """Tell whether the leader waits because very many views failed in a row, and have it woken when it no longer does."""
    since_ms = node.current.active_since_ms
    waited_ms = 0 if since_ms is None else node.now.mono_ms - since_ms
    rest_ms = pause_ms(node.failed_views, len(node.state.validators), node.timing) - waited_ms
    if rest_ms <= 0:
        return False
    node.set_timer(TimerKind.PROPOSE, rest_ms)
    return True


def _count_transactions(node: Participant, block_hash: bytes) -> int:
    """Return how many transactions a block has; the root of an epoch counts as empty."""
    block_state = node.state.blocks.get(block_hash)
    return block_state.header.tx_count if block_state is not None and block_state.header is not None else 0


def propose_built(node: Participant, built: BlockBuilt) -> None:
    """R2: make the header of a built block and propose it, unless the view has moved on meanwhile or no work was left to do."""
    state = node.state
    if (built.epoch, built.view) != (state.number, node.view) or has_voted(node, built.view):
        return
    if not node.has_work():
        node.current.has_asked_for_block = False
        return
    parent_view = state.find_parent_view(built.view)
    parent = state.find_executed(built.parent_hash)
    if parent_view is None or parent is None or state.block_hash_at(parent_view) != built.parent_hash:
        return
    assert state.own_index is not None, "only a leader asks for blocks"
    header = Header(
        version=HEADER_VERSION,
        chain_id=node.identity.chain_id,
        epoch=built.epoch,
        view=built.view,
        height=parent.height + 1,
        time_ms=built.time_ms,
        parent_hash=parent.block_hash,
        parent_view=parent_view,
        parent_result=parent.result,
        proposer=state.validators.members[state.own_index].address,
        validators_hash=state.validators.set_hash,
        tx_root=merkle.root(built.envelope_hashes),
        tx_count=len(built.envelope_hashes),
    )
    block_hash = hash_header(header)
    block_state = state.block_state(block_hash, header)
    block_state.is_body_here = True
    block_state.is_valid = True
    node.emit(FetchBlock(block_hash, header, built.envelope_hashes, ""))
    _sign_proposal(node, header, built.envelope_hashes, parent_view)


def _sign_proposal(node: Participant, header: Header, envelope_hashes: tuple[bytes, ...], parent_view: int) -> None:
    block_hash, view, state = hash_header(header), node.view, node.state
    vote = node.sign(VoteKind.NOTARIZE, view, block_hash, b"")
    if vote is None:
        return
    proposal = Proposal(
        epoch=state.number,
        view=view,
        header=header,
        envelope_hashes=envelope_hashes,
        parent_view=parent_view,
        justify=state.justification(parent_view, view),
        vote=vote,
    )
    node.current.proposal = proposal
    node.current.received_ms = node.now.wall_ms
    node.persist(vote, *notarize_support(node, proposal))
    node.emit(Broadcast(proposal))
    node.count([vote])


def notarize_support(node: Participant, proposal: Proposal) -> list[Effect]:
    """W2: what an own notarize vote rests on, the proposal and the whole block, as effects that log it."""
    support: list[Effect] = [Persist(ProposalRecord(proposal=proposal))]
    block_hash = proposal.vote.block_hash
    block_state = node.state.blocks[block_hash]
    if not block_state.is_body_logged:
        block_state.is_body_logged = True
        support.append(PersistBlock(proposal.epoch, proposal.view, block_hash))
    return support


def fetch_certificates(node: Participant, first_view: int, last_view: int) -> None:
    """Ask for what settles a range of views, at most five times a second."""
    if node.now.mono_ms - node.last_fetch_ms < FETCH_INTERVAL_MS:
        return
    node.last_fetch_ms = node.now.mono_ms
    last_view = min(last_view, first_view + VIEWS_IN_REQUEST_MAX - 1)
    node.emit(FetchCertificates(node.state.number, first_view, last_view))
