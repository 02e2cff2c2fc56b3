"""Links between simulated nodes: sessions, partitions, delay, loss and duplication.

Two nodes hear each other while they have a session and no partition lies between them. A session ends with either process; what is
on its way in it is lost. Within a session messages may overtake each other, which real streams never do.
"""

from __future__ import annotations

from random import Random

from p2p.channels import Channel
from tests.simulation.profiles import CALM_DELAY_MS_MAX, Profile


class Links:
    """The state of every link."""

    def __init__(self, profile: Profile, chance: Random) -> None:
        """Start calm and without sessions."""
        self._profile = profile
        self._chance = chance
        self._sessions: dict[tuple[str, str], int] = {}
        self._serial = 0
        self.is_calm = True
        self.groups: dict[str, int] = {}
        """Side of a partition by node; nodes that are not named are on side 0."""
        self.isolated: str | None = None
        self.audiences: dict[str, frozenset[str]] = {}
        """Whom a twin talks with; others do not hear it, nor it them."""
        self.lost_channels: frozenset[Channel] = frozenset()
        """Nothing on these arrives, in stories."""

    def open_session(self, one: str, other: str) -> None:
        """Begin a new session between two nodes."""
        self._serial += 1
        self._sessions[min(one, other), max(one, other)] = self._serial

    def close_session(self, one: str, other: str) -> None:
        """End the session, and lose what is on its way."""
        self._sessions.pop((min(one, other), max(one, other)), None)

    def session(self, one: str, other: str) -> int | None:
        """Return the number of the present session."""
        return self._sessions.get((min(one, other), max(one, other)))

    def is_cut(self, one: str, other: str) -> bool:
        """Tell whether nothing passes between two nodes at present."""
        if self.groups and self.groups.get(one, 0) != self.groups.get(other, 0):
            return True
        if self.isolated is not None and self.isolated in {one, other}:
            return True
        if self.audiences:
            for twin, stranger in ((one, other), (other, one)):
                audience = self.audiences.get(twin)
                if audience is not None and stranger not in audience:
                    return True
        return False

    def delays(self, source: str, target: str, channel: Channel) -> tuple[int, ...]:
        """Return after how many milliseconds each copy of a message arrives; none if it is lost."""
        if channel in self.lost_channels or self.is_cut(source, target):
            return ()
        chance, profile = self._chance, self._profile
        if self.is_calm:
            return (1 + int(chance.random() * CALM_DELAY_MS_MAX),)
        if profile.loss_permille and chance.random() * 1_000 < profile.loss_permille:
            return ()
        delay_ms = 1 + int(chance.random() ** 2 * profile.delay_ms_max)
        if profile.duplicates_permille and chance.random() * 1_000 < profile.duplicates_permille:
            return delay_ms, delay_ms + int(chance.random() * profile.delay_ms_max)
        return (delay_ms,)
