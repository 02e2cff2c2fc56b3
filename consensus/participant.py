"""What one node holds while it takes part: its epoch, its view, its signer, and the effects of the input at hand.

The rules are functions on this object, a file for each group of them; core.py says when each is tried.

Invariants:
- `view` never goes back within an epoch, and is above the final view.
- Every own vote goes through `sign` (the guard), `persist` (the log), and only then into a message.
"""

from __future__ import annotations

from msgspec import Struct

from consensus.assistance import Assistance
from consensus.early import EarlyMessages
from consensus.effects import Effect, Halt, OwnKeyElsewhere, Persist, Punish, ReportEquivocation, SetTimer
from consensus.epoch_state import EpochState
from consensus.inputs import Now, TimerKind
from consensus.records import VoteRecord
from consensus.signing import VoteSigner
from consensus.timeouts import TimingParameters, ViewTimeout
from consensus.view_state import NEVER_MS, ViewState
from consensus.vote_tally import Outcome
from state.block import Tip
from state.certificates import Verify
from state.votes import Vote, VoteKind, vote_signing_bytes


class Identity(Struct, frozen=True):
    """Who this node is on which chain. While its key is not in the validator set it follows and signs nothing."""

    chain_id: bytes
    public_key: bytes | None
    """Consensus key; None for a node that only follows."""


class Participant:
    """State and small steps that all rules share."""

    def __init__(
        self, identity: Identity, timing: TimingParameters, signer: VoteSigner, verify: Verify, tip: Tip
    ) -> None:
        """Begin at a final block."""
        self.identity = identity
        self.timing = timing
        self.signer = signer
        self.verify = verify
        self.timeout = ViewTimeout(timing)
        self.assistance = Assistance()
        self.early = EarlyMessages()
        self.effects: list[Effect] = []
        self.now = Now(0, 0)
        self.view = 0
        self.failed_views = 0
        """Consecutive views left without a block."""
        self.has_outside_work = False
        self.is_tip_overdue = False
        """A block is notarised and was not final after a whole timeout."""
        self.is_halted = False
        self.last_fetch_ms = NEVER_MS
        self.has_news = False
        """The input at hand changed something that a rule may depend on."""
        self.touched_views: set[int] = set()
        """Views in which votes were counted since certificates were last collected."""
        self.state = EpochState(tip, identity.public_key, self.is_vote_valid)
        signer.raise_floor(tip.epoch_start.epoch, tip.view)

    def restart_state(self, tip: Tip) -> None:
        """Know nothing above this final block; own votes stay with the signer."""
        self.state = EpochState(tip, self.identity.public_key, self.is_vote_valid)
        self.signer.raise_floor(tip.epoch_start.epoch, tip.view)

    @property
    def current(self) -> ViewState:
        """The current view."""
        return self.state.view_state(self.view)

    def emit(self, *effects: Effect) -> None:
        """Ask for effects, in this order."""
        self.effects += effects

    def halt(self, reason: str) -> None:
        """Stop for good."""
        self.is_halted = True
        self.emit(Halt(reason))

    def set_timer(self, kind: TimerKind, delay_ms: int) -> None:
        """Set or replace the timer of a kind for the current view."""
        self.emit(SetTimer(kind, self.state.number, self.view, delay_ms))

    def is_vote_valid(self, vote: Vote) -> bool:
        """Tell whether a vote of this epoch is signed by the validator that it names."""
        message = vote_signing_bytes(
            self.identity.chain_id, vote.kind, vote.epoch, vote.view, vote.block_hash, vote.result
        )
        return self.verify(self.state.validators.members[vote.validator].public_key, vote.signature, message)

    def has_signed(self, view: int, kind: VoteKind) -> bool:
        """Tell whether this node signed a vote of the kind in a view of this epoch."""
        return self.signer.has_signed(self.state.number, view, kind)

    def sign(self, kind: VoteKind, view: int, block_hash: bytes, result: bytes) -> Vote | None:
        """Sign a vote behind the guard; None if the guard refuses or this node has no vote in the epoch."""
        state = self.state
        if state.own_index is None:
            return None
        return self.signer.sign(kind, state.number, view, block_hash, result, state.own_index)

    def persist(self, vote: Vote, *support: Effect) -> None:
        """Put an own vote into the log, after what it rests on: a torn log must not keep a vote without its support (W2)."""
        self.emit(*support, Persist(VoteRecord(vote=vote)))

    def count(self, votes: list[Vote]) -> None:
        """Count verified votes of one view, own ones or those inside a certificate."""
        view = votes[0].view
        self.touched_views.add(view)
        for vote in votes:
            self.assistance.hear(vote.validator, view)
        self.report(self.state.view_state(view).tally.add_verified(votes))

    def report(self, outcome: Outcome) -> None:
        """R10: pass on pairs of votes that convict their signer, and peers that sent wrong signatures."""
        state = self.state
        for first, second in outcome.conflicts:
            if first.validator == state.own_index:
                self.emit(OwnKeyElsewhere(second))
            else:
                self.emit(ReportEquivocation(state.validators.members[first.validator].address, first, second))
        for peer in outcome.liars:
            self.emit(Punish(peer, "bad_signature"))

    def has_work(self) -> bool:
        """Tell whether the current view has anything to agree on; while it has not, no timer runs and nobody proposes."""
        current = self.current
        return (
            self.has_outside_work or self.is_tip_overdue or current.proposal is not None or current.tally.has_nullify()
        )

    def enter(self, view: int) -> None:
        """R1: leave the current view for a later one, once."""
        if view <= self.view:
            return
        left = self.state.find_view(view - 1)
        has_block = view - 1 == self.state.final_view or (left is not None and left.block_certificate is not None)
        self.failed_views = 0 if has_block else self.failed_views + 1
        self.view = view
        if has_block and view - 1 > self.state.final_view:
            self.set_timer(TimerKind.LAG, self.timeout.timeout_ms(0))

    def arm_if_active(self) -> None:
        """R1: run the timer of the view from when there is work in it; at once against a leader that seems gone."""
        current = self.current
        if current.is_armed or not self.has_work():
            return
        current.is_armed = True
        if current.active_since_ms is None:
            current.active_since_ms = self.now.mono_ms
        self.set_timer(TimerKind.VIEW, 0 if self.is_leader_inactive() else self.timeout.timeout_ms(self.failed_views))

    def rest_if_idle(self) -> None:
        """Take the time without work out of the view's duration; its timer is set anew when work comes."""
        if not self.has_work():
            self.current.is_armed = False
            self.current.active_since_ms = None

    def is_leader_inactive(self) -> bool:
        """Tell whether the leader signed nothing in many views while a quorum did."""
        leader = self.state.leader_index(self.view)
        return leader != self.state.own_index and self.assistance.is_inactive(leader, self.view, self.state.validators)
