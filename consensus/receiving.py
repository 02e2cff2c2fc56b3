"""What peers send: bounds first, then signatures where they matter, then the tally. Nothing a peer sends can raise.

Bounds (spec 4.8): votes and proposals of views from the final one to 32 above the current one; certificates of any later view.
"""

from __future__ import annotations

from consensus.early import EarlyMessage
from consensus.effects import OwnKeyElsewhere, Punish
from consensus.epoch_state import VIEWS_AHEAD_MAX
from consensus.finality import accept_certificate
from consensus.judgement import is_list_of, is_well_formed
from consensus.messages import (
    CertificatesMessage,
    CertificatesRequest,
    ConsensusMessage,
    Proposal,
    Status,
    VoteMessage,
)
from consensus.participant import Participant
from consensus.vote_tally import choice_of
from consensus.voting import fetch_block
from state.certificates import Certificate, certificate_votes, verify_certificate
from state.errors import VoteRejected
from state.votes import Vote, VoteKind, check_vote_fields


def receive(node: Participant, peer: str, message: ConsensusMessage) -> None:
    """Take in one message of a peer; a proposal or vote of the next epoch waits for it."""
    if isinstance(message, Proposal | VoteMessage) and epoch_of(message) == node.state.number + 1:
        node.early.keep(node.state.number + 1, peer, message, node.now)
        return
    match message:
        case Proposal():
            receive_proposal(node, peer, message)
        case VoteMessage():
            node.has_news = receive_vote(node, peer, message.vote)
        case CertificatesMessage():
            for certificate in message.certificates:
                if not take_certificate(node, peer, certificate):
                    break
        case Status():
            node.emit(*node.assistance.answer_status(peer, message, node.state, node.view, node.now))
        case CertificatesRequest():
            node.emit(*node.assistance.answer_request(peer, message, node.state, node.now))


def epoch_of(message: EarlyMessage) -> int:
    """Return the epoch that a proposal or vote names."""
    return message.epoch if isinstance(message, Proposal) else message.vote.epoch


def receive_early(node: Participant) -> bool:
    """Take in what came of this epoch before it began, and tell whether there was anything."""
    early = node.early.take(node.state.number, node.now)
    for peer, message in early:
        receive(node, peer, message)
    return bool(early)


def receive_proposal(node: Participant, peer: str, proposal: Proposal) -> None:
    """Keep the first proposal of each view's leader; a second one becomes evidence through its vote."""
    state = node.state
    if proposal.epoch < state.number:
        node.emit(*node.assistance.help_with_epoch(peer, proposal.epoch, node.now))
    is_near = state.final_view < proposal.view <= node.view + VIEWS_AHEAD_MAX
    if proposal.epoch != state.number or not is_near:
        return
    if not is_well_formed(proposal, state, node.identity.chain_id):
        node.emit(Punish(peer, "malformed_proposal"))
        return
    if proposal.vote.validator == state.own_index:
        hear_own_vote(node, proposal.vote)
        return
    if not all(take_certificate(node, peer, certificate) for certificate in proposal.justify):
        return
    view_state = state.view_state(proposal.view)
    if view_state.proposal is not None:
        receive_vote(node, peer, proposal.vote)
        return
    if not node.is_vote_valid(proposal.vote):
        node.emit(Punish(peer, "bad_signature"))
        return
    view_state.proposal = proposal
    view_state.proposal_peer = peer
    view_state.received_ms = node.now.wall_ms
    view_state.is_refused = not is_list_of(proposal)
    block_state = state.block_state(proposal.vote.block_hash, proposal.header)
    if not block_state.is_body_here and not view_state.is_refused and proposal.header.view == proposal.view:
        fetch_block(node, proposal.vote.block_hash, proposal.envelope_hashes, peer)
    node.count([proposal.vote])


def receive_vote(node: Participant, peer: str, vote: Vote) -> bool:
    """Take a vote of the current epoch, and tell whether more votes count now; help a peer that votes where all is settled."""
    state = node.state
    if vote.epoch < state.number:
        node.emit(*node.assistance.help_with_epoch(peer, vote.epoch, node.now))
    if vote.epoch != state.number or vote.view > node.view + VIEWS_AHEAD_MAX:
        return False
    try:
        check_vote_fields(vote.kind, vote.block_hash, vote.result)
    except VoteRejected as rejected:
        node.emit(Punish(peer, rejected.reason))
        return False
    if vote.validator >= len(state.validators):
        node.emit(Punish(peer, "unknown_validator"))
        return False
    if vote.kind is VoteKind.NULLIFY:
        node.emit(*node.assistance.help_with_view(peer, vote.view, state, node.view, node.now))
    if vote.view < state.final_view or vote.view == 0:
        return False
    if vote.validator == state.own_index:
        hear_own_vote(node, vote)
        return False
    node.assistance.hear(vote.validator, vote.view)
    outcome = state.view_state(vote.view).tally.offer(vote, peer)
    node.report(outcome)
    if outcome.has_counted:
        node.touched_views.add(vote.view)
    return outcome.has_counted


def hear_own_vote(node: Participant, vote: Vote) -> None:
    """Find out whether a vote in the own name was signed by somebody else who has the key (W6)."""
    own = node.signer.find_vote(vote.epoch, vote.view, vote.kind)
    is_known = own is not None and choice_of(own) == choice_of(vote)
    is_forgotten = own is None and node.signer.is_at_or_below_floor(vote.epoch, vote.view)
    if not is_known and not is_forgotten and node.is_vote_valid(vote):
        node.emit(OwnKeyElsewhere(vote))


def take_certificate(node: Participant, peer: str, certificate: Certificate) -> bool:
    """Verify a certificate that is lacking here, feed its votes to the tally for evidence, and act on it; False if it is forged."""
    state = node.state
    if certificate.epoch != state.number or certificate.view <= state.final_view:
        return True
    known = state.find_view(certificate.view)
    same = None if known is None else known.certificates.get(certificate.kind)
    if same is not None and (same.block_hash, same.result) == (certificate.block_hash, certificate.result):
        return True
    try:
        verify_certificate(node.identity.chain_id, certificate, state.validators, state.number, node.verify)
    except VoteRejected as rejected:
        node.emit(Punish(peer, rejected.reason))
        return False
    node.count(certificate_votes(certificate, state.validators))
    accept_certificate(node, certificate)
    return True
