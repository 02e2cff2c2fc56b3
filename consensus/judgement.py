"""Whether a proposal may be notarised: rule R3, as one pure function from what is known to a verdict.

Every condition has three answers: it holds, it is false for good, or it cannot be told yet. False wins over unknown only where it
cannot become true; unknown parts are named, so that the core can fetch them.
"""

from __future__ import annotations

from enum import Enum
from typing import Final

from msgspec import Struct

from consensus.epoch_state import EpochState
from consensus.messages import Proposal
from consensus.timeouts import TimingParameters, is_timely
from state import merkle
from state.block import HEADER_VERSION, BlockReference, hash_header
from state.votes import VoteKind


class Verdict(Enum):
    """What R3 says of a proposal."""

    VALID = "valid"
    INVALID = "invalid"
    """Definitely: no correct leader proposes it, or it came too late."""
    NEEDS_CERTIFICATES = "needs certificates"
    """The parent's certificate, or a nullification between."""
    NEEDS_PARENT = "needs parent"
    """The parent is not executed here yet."""
    NEEDS_BODY = "needs body"
    """Not all envelopes are here yet."""
    NEEDS_CHECK = "needs check"
    """Everything else holds; envelopes were not checked against the parent's state yet."""


class Circumstances(Struct, frozen=True):
    """What a judgement depends on besides certificates and blocks."""

    chain_id: bytes
    failed_views: int
    received_ms: int
    """Local wall clock when the proposal came."""
    timing: TimingParameters


_FIXED_VERDICTS: Final = {None: Verdict.NEEDS_CHECK, True: Verdict.VALID, False: Verdict.INVALID}


def is_well_formed(proposal: Proposal, state: EpochState, chain_id: bytes) -> bool:
    """Tell whether a proposal is consistent in itself and comes from the leader of its view; signatures apart.

    A leader that follows the rules makes no other, whatever it knows. The height lies within the views since the final one, so that
    no block here outlives a few finalisations.
    """
    vote, header = proposal.vote, proposal.header
    leader = state.leader_index(proposal.view)
    views_since_final = proposal.view - state.final_view
    return (
        proposal.epoch == vote.epoch == header.epoch == state.number
        and proposal.view == vote.view
        and proposal.parent_view < proposal.view
        and vote.validator == leader
        and vote.kind is VoteKind.NOTARIZE
        and vote.block_hash == hash_header(header)
        and vote.result == b""
        and header.chain_id == chain_id
        and header.validators_hash == state.validators.set_hash
        and state.tip.height < header.height <= state.tip.height + views_since_final
        and (_is_own_header(proposal, state) or header.view < proposal.view)
        and is_justified(proposal)
    )


def _is_own_header(proposal: Proposal, state: EpochState) -> bool:
    """Tell whether the block was made for this view, by its leader, on the parent that the proposal names."""
    header = proposal.header
    proposer = state.validators.members[proposal.vote.validator].address
    return (header.view, header.parent_view, header.proposer) == (proposal.view, proposal.parent_view, proposer)


def is_justified(proposal: Proposal) -> bool:
    """Tell whether the certificates are those that a justification has: the parent's, then nullifications after it, ascending."""
    after_view = proposal.parent_view
    for index, certificate in enumerate(proposal.justify):
        if certificate.epoch != proposal.epoch or not certificate.view < proposal.view:
            return False
        is_parent = certificate.kind is not VoteKind.NULLIFY
        if is_parent and (index > 0 or certificate.view != proposal.parent_view):
            return False
        if not is_parent:
            if certificate.view <= after_view:
                return False
            after_view = certificate.view
    return True


def is_list_of(proposal: Proposal) -> bool:
    """Tell whether the envelope hashes are those that the header commits to; a block proposed again needs none."""
    header = proposal.header
    if header.view < proposal.view:
        return not proposal.envelope_hashes
    return header.tx_count == len(proposal.envelope_hashes) and merkle.root(proposal.envelope_hashes) == header.tx_root


def judge(proposal: Proposal, state: EpochState, circumstances: Circumstances) -> Verdict:
    """Apply R3 to the first proposal of a view, which is well-formed and lists what its header commits to.

    Source: consensus spec, rule R3 a to d.
    """
    parent_view = proposal.parent_view
    if parent_view < state.final_view:
        return Verdict.INVALID
    parent_hash = state.block_hash_at(parent_view)
    if parent_hash is None or state.first_gap(parent_view, proposal.view) is not None:
        return Verdict.NEEDS_CERTIFICATES
    parent = state.find_executed(parent_hash)
    if parent is None:
        return Verdict.NEEDS_PARENT
    block_hash = proposal.vote.block_hash
    if block_hash == parent_hash:
        return Verdict.VALID if state.is_sealing(parent_hash) else Verdict.INVALID
    if state.is_sealing(parent_hash) or not is_child(proposal, parent, state, circumstances):
        return Verdict.INVALID
    block_state = state.blocks[block_hash]
    if not block_state.is_body_here:
        return Verdict.NEEDS_BODY
    return _FIXED_VERDICTS[block_state.is_valid]


def is_child(proposal: Proposal, parent: BlockReference, state: EpochState, circumstances: Circumstances) -> bool:
    """Tell whether the header is exactly that of a child of this parent, made for this view in time."""
    header = proposal.header
    return (
        header.version == HEADER_VERSION
        and header.chain_id == circumstances.chain_id
        and (header.epoch, header.view) == (proposal.epoch, proposal.view)
        and header.height == parent.height + 1
        and header.parent_hash == parent.block_hash
        and header.parent_view == proposal.parent_view
        and header.parent_result == parent.result
        and header.proposer == state.validators.members[proposal.vote.validator].address
        and header.validators_hash == state.validators.set_hash
        and is_timely(
            header.time_ms,
            circumstances.received_ms,
            parent.time_ms,
            circumstances.failed_views,
            circumstances.timing,
        )
    )
