"""Every guard of the protocol, how to switch it off, and the scenario that goes wrong then.

A mutant is a replacement in the source of one function, so it says exactly what is off; a replacement that fits no longer is an
error.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from tests.simulation import mutant_blocks as blocks
from tests.simulation import mutant_votes as votes


class Change(NamedTuple):
    """A replacement in the source of one function or method."""

    target: str
    """Module, colon, function or Class.method."""
    old: str
    new: str


class Mutant(NamedTuple):
    """A guard, how to switch it off, and what must go wrong then."""

    name: str
    rule: str
    """Where the consensus spec has it."""
    changes: tuple[Change, ...]
    scenario: Callable[[], None]
    kills: str
    """Start of the law that the scenario breaks."""
    base: tuple[Change, ...] = ()
    """Guards that are off in both runs, because this one is the second line behind them."""


_MAY_SIGN = "consensus.signing:VoteSigner.may_sign"
_SIGN = "consensus.signing:VoteSigner.sign"
_NO_CONFLICT = "return not any(are_conflicting(vote, other) for other in signed.values())"


def _guard_off(asked: str, signed: str) -> Change:
    """Let the signer sign one kind of vote after a conflicting one of another kind."""
    pair = f"(vote.kind, other.kind) != (VoteKind.{asked}, VoteKind.{signed})"
    return Change(_MAY_SIGN, _NO_CONFLICT, _NO_CONFLICT.replace("signed.values()", f"signed.values() if {pair}"))


_NOTARIZATION_NOT_LOGGED = Change(
    "consensus.voting:sign_finalizes",
    "node.persist(vote, Persist(NotarizationRecord(certificate=notarization)))",
    "node.persist(vote)",
)

MUTANTS = (
    Mutant(
        "notarize twice in a view",
        "4.7, N(h) after N(h')",
        (
            Change(
                "consensus.receiving:receive_proposal",
                "if view_state.proposal is not None:",
                "if view_state.proposal == proposal:",
            ),
            Change(
                "consensus.proposing:has_voted",
                "node.has_signed(view, VoteKind.NOTARIZE)",
                "(vote := node.signer.find_vote(node.state.number, view, VoteKind.NOTARIZE)) is not None and "
                "(node.current.proposal is None or vote.block_hash == node.current.proposal.vote.block_hash)",
            ),
            Change(_SIGN, "if earlier is not None:", "if earlier is not None and kind is not VoteKind.NOTARIZE:"),
            _guard_off("NOTARIZE", "NOTARIZE"),
        ),
        votes.both_halves_of_a_block_heard,
        "L1",
    ),
    Mutant(
        "notarize after nullify",
        "4.7, N after X",
        (
            Change(_MAY_SIGN, "if vote.kind is VoteKind.NOTARIZE and VoteKind.NULLIFY in signed:", "if False:"),
            Change("consensus.proposing:has_voted", " or node.has_signed(view, VoteKind.NULLIFY)", ""),
        ),
        votes.proposal_after_the_timeout,
        "L1",
    ),
    Mutant(
        "finalize after nullify",
        "4.7, F after X; R5",
        (_guard_off("FINALIZE", "NULLIFY"),),
        votes.block_notarised_after_the_timeout,
        "L1",
    ),
    Mutant(
        "finalize another block than notarized",
        "4.7, F(h) after N(h'); R5",
        (_guard_off("FINALIZE", "NOTARIZE"),),
        votes.other_half_notarised,
        "L1",
    ),
    Mutant(
        "nullify after finalize",
        "4.7, X after F; the second line behind W2",
        (_guard_off("NULLIFY", "FINALIZE"),),
        votes.power_loss_after_finalize,
        "L1",
        base=(_NOTARIZATION_NOT_LOGGED,),
    ),
    Mutant(
        "own votes not logged",
        "W1",
        (
            Change(
                "consensus.participant:Participant.persist",
                "self.emit(*support, Persist(VoteRecord(vote=vote)))",
                "self.emit(*support)",
            ),
            Change("consensus.proposing:notarize_support", "[Persist(ProposalRecord(proposal=proposal))]", "[]"),
        ),
        votes.power_loss_after_the_first_vote,
        "L1",
    ),
    Mutant(
        "sent before logged",
        "W1",
        (
            Change(
                "consensus.core:Consensus.handle",
                "return effects",
                "return sorted(effects, key=lambda effect: not isinstance(effect, Broadcast))",
            ),
        ),
        votes.both_halves_of_a_block_heard,
        "L2",
    ),
    Mutant(
        "block not logged with notarize",
        "W2",
        (Change("consensus.proposing:notarize_support", "if not block_state.is_body_logged:", "if False:"),),
        votes.total_power_loss_after_finalize_votes,
        "G9",
    ),
    Mutant(
        "notarization not logged with finalize",
        "W2",
        (_NOTARIZATION_NOT_LOGGED,),
        votes.notarised_with_a_voter_that_is_gone,
        "G9",
    ),
    Mutant(
        "restart in a view that is over",
        "W5",
        (
            Change("consensus.core:Consensus._first_view", "node.view, ", ""),
            Change("consensus.core:Consensus._first_view", "while state.is_settled(view):", "while False:"),
        ),
        votes.notarised_with_a_voter_that_is_gone,
        "G9",
    ),
    Mutant(
        "gaps never nullified",
        "R7",
        (Change("consensus.core:Consensus._on_view_timeout", "nullify_gaps(node)", "pass"),),
        votes.nullification_with_a_voter_that_is_gone,
        "G9",
    ),
    Mutant(
        "only the newest votes retried",
        "R11",
        (
            Change(
                "consensus.core:Consensus._views_to_retry",
                "return sorted({*unsettled[:half], *signed[-half:]})",
                "return signed[-RETRY_VIEWS_MAX:]",
            ),
        ),
        votes.total_power_loss_in_a_long_failure,
        "G9",
    ),
    Mutant(
        "nothing retried",
        "R11",
        (Change("consensus.core:Consensus._on_view_timeout", "self._retry()", "pass"),),
        votes.messages_lost_for_a_while,
        "G9",
    ),
    Mutant(
        "views between not checked",
        "R3b",
        (
            Change(
                "consensus.judgement:judge",
                "parent_hash is None or state.first_gap(parent_view, proposal.view) is not None",
                "parent_hash is None",
            ),
        ),
        blocks.leader_skips_a_notarised_block,
        "halt: v",
    ),
    Mutant(
        "parent not certified",
        "R3a",
        (
            Change(
                "consensus.judgement:judge",
                "parent_hash = state.block_hash_at(parent_view)",
                "parent_hash = state.block_hash_at(parent_view) or proposal.header.parent_hash",
            ),
        ),
        blocks.leader_builds_on_a_block_without_notarization,
        "G4",
    ),
    Mutant(
        "time of a block not checked",
        "4.6, timely",
        (
            Change(
                "consensus.timeouts:is_timely",
                "return parent_time_ms < time_ms and oldest_ms <= time_ms <= received_ms + parameters.precision_ms",
                "return parent_time_ms < time_ms",
            ),
        ),
        blocks.leader_with_a_fast_clock,
        "G",
    ),
    Mutant(
        "children of sealing blocks",
        "R2, R3d",
        (
            Change("consensus.proposing:propose", "if state.is_sealing(parent.block_hash):", "if False:"),
            Change(
                "consensus.judgement:judge",
                "if state.is_sealing(parent_hash) or not is_child",
                "if not is_child",
            ),
        ),
        blocks.sealing_block_without_final_votes,
        "G",
    ),
    Mutant(
        "half is a quorum",
        "4.2",
        (
            Change(
                "state.validators:ValidatorSet.is_quorum",
                "return power * 3 > self.total_power * 2",
                "return power * 2 > self.total_power",
            ),
        ),
        blocks.two_of_seven_are_twins_in_a_partition,
        "G",
    ),
    Mutant(
        "votes not verified",
        "7.3",
        (
            Change(
                "consensus.participant:Participant.is_vote_valid",
                "return self.verify(self.state.validators.members[vote.validator].public_key, vote.signature, message)",
                "return True",
            ),
        ),
        blocks.forged_votes,
        "G7",
    ),
    Mutant(
        "certificates not verified",
        "7.3",
        (
            Change(
                "state.certificates:verify_certificate",
                "if not validators.is_quorum(power):",
                "if False:",
            ),
        ),
        blocks.forged_certificate,
        "L5",
    ),
    Mutant(
        "contradictions left unverified",
        "R10, lazy verification",
        (
            Change(
                "consensus.vote_tally:VoteTally.offer",
                "rivals = self._rivals(vote)",
                "rivals = None",
            ),
        ),
        blocks.equivocation_before_any_quorum,
        "G7",
    ),
    Mutant(
        "contradiction hides a quorum",
        "lazy verification",
        (
            Change(
                "consensus.vote_tally:VoteTally.offer",
                "return _join(outcome, self._settle_urgent(vote))",
                "return outcome if rivals is not None else _join(outcome, self._settle_urgent(vote))",
            ),
        ),
        blocks.contradiction_completes_a_quorum,
        "G9",
    ),
    Mutant(
        "own vote completes no quorum",
        "lazy verification",
        (
            Change(
                "consensus.vote_tally:VoteTally.add_verified",
                "outcome = _join(outcome, self._settle_urgent(vote))",
                "pass",
            ),
        ),
        blocks.own_vote_comes_last,
        "G9",
    ),
    Mutant(
        "result of a finalization not compared",
        "R9",
        (
            Change(
                "consensus.finality:finalize_newest",
                "if executed.result != certificate.result:",
                "if False:",
            ),
        ),
        blocks.one_node_computes_otherwise,
        "G5",
    ),
    Mutant(
        "answers without a limit",
        "R11",
        (
            Change(
                "consensus.assistance:Assistance.may_answer",
                "if (epoch, view) in answered or len(answered) >= ANSWERS_PER_PEER_MAX:",
                "if False:",
            ),
        ),
        blocks.thousand_questions,
        "G10",
    ),
    Mutant(
        "certificate requests without a limit",
        "R11",
        (
            Change(
                "consensus.proposing:fetch_certificates",
                "if node.now.mono_ms - node.last_fetch_ms < FETCH_INTERVAL_MS:",
                "if False:",
            ),
        ),
        blocks.justification_withheld,
        "G10",
    ),
    Mutant(
        "views counted from the final one",
        "4.8",
        (
            Change(
                "consensus.receiving:receive_vote",
                "vote.view > node.view + VIEWS_AHEAD_MAX",
                "vote.view > state.final_view + VIEWS_AHEAD_MAX",
            ),
        ),
        votes.fifty_views_without_a_block,
        "G9",
    ),
    Mutant(
        "any signature of the leader is a proposal",
        "4.2",
        (Change("consensus.judgement:is_well_formed", "vote.kind is VoteKind.NOTARIZE", "True"),),
        blocks.proposal_under_a_nullify_signature,
        "G6",
    ),
    Mutant(
        "a block whenever asked",
        "4.6, work pending",
        (Change("consensus.proposing:propose_built", "if not node.has_work():", "if False:"),),
        blocks.one_transaction_on_an_idle_chain,
        "idle",
    ),
    Mutant(
        "block requests without a limit",
        "R11",
        (
            Change(
                "consensus.voting:fetch_block",
                "if not is_list_new and node.now.mono_ms - block_state.asked_ms < FETCH_INTERVAL_MS:",
                "if False:",
            ),
        ),
        blocks.body_withheld,
        "G10",
    ),
)
