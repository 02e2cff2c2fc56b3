"""Help between nodes: who was heard of lately, who may be answered again, what a peer that is behind needs (R11, R12).

Answers are limited to one a peer and view in a second, and to a few a peer in all; without a limit, simulated networks drowned in
their own messages, and unsigned questions cost their sender less than us. The limits only delay, so they are volatile.
"""

from __future__ import annotations

from typing import Final

from consensus.effects import Effect, Send, SendEpochEnd, StartSync
from consensus.epoch_state import EpochState
from consensus.inputs import Now
from consensus.messages import VIEWS_IN_REQUEST_MAX, CertificatesMessage, CertificatesRequest, Status
from state.validators import ValidatorSet

ANSWER_INTERVAL_MS: Final = 1_000
"""Between two answers to the same peer about the same view."""
ANSWERS_PER_PEER_MAX: Final = 8
"""Answers to one peer within that time, whatever it asks about."""
PEERS_REMEMBERED_MAX: Final = 1_000
INACTIVE_VIEWS_MIN: Final = 8
"""Views without any vote after which a leader counts as gone, or as many as there are validators."""
BLOCKS_BEHIND_MAX: Final = 1
"""Further behind than this, certificates do not help: blocks are synced."""


class Assistance:
    """Memory of when whom was helped, and of which validator was last heard in which view."""

    def __init__(self) -> None:
        """Start without memories."""
        self._answers: dict[str, dict[tuple[int, int], int]] = {}
        """Monotonic time of the answers of the last second, by peer, epoch and view."""
        self._last_heard: dict[int, int] = {}
        self._first_view = 0

    def start_epoch(self, view: int) -> None:
        """Forget who was heard: indices mean other validators now."""
        self._last_heard = {}
        self._first_view = view

    def hear(self, validator: int, view: int) -> None:
        """Remember a vote, verified or not: at worst a leader that is gone costs a timeout more."""
        if view > self._last_heard.get(validator, self._first_view):
            self._last_heard[validator] = view

    def is_inactive(self, validator: int, view: int, validators: ValidatorSet) -> bool:
        """Tell whether nothing was heard of a validator in its last max(8, n) views, while a quorum was heard."""
        horizon = view - max(INACTIVE_VIEWS_MIN, len(validators))
        if self._last_heard.get(validator, self._first_view) >= horizon:
            return False
        heard_power = sum(
            member.power
            for index, member in enumerate(validators.members)
            if self._last_heard.get(index, self._first_view) >= horizon
        )
        return validators.is_quorum(heard_power)

    def may_answer(self, peer: str, epoch: int, view: int, now: Now) -> bool:
        """Tell whether this peer may be answered about this view now, and note it: once a second each, a few in all."""
        answers = self._answers.get(peer)
        if answers is None:
            if len(self._answers) >= PEERS_REMEMBERED_MAX:
                del self._answers[next(iter(self._answers))]
            answers = self._answers[peer] = {}
        answered = {key: at_ms for key, at_ms in answers.items() if now.mono_ms - at_ms < ANSWER_INTERVAL_MS}
        self._answers[peer] = answered
        if (epoch, view) in answered or len(answered) >= ANSWERS_PER_PEER_MAX:
            return False
        answered[epoch, view] = now.mono_ms
        return True

    def help_with_view(self, peer: str, view: int, state: EpochState, own_view: int, now: Now) -> list[Effect]:
        """Answer a peer that tries to settle a view which is settled here: certificates from that view to ours."""
        view = max(view, state.final_view)
        if not state.is_settled(view) or not self.may_answer(peer, state.number, view, now):
            return []
        certificates = state.certificates_from(view, own_view)
        return [Send(peer, CertificatesMessage(certificates=tuple(certificates)))] if certificates else []

    def help_with_epoch(self, peer: str, epoch: int, now: Now) -> list[Effect]:
        """R12: answer a peer in an epoch that is over with the certificate that ended it."""
        return [SendEpochEnd(peer, epoch)] if self.may_answer(peer, epoch, 0, now) else []

    def answer_status(self, peer: str, status: Status, state: EpochState, own_view: int, now: Now) -> list[Effect]:
        """R11, R12: help a peer that is behind, and find out about one that claims to be ahead."""
        if status.epoch < state.number:
            return self.help_with_epoch(peer, status.epoch, now)
        if status.epoch > state.number or status.final_height > state.tip.height + BLOCKS_BEHIND_MAX:
            return [StartSync(peer, status.final_height)]
        if status.final_height < state.tip.height or status.view < own_view:
            first_view = state.final_view if status.final_height < state.tip.height else status.view
            return self.help_with_view(peer, first_view, state, own_view, now)
        return []

    def answer_request(self, peer: str, request: CertificatesRequest, state: EpochState, now: Now) -> list[Effect]:
        """Send what settled the views that a peer asked about, if it is the same epoch."""
        if request.epoch < state.number:
            return self.help_with_epoch(peer, request.epoch, now)
        if request.epoch > state.number or not self.may_answer(peer, request.epoch, request.first_view, now):
            return []
        last_view = min(request.last_view, request.first_view + VIEWS_IN_REQUEST_MAX)
        certificates = state.certificates_from(request.first_view, last_view)
        return [Send(peer, CertificatesMessage(certificates=tuple(certificates)))] if certificates else []
