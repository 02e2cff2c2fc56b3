"""Whom to dial, and when to try again.

Persistent peers are dialed until they are connected, with delays that double and vary by chance. Free outbound places
are filled from the peer book. A peer that is connected, in either direction, is not dialed.
"""

from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from random import Random

import msgspec

from p2p.address import Address, PeerAddress
from p2p.peer_book import PeerBook

SETTLED_MS = 5_000
"""A connection that lasted this long resets the delay of its peer."""
BOOK_DIAL_INTERVAL_MS = 1_000
"""Book addresses are dialed one at a time, this far apart."""
_DOUBLINGS_MAX = 16


class Backoff(msgspec.Struct, frozen=True, kw_only=True):
    """Delays between dials of a persistent peer."""

    min_ms: int = 200
    max_ms: int = 10_000

    def delay_ms(self, failures: int, rng: Random) -> int:
        """Return the next delay: doubled by each failure, then cut to between half and all of it by chance."""
        full_ms = min(self.max_ms, self.min_ms << min(failures, _DOUBLINGS_MAX))
        return rng.randint(full_ms // 2, full_ms)


class DialSchedule:
    """The state of all dials."""

    def __init__(self, persistent: Iterable[PeerAddress], book: PeerBook, backoff: Backoff, outbound_max: int) -> None:
        self._persistent = {peer.address: _PersistentPeer(peer.node_id) for peer in persistent}
        self._book = book
        self._backoff = backoff
        self._outbound_max = outbound_max
        self._dialing: set[Address] = set()
        self._own: set[Address] = set()
        """Addresses that answered with our own key."""
        self._next_book_dial_ms = 0

    def take_due(
        self,
        now_ms: int,
        open_ids: AbstractSet[str],
        claimed: AbstractSet[Address],
        outbound_count: int,
        rng: Random,
    ) -> list[PeerAddress]:
        """Return the peers to dial now; each counts as being dialed until `note_failed` or `note_closed`.

        `claimed` are the addresses that connected peers say they listen at. They spare us dials of book addresses only:
        otherwise a liar could keep us from a persistent peer by claiming its address.
        """
        busy = self._dialing | self._own
        due = [
            PeerAddress(address, peer.node_id)
            for address, peer in self._persistent.items()
            if peer.next_ms <= now_ms and address not in busy and peer.node_id not in open_ids
        ]
        book_dials = sum(address not in self._persistent for address in self._dialing)
        has_place = outbound_count + book_dials < self._outbound_max
        if has_place and now_ms >= self._next_book_dial_ms:
            self._next_book_dial_ms = now_ms + BOOK_DIAL_INTERVAL_MS
            address = self._book.choose(now_ms, busy | claimed | self._persistent.keys(), rng)
            if address is not None:
                self._book.note_tried(address, now_ms)
                due.append(PeerAddress(address))
        self._dialing.update(peer.address for peer in due)
        return due

    @property
    def persistent_ids(self) -> frozenset[str]:
        """Ids of the persistent peers: configured, or of whoever answered last."""
        return frozenset(peer.node_id for peer in self._persistent.values() if peer.node_id)

    def note_identified(self, address: Address, peer_id: str) -> None:
        """Note who answered at an address."""
        self._book.note_connected(address)
        peer = self._persistent.get(address)
        if peer is not None:
            peer.node_id = peer_id

    def note_own(self, address: Address) -> None:
        """Note that this node itself answered; the address is never dialed again."""
        self._own.add(address)
        self._dialing.discard(address)
        self._book.remove(address)

    def note_failed(self, address: Address, now_ms: int, rng: Random) -> None:
        """Note that a dial led to no open connection."""
        self._dialing.discard(address)
        self._postpone(address, now_ms, rng)

    def note_closed(self, address: Address, lasted_ms: int, now_ms: int, rng: Random) -> None:
        """Note that a connection that we dialed has ended."""
        self._dialing.discard(address)
        peer = self._persistent.get(address)
        if peer is not None and lasted_ms >= SETTLED_MS:
            peer.failures = 0
        self._postpone(address, now_ms, rng)

    def retry_now(self) -> None:
        """Forget the delays of persistent peers, because the reason for failures is gone."""
        for peer in self._persistent.values():
            peer.failures = 0
            peer.next_ms = 0

    def _postpone(self, address: Address, now_ms: int, rng: Random) -> None:
        peer = self._persistent.get(address)
        if peer is not None:
            peer.next_ms = now_ms + self._backoff.delay_ms(peer.failures, rng)
            peer.failures += 1


class _PersistentPeer(msgspec.Struct):
    node_id: str
    """Empty until known."""
    failures: int = 0
    next_ms: int = 0
