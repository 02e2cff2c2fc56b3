"""Messages of the next epoch that came before this node entered it.

Who is a moment behind at the end of an epoch, for want of one finalize vote, hears the first proposal of the next epoch too early.
Dropped, it comes again with the sender's next retry: a whole timeout later where every vote is needed. So a few messages of each
peer are kept for a moment, unverified as they are, and received again once the epoch has begun.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from msgspec import Struct

from consensus.inputs import Now
from consensus.messages import Proposal, VoteMessage

EARLY_VOTES_MAX: Final = 8
"""Newest votes kept of a peer: those of four views, beside its newest proposal."""
EARLY_PEERS_MAX: Final = 128
EARLY_MS: Final = 1_000
"""How long they are worth something. A proposal is judged by when it is received: one that waited long would seem late."""

EarlyMessage = Proposal | VoteMessage


class _Heard(Struct, frozen=True):
    """A message and when it came."""

    message: EarlyMessage
    mono_ms: int


class EarlyMessages:
    """What was heard of one epoch to come, by peer; bounded."""

    def __init__(self) -> None:
        """Start without messages."""
        self._epoch = 0
        self._proposals: dict[str, _Heard] = {}
        self._votes: dict[str, deque[_Heard]] = {}

    def keep(self, epoch: int, peer: str, message: EarlyMessage, now: Now) -> None:
        """Keep a message of this epoch, and forget those of any other."""
        if epoch != self._epoch:
            self._forget(epoch)
        if peer not in self._votes:
            if len(self._votes) >= EARLY_PEERS_MAX:
                return
            self._votes[peer] = deque(maxlen=EARLY_VOTES_MAX)
        heard = _Heard(message, now.mono_ms)
        if isinstance(message, Proposal):
            self._proposals[peer] = heard
        else:
            self._votes[peer].append(heard)

    def take(self, epoch: int, now: Now) -> list[tuple[str, EarlyMessage]]:
        """Return the messages of an epoch that came a moment ago, proposals first, and forget all once it has begun."""
        if not self._votes or epoch < self._epoch:
            return []
        heard = [(peer, one) for peer, one in self._proposals.items()]
        heard += [(peer, one) for peer, votes in self._votes.items() for one in votes]
        is_of_epoch = epoch == self._epoch
        self._forget(epoch)
        return [(peer, one.message) for peer, one in heard if is_of_epoch and now.mono_ms - one.mono_ms <= EARLY_MS]

    def _forget(self, epoch: int) -> None:
        self._epoch = epoch
        self._proposals.clear()
        self._votes.clear()
