"""Blobs that were announced and not delivered yet, and whom each was asked from.

# Invariant: each wanted id is asked from one peer at a time, and wanted ids stand in the order of their deadlines,
because all have the same timeout and a new question moves its id to the end.
"""

import msgspec

ASK_TIMEOUT_MS = 1_000
"""After this an id is asked from the next announcer."""
ANNOUNCERS_MAX = 16
"""Announcers remembered for one id; one that lets questions run out gives way to one that does not."""
ATTEMPTS_MAX = 20
"""Questions for one id before it is given up until somebody announces it again."""
WANTED_MAX = 20_000
"""Wanted ids in all, as many as a mempool holds."""
OUTSTANDING_PER_PEER_MAX = 4_096
"""Ids asked from one peer at a time, so that one announcer cannot occupy the whole table."""
ASKED_IDS_MAX = 16_384
"""Ids remembered per peer as asked, whose answer is welcome however late."""


class Wants:
    """The wanted ids of one node."""

    def __init__(self) -> None:
        self._wants: dict[bytes, _Want] = {}
        self._asked: dict[str, _Asked] = {}

    def __len__(self) -> int:
        return len(self._wants)

    def add(self, peer_id: str, ids: list[bytes], now_ms: int) -> list[bytes]:
        """Note that a peer announced unknown ids, and return those to ask it for now."""
        asked = self._asked.setdefault(peer_id, _Asked())
        due = []
        for blob_id in ids:
            want = self._wants.get(blob_id)
            if want is not None:
                self._add_announcer(want, peer_id)
            elif asked.outstanding < OUTSTANDING_PER_PEER_MAX and len(self._wants) < WANTED_MAX:
                deadline_ms = now_ms + ASK_TIMEOUT_MS
                self._wants[blob_id] = _Want([peer_id], asked_peer=peer_id, deadline_ms=deadline_ms)
                asked.note(blob_id)
                due.append(blob_id)
        return due

    def settle(self, peer_id: str, blob_id: bytes) -> bool:
        """Note that a peer delivered an id, and return whether it had been asked for it."""
        want = self._wants.pop(blob_id, None)
        if want is not None:
            self._release(want)
        asked = self._asked.get(peer_id)
        if asked is None or not asked.has(blob_id):
            return False
        asked.timeouts //= 2
        return True

    def expire(self, now_ms: int) -> dict[str, list[bytes]]:
        """Return the ids to ask again, by the peer to ask now."""
        expired = []
        for blob_id, want in self._wants.items():
            if want.deadline_ms > now_ms:
                break
            expired.append(blob_id)
            self._asked[want.asked_peer].timeouts += 1
        return self._ask_next(expired, now_ms)

    def remove_peer(self, peer_id: str, now_ms: int) -> dict[str, list[bytes]]:
        """Forget a peer, and return the ids that it owed, by the peer to ask now."""
        owed = []
        for blob_id, want in self._wants.items():
            if peer_id in want.announcers:
                want.announcers.remove(peer_id)
            if want.asked_peer == peer_id:
                owed.append(blob_id)
        due = self._ask_next(owed, now_ms)
        self._asked.pop(peer_id, None)
        return due

    def _ask_next(self, blob_ids: list[bytes], now_ms: int) -> dict[str, list[bytes]]:
        due: dict[str, list[bytes]] = {}
        for blob_id in blob_ids:
            want = self._wants.pop(blob_id)
            self._release(want)
            next_peer = self._choose(want)
            if next_peer is None:
                continue
            want.asked_peer = next_peer
            want.attempts += 1
            want.deadline_ms = now_ms + ASK_TIMEOUT_MS
            self._wants[blob_id] = want
            self._asked[next_peer].note(blob_id)
            due.setdefault(next_peer, []).append(blob_id)
        return due

    def _add_announcer(self, want: "_Want", peer_id: str) -> None:
        if peer_id in want.announcers:
            return
        if len(want.announcers) >= ANNOUNCERS_MAX:
            worst = max(want.announcers, key=self._timeouts)
            if self._timeouts(worst) <= self._timeouts(peer_id):
                return
            want.announcers.remove(worst)
        want.announcers.append(peer_id)

    def _choose(self, want: "_Want") -> str | None:
        """Return the announcer with the fewest unanswered questions; the one asked last comes last among equals."""
        if want.attempts >= ATTEMPTS_MAX:
            return None
        if want.asked_peer in want.announcers:
            want.announcers.remove(want.asked_peer)
            want.announcers.append(want.asked_peer)
        free = (peer_id for peer_id in want.announcers if self._asked[peer_id].outstanding < OUTSTANDING_PER_PEER_MAX)
        return min(free, key=self._timeouts, default=None)

    def _timeouts(self, peer_id: str) -> int:
        return self._asked[peer_id].timeouts

    def _release(self, want: "_Want") -> None:
        self._asked[want.asked_peer].outstanding -= 1


class _Want(msgspec.Struct):
    announcers: list[str]
    asked_peer: str
    deadline_ms: int
    attempts: int = 1


class _Asked:
    """What one peer was asked for."""

    def __init__(self) -> None:
        self.outstanding = 0
        self.timeouts = 0
        """Questions that ran out; halved by each answer."""
        self._ids: dict[bytes, None] = {}

    def has(self, blob_id: bytes) -> bool:
        return blob_id in self._ids

    def note(self, blob_id: bytes) -> None:
        self.outstanding += 1
        self._ids.pop(blob_id, None)
        self._ids[blob_id] = None
        if len(self._ids) > ASKED_IDS_MAX:
            del self._ids[next(iter(self._ids))]
