"""The consensus state machine: rules R1 to R12 of Simplex with result-certified finality.

In one paragraph: time is cut into views with one leader each. The leader proposes a block on the newest notarised one; validators
sign `notarize`; two thirds notarise it, and everyone moves on. A view that stalls is nullified by two thirds. Who saw a block
notarised and never nullified that view executes it and signs `finalize` with the result; two thirds make it final, with all its
ancestors. No correct validator signs two conflicting votes in a view: that is the whole safety argument.

Inputs only record what happened; then the rules are tried until none applies, so the order of inputs does not matter. Nothing here
reads a clock, a disk or a socket, and the key is behind the guard of signing.py.

| rule | where |                                   | rule | where |
|------|-------|-----------------------------------|------|-------|
| R1   | participant.enter, arm_if_active      | | R7  | voting.nullify_gaps |
| R2   | proposing.propose, propose_built      | | R8  | finality.accept_certificate |
| R3   | voting.vote_on_proposal, judgement    | | R9  | finality.finalize_newest |
| R4   | finality.accept_certificate           | | R10 | vote_tally, participant.report |
| R5   | voting.sign_finalizes                 | | R11 | core (timer), assistance |
| R6   | voting.join_nullify, nullify          | | R12 | assistance, receiving |

Source: Chan and Pass, Simplex Consensus (2023); the changes, and why they are safe, stand in docs/PROTOCOL.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from consensus.effects import Broadcast, Effect
from consensus.finality import accept_certificate, begin_at, collect_certificates, finalize_newest, note_lag
from consensus.inputs import (
    BlockAvailable,
    BlockBuilt,
    BlockChecked,
    BlockExecuted,
    Input,
    MessageReceived,
    Now,
    Started,
    TimerFired,
    TimerKind,
    TimingChanged,
    TipAdvanced,
    WorkChanged,
)
from consensus.messages import CertificatesMessage, Status, VoteMessage
from consensus.participant import Identity, Participant
from consensus.proposing import propose, propose_built
from consensus.receiving import receive, receive_early, take_certificate
from consensus.records import (
    BlockRecord,
    FloorRecord,
    LogRecord,
    NotarizationRecord,
    ProposalRecord,
    VoteRecord,
    record_position,
)
from consensus.signing import VoteSigner
from consensus.timeouts import TimingParameters
from consensus.voting import (
    advance_named_blocks,
    join_nullify,
    nullify,
    nullify_gaps,
    sign_finalizes,
    vote_on_proposal,
)
from state.block import Tip, hash_header
from state.certificates import Verify
from state.votes import VoteKind

OWN_LOG: Final = ""
"""Stands for a peer where a certificate comes from the log: it is verified as any other."""
RETRY_VIEWS_MAX: Final = 8
"""A retry sends own votes of this many views again: half of them the oldest that nothing settles, for without these a chain whose
nullifications were lost in a power failure never finds a parent again; the others the newest, for speed."""


class Consensus:
    """One node's part in the agreement on successive blocks."""

    def __init__(
        self,
        identity: Identity,
        timing: TimingParameters,
        signer: VoteSigner,
        verify: Verify,
        tip: Tip,
        records: Sequence[LogRecord],
    ) -> None:
        """Take up from the final block and the log (W5); the signer knows the votes in the log already."""
        self._node = Participant(identity, timing, signer, verify, tip)
        position = tip.epoch_start.epoch, tip.view
        for record in records:
            if record_position(record)[0] == position[0] and record_position(record) > position:
                self._restore(record)
        self._node.view = self._first_view()

    @property
    def node(self) -> Participant:
        """Everything this node knows, to be read only by the shell and by tests."""
        return self._node

    @property
    def status(self) -> Status:
        """What to tell a peer about where this node is."""
        node = self._node
        return Status(
            epoch=node.state.number,
            view=node.view,
            final_height=node.state.tip.height,
            final_hash=node.state.tip.block_hash,
        )

    def handle(self, event: Input, now: Now) -> list[Effect]:
        """Apply one input and return the effects it calls for, in order."""
        node = self._node
        if node.is_halted:
            return []
        node.now = now
        node.has_news = True
        match event:
            case Started():
                self._start()
            case MessageReceived():
                receive(node, event.peer, event.message)
            case TimerFired():
                self._on_timer(event)
            case BlockAvailable():
                node.state.block_state(event.block_hash, event.header).is_body_here = True
            case BlockChecked():
                self._on_checked(event)
            case BlockExecuted():
                self._on_executed(event)
            case BlockBuilt():
                propose_built(node, event)
            case WorkChanged():
                node.has_outside_work = event.is_pending
                node.rest_if_idle()
            case TipAdvanced():
                if event.tip.block.height > node.state.tip.height:
                    begin_at(node, event.tip)
            case TimingChanged():
                node.timing = event.timing
                node.timeout.adopt(event.timing)
        if node.has_news:
            self._progress()
        effects, node.effects = node.effects, []
        return effects

    def _progress(self) -> None:
        """Try every rule until none applies."""
        node = self._node
        while not node.is_halted:
            if collect_certificates(node) or finalize_newest(node) or receive_early(node) or sign_finalizes(node):
                continue
            if vote_on_proposal(node) or join_nullify(node):
                continue
            propose(node)
            if not node.touched_views:
                break
        if not node.is_halted:
            advance_named_blocks(node)
            node.arm_if_active()

    def _start(self) -> None:
        """W5: say at once where this node is and what it signed."""
        self._node.set_timer(TimerKind.STATUS, self._node.timing.status_interval_ms)
        self._retry()

    def _on_timer(self, event: TimerFired) -> None:
        node = self._node
        if event.kind is TimerKind.STATUS:
            node.set_timer(TimerKind.STATUS, node.timing.status_interval_ms)
            node.emit(Broadcast(self.status))
            return
        if event.epoch != node.state.number:
            return
        if event.kind is TimerKind.LAG:
            note_lag(node)
        elif event.kind is TimerKind.VIEW and event.view == node.view:
            self._on_view_timeout()

    def _on_view_timeout(self) -> None:
        """R6, R7, R11: nullify, repair earlier views, and say everything again."""
        node = self._node
        if not node.has_work():
            node.rest_if_idle()
            return
        nullify(node, node.view)
        nullify_gaps(node)
        self._retry()
        node.set_timer(TimerKind.VIEW, node.timeout.timeout_ms(node.failed_views))

    def _retry(self) -> None:
        """R11: status, own votes of the newest views, the proposal of a leader, and what let this node enter its view."""
        node, state = self._node, self._node.state
        node.emit(Broadcast(self.status))
        for vote in node.signer.votes_in(state.number, self._views_to_retry()):
            view_state = state.find_view(vote.view)
            proposal = None if view_state is None else view_state.proposal
            is_own_proposal = vote.kind is VoteKind.NOTARIZE and state.leader_index(vote.view) == state.own_index
            if is_own_proposal and proposal is not None:
                node.emit(Broadcast(proposal))
            else:
                node.emit(Broadcast(VoteMessage(vote=vote)))
        entered_by = state.certificates_from(node.view - 1, node.view - 1)
        if entered_by:
            node.emit(Broadcast(CertificatesMessage(certificates=tuple(entered_by))))

    def _views_to_retry(self) -> list[int]:
        state = self._node.state
        signed = [view for view in self._node.signer.signed_views(state.number) if view >= state.final_view]
        unsettled = [view for view in signed if not state.is_settled(view)]
        half = RETRY_VIEWS_MAX // 2
        return sorted({*unsettled[:half], *signed[-half:]})

    def _on_checked(self, event: BlockChecked) -> None:
        block_state = self._node.state.blocks.get(event.block_hash)
        if block_state is not None:
            block_state.is_valid = event.is_valid

    def _on_executed(self, event: BlockExecuted) -> None:
        block_state = self._node.state.blocks.get(event.block.block_hash)
        if block_state is not None:
            block_state.reference = event.block
            block_state.next_validators = event.next_validators

    def _restore(self, record: LogRecord) -> None:
        """W5: put one log record back where it was; what this node signed was verified when it signed."""
        node, state = self._node, self._node.state
        match record:
            case VoteRecord():
                node.count([record.vote])
            case ProposalRecord():
                view_state = state.view_state(record.proposal.view)
                view_state.proposal = record.proposal
                view_state.received_ms = record.proposal.header.time_ms
                state.block_state(record.proposal.vote.block_hash, record.proposal.header)
                node.count([record.proposal.vote])
                for certificate in record.proposal.justify:
                    take_certificate(node, OWN_LOG, certificate)
            case BlockRecord():
                block_state = state.block_state(hash_header(record.block.header), record.block.header)
                block_state.is_body_here = True
                block_state.is_body_logged = True
            case NotarizationRecord():
                accept_certificate(node, record.certificate)
            case FloorRecord():
                pass  # the signer has it

    def _first_view(self) -> int:
        """W5: return the first view after the tip and the own votes that no certificate settles."""
        node, state = self._node, self._node.state
        view = max([state.final_view + 1, node.view, *node.signer.signed_views(state.number)])
        while state.is_settled(view):
            view += 1
        return view
