"""Who may connect: limits, duplicates, blocks.

Two nodes that dial each other at once end up with one connection, the same at both ends. For every pair the node with
the smaller id decides: as a responder it refuses while its own dial waits for admission, as an initiator it gives up
when the other's connection is already open. The node with the larger id never refuses for a dial of its own. An open
connection wins over every other one unless it has been silent for so long that its peer has probably lost it.
"""

from collections import Counter
from collections.abc import Set as AbstractSet

import msgspec

from p2p.address import LOOPBACK_GROUP, build_group
from p2p.errors import ConnectionRefused, RefusalReason
from p2p.events import Direction

HANDSHAKE_WINDOW_MS = 1_000
"""No more handshakes begin within this time than may be under way at once, because each costs about 0.4 ms of CPU."""
STALE_MS = 6_000
"""An open connection that was silent for longer than this, a ping interval and a second, gives way to a new one."""


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """How many connections of each kind there may be. Persistent peers take no place."""

    inbound_max: int
    outbound_max: int
    inbound_per_ip_max: int
    """Does not hold for loopback."""
    half_open_max: int
    half_open_per_ip_max: int


class Candidate(msgspec.Struct, frozen=True):
    """An authenticated peer at the end of a connection."""

    peer_id: str
    direction: Direction
    ip: str


class Roster:
    """The connections that count, by peer id."""

    def __init__(self, own_id: str, persistent_ids: AbstractSet[str], limits: Limits) -> None:
        self._own_id = own_id
        self._persistent_ids = persistent_ids
        self._limits = limits
        self._open: dict[str, Candidate] = {}
        self._awaiting: Counter[str] = Counter()
        """Peers whose admission our own dials wait for."""
        self._half_open: Counter[str] = Counter()
        """Inbound handshakes under way, by IP."""
        self._begun: Counter[str] = Counter()
        """Inbound handshakes that began in the current window, by IP."""
        self._window_ms = 0
        self.blocked_ids: frozenset[str] = frozenset()
        """Peers that an operator cut off."""

    @property
    def half_open_count(self) -> int:
        """Inbound handshakes under way."""
        return self._half_open.total()

    @property
    def open_ids(self) -> frozenset[str]:
        """Peers with an open connection."""
        return frozenset(self._open)

    def count_open(self, direction: Direction) -> int:
        """Return how many places are taken, persistent peers not counted."""
        return sum(
            candidate.direction is direction and candidate.peer_id not in self._persistent_ids
            for candidate in self._open.values()
        )

    def begin_half_open(self, ip: str, now_ms: int) -> None:
        """Count an inbound handshake that begins.

        Raises:
            ConnectionRefused: HALF_OPEN_FULL, HALF_OPEN_IP_FULL.
        """
        if now_ms - self._window_ms >= HANDSHAKE_WINDOW_MS:
            self._window_ms = now_ms
            self._begun.clear()
        limits = self._limits
        if max(self.half_open_count, self._begun.total()) >= limits.half_open_max:
            raise ConnectionRefused(RefusalReason.HALF_OPEN_FULL, ip, limits.half_open_max)
        if max(self._half_open[ip], self._begun[ip]) >= limits.half_open_per_ip_max:
            raise ConnectionRefused(RefusalReason.HALF_OPEN_IP_FULL, ip, limits.half_open_per_ip_max)
        self._half_open[ip] += 1
        self._begun[ip] += 1

    def end_half_open(self, ip: str) -> None:
        """Count an inbound handshake that ended, well or not."""
        _decrease(self._half_open, ip)

    def begin_awaiting(self, peer_id: str) -> None:
        """Note that our own dial to this peer now waits for admission."""
        self._awaiting[peer_id] += 1

    def end_awaiting(self, peer_id: str) -> None:
        """Note that our own dial to this peer was decided."""
        _decrease(self._awaiting, peer_id)

    def check(self, candidate: Candidate, silent_ms: int, *, is_banned: bool) -> None:
        """Check that a connection may be open; an existing one with the same peer then gives way.

        `silent_ms` is how long the existing connection with this peer has been silent.

        Raises:
            ConnectionRefused: BLOCKED, BANNED, DUPLICATE, INBOUND_FULL, OUTBOUND_FULL, IP_FULL.
        """
        peer_id = candidate.peer_id
        if peer_id in self.blocked_ids:
            raise ConnectionRefused(RefusalReason.BLOCKED, peer_id)
        if is_banned:
            raise ConnectionRefused(RefusalReason.BANNED, peer_id)
        if peer_id in self._open and silent_ms <= STALE_MS:
            raise ConnectionRefused(RefusalReason.DUPLICATE, peer_id)
        is_inbound = candidate.direction is Direction.INBOUND
        if is_inbound and self._awaiting[peer_id] and self._own_id < peer_id:
            raise ConnectionRefused(RefusalReason.DUPLICATE, peer_id)
        if peer_id not in self._persistent_ids:
            self._check_places(candidate)

    def add(self, candidate: Candidate) -> None:
        """Count an open connection."""
        assert candidate.peer_id not in self._open, "the connection it replaces is still counted"
        self._open[candidate.peer_id] = candidate

    def remove(self, peer_id: str) -> None:
        """Forget a connection that was open."""
        del self._open[peer_id]

    def _check_places(self, candidate: Candidate) -> None:
        limits = self._limits
        others = [
            other
            for other in self._open.values()
            if other.direction is candidate.direction
            and other.peer_id not in self._persistent_ids
            and other.peer_id != candidate.peer_id
        ]
        if candidate.direction is Direction.OUTBOUND:
            if len(others) >= limits.outbound_max:
                raise ConnectionRefused(RefusalReason.OUTBOUND_FULL, len(others), limits.outbound_max)
            return
        if len(others) >= limits.inbound_max:
            raise ConnectionRefused(RefusalReason.INBOUND_FULL, len(others), limits.inbound_max)
        same_ip_count = sum(other.ip == candidate.ip for other in others)
        is_loopback = build_group(candidate.ip) == LOOPBACK_GROUP
        if same_ip_count >= limits.inbound_per_ip_max and not is_loopback:
            raise ConnectionRefused(RefusalReason.IP_FULL, same_ip_count, limits.inbound_per_ip_max)


def _decrease(counts: Counter[str], key: str) -> None:
    counts[key] -= 1
    if counts[key] <= 0:
        del counts[key]
