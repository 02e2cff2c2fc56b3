"""Misbehaviour that adds up to a ban and fades with time.

Points belong to authenticated ids only: an address can be claimed by anybody, so none is ever banned. The table is
bounded, and a peer that the operator configured is never shut out for longer than a minute.
"""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet

import msgspec

from p2p.errors import ViolationReason

BAN_POINTS = 100
"""Points at which a peer is banned."""
BAN_MS = 600_000
PERSISTENT_BAN_MS = 60_000
DECAY_MS_PER_POINT = 6_000
"""One point is forgiven in this time, so a full score in ten minutes."""
ENTRIES_MAX = 1_000
"""Ids remembered; the mildest entry gives way to a newcomer."""
WEIGHT_DEFAULT = 50
"""A clear breach of the protocol: two of them ban."""

WEIGHTS: Mapping[ViolationReason, int] = {
    ViolationReason.BAD_CIPHERTEXT: 25,  # anybody on the path can cause it
    ViolationReason.FRAME_TIMEOUT: 25,  # so can a bad line
    ViolationReason.UNASKED: 25,
    ViolationReason.RATE_EXCEEDED: 20,  # a line that stalls may deliver at once what was sent in order
    ViolationReason.REQUESTED_TOO_OFTEN: 10,
}
"""Points of the violations that may be bad luck; all others count `WEIGHT_DEFAULT`."""


class Scores:
    """Points and bans by peer id."""

    def __init__(self, persistent_ids: AbstractSet[str]) -> None:
        self._persistent_ids = persistent_ids
        self._entries: dict[str, _Entry] = {}

    def report(self, peer_id: str, reason: str, weight: int, now_ms: int) -> bool:
        """Add points, at least 1, and return whether they ban the peer."""
        entry = self._entries.get(peer_id)
        if entry is None:
            self._make_room(now_ms)
            entry = self._entries[peer_id] = _Entry(counted_ms=now_ms)
        entry.last_reason = reason
        entry.points = entry.points_at(now_ms) + max(1, weight)
        entry.counted_ms = now_ms
        if entry.points < BAN_POINTS:
            return False
        is_persistent = peer_id in self._persistent_ids
        entry.banned_until_ms = now_ms + (PERSISTENT_BAN_MS if is_persistent else BAN_MS)
        entry.points = 0
        return True

    def points(self, peer_id: str, now_ms: int) -> int:
        """Return what a peer has on it now."""
        entry = self._entries.get(peer_id)
        return 0 if entry is None else entry.points_at(now_ms)

    def last_reason(self, peer_id: str) -> str:
        """Return what a peer was last reported for, or nothing."""
        entry = self._entries.get(peer_id)
        return "" if entry is None else entry.last_reason

    def is_banned(self, peer_id: str, now_ms: int) -> bool:
        """Return whether a peer is shut out now."""
        entry = self._entries.get(peer_id)
        return entry is not None and now_ms < entry.banned_until_ms

    def _make_room(self, now_ms: int) -> None:
        if len(self._entries) >= ENTRIES_MAX:
            mildest = min(self._entries, key=lambda peer_id: self._entries[peer_id].severity_at(now_ms))
            del self._entries[mildest]


class _Entry(msgspec.Struct):
    counted_ms: int
    points: int = 0
    banned_until_ms: int = 0
    last_reason: str = ""

    def points_at(self, now_ms: int) -> int:
        return max(0, self.points - max(0, now_ms - self.counted_ms) // DECAY_MS_PER_POINT)

    def severity_at(self, now_ms: int) -> tuple[int, int]:
        return max(0, self.banned_until_ms - now_ms), self.points_at(now_ms)


def violation_weight(reason: ViolationReason) -> int:
    """Return the points of a violation."""
    return WEIGHTS.get(reason, WEIGHT_DEFAULT)
