"""Spreading blobs by 32-byte ids.

The origin of a blob announces its id, or pushes the blob itself in a small network; whoever takes a blob in announces
it to the peers that are not known to have it. So each node receives each blob about once. A wanted id is asked from
one announcer at a time and from the next one when no answer comes.

The caller owns the blobs. It publishes what it took in, and gossip looks blobs up when a peer is to be served; an id
whose blob is gone meanwhile is silently left out. Everything is bounded, per peer and in total, and forgotten things
only cost traffic.
"""

from collections.abc import Callable, Iterable

import msgspec

from p2p import codec
from p2p.channels import Channel
from p2p.errors import PeerViolation, ViolationReason
from p2p.gossip_messages import Announce, Ask, Deliver, cut_blobs, cut_ids, decode_gossip
from p2p.wants import Wants

SEEN_IDS_MAX = 16_384
"""Ids that each peer is known to have; older ones are forgotten, which may cost a repeated announcement."""
TAKEN_IDS_MAX = 65_536
"""Ids remembered as handed to the caller, so that a blob on its way through admission is not asked for again."""
OUTBOX_IDS_MAX = 16_384
"""Ids that wait to be told to a peer; what does not fit is told by others."""
ANSWER_BYTES_MAX = 1 << 20
"""Blobs sent for one question; the rest is asked again."""
PUSH_PEERS_MAX = 8
"""With more peers than this even a network in push mode announces first."""


class Outgoing(msgspec.Struct, frozen=True):
    """A message to send."""

    peer_id: str
    channel: Channel
    payload: bytes


class Handled(msgspec.Struct, frozen=True):
    """What a gossip message led to."""

    outgoing: list[Outgoing]
    received: list[tuple[bytes, bytes]]
    """Ids and blobs that the caller does not know yet; their content is unchecked."""
    duplicate_count: int
    """Blobs that were known already."""


class GossipStore(msgspec.Struct, frozen=True, kw_only=True):
    """What gossip asks its caller: three pure look-ups."""

    identify: Callable[[bytes], bytes]
    """The 32-byte id of a blob."""
    is_known: Callable[[bytes], bool]
    """Whether a blob with this id is of no interest: held, done or refused lately."""
    find_blob: Callable[[bytes], bytes | None]
    """The blob, if it can be served."""


class Gossip:
    """The state of one node's gossip."""

    def __init__(self, store: GossipStore, *, is_push_mode: bool) -> None:
        self._store = store
        self._is_push_mode = is_push_mode
        self._peers: dict[str, _Peer] = {}
        self._wants = Wants()
        self._taken = RecentIds(TAKEN_IDS_MAX)

    @property
    def wanted_count(self) -> int:
        """Ids that were announced and not delivered yet."""
        return len(self._wants)

    def add_peer(self, peer_id: str, ids: Iterable[bytes] = ()) -> None:
        """Take a connected peer into account, and tell it these ids at the next flush."""
        self._peers[peer_id] = peer = _Peer()
        for blob_id in ids:
            peer.enqueue(blob_id, is_push=False)

    def remove_peer(self, peer_id: str, now_ms: int) -> list[Outgoing]:
        """Forget a peer that is gone, and ask others for what it owed."""
        self._peers.pop(peer_id, None)
        return self._ask(self._wants.remove_peer(peer_id, now_ms))

    def publish(self, blob_ids: Iterable[bytes], source: str | None = None) -> None:
        """Spread blobs that the caller took in, at the next flush.

        `source` is the peer they came from, None when they began here.
        """
        is_push = source is None and self._is_push_mode and len(self._peers) <= PUSH_PEERS_MAX
        ids = list(blob_ids)
        for peer_id, peer in self._peers.items():
            if peer_id == source:
                continue
            for blob_id in ids:
                if blob_id not in peer.seen:
                    peer.enqueue(blob_id, is_push=is_push)

    def forget(self, blob_id: bytes) -> None:
        """Take a blob again when it comes, because the caller could not keep the one that it received."""
        self._taken.discard(blob_id)

    def flush(self) -> list[Outgoing]:
        """Return the announcements and pushes that are due; identical batches are encoded once."""
        encoded: dict[tuple[bool, tuple[bytes, ...]], list[bytes]] = {}
        outgoing: list[Outgoing] = []
        for peer_id, peer in self._peers.items():
            for is_push, ids in peer.take_outbox():
                key = (is_push, ids)
                if key not in encoded:
                    encoded[key] = self._encode(ids, is_push=is_push)
                outgoing += [Outgoing(peer_id, Channel.TRANSACTIONS, payload) for payload in encoded[key]]
        return outgoing

    def handle(self, peer_id: str, payload: bytes, now_ms: int) -> Handled:
        """Take a message of a connected peer.

        Raises:
            PeerViolation: MESSAGE_MALFORMED, MESSAGE_NOT_CANONICAL, DUPLICATE_ENTRY, UNASKED.
        """
        message = decode_gossip(payload)
        peer = self._peers[peer_id]
        match message:
            case Announce(ids):
                return Handled(self._handle_announce(peer_id, peer, ids, now_ms), [], 0)
            case Ask(ids):
                return Handled(self._handle_ask(peer_id, peer, ids), [], 0)
            case Deliver(blobs):
                received = self._handle_deliver(peer_id, peer, blobs)
                return Handled([], received, len(blobs) - len(received))

    def tick(self, now_ms: int) -> list[Outgoing]:
        """Return the questions for wanted ids whose answer did not come in time."""
        return self._ask(self._wants.expire(now_ms))

    def _handle_announce(self, peer_id: str, peer: "_Peer", ids: list[bytes], now_ms: int) -> list[Outgoing]:
        for blob_id in ids:
            peer.seen.add(blob_id)
        unknown_ids = [blob_id for blob_id in ids if not self._is_known(blob_id)]
        return self._ask({peer_id: self._wants.add(peer_id, unknown_ids, now_ms)})

    def _handle_ask(self, peer_id: str, peer: "_Peer", ids: list[bytes]) -> list[Outgoing]:
        blobs: list[bytes] = []
        room = ANSWER_BYTES_MAX
        for blob_id in ids:
            blob = self._store.find_blob(blob_id)
            if blob is None:
                continue
            room -= len(blob)
            if room < 0:
                break
            peer.seen.add(blob_id)
            blobs.append(blob)
        return [Outgoing(peer_id, Channel.TRANSACTIONS, codec.encode(Deliver(batch))) for batch in cut_blobs(blobs)]

    def _handle_deliver(self, peer_id: str, peer: "_Peer", blobs: list[bytes]) -> list[tuple[bytes, bytes]]:
        received = []
        for blob in blobs:
            blob_id = self._store.identify(blob)
            is_asked = self._wants.settle(peer_id, blob_id)
            if not is_asked and not self._is_push_mode:
                raise PeerViolation(ViolationReason.UNASKED, blob_id.hex())
            peer.seen.add(blob_id)
            if not self._is_known(blob_id):
                self._taken.add(blob_id)
                received.append((blob_id, blob))
        return received

    def _is_known(self, blob_id: bytes) -> bool:
        return blob_id in self._taken or self._store.is_known(blob_id)

    def _ask(self, ids_by_peer: dict[str, list[bytes]]) -> list[Outgoing]:
        return [
            Outgoing(peer_id, Channel.TRANSACTIONS, codec.encode(Ask(batch)))
            for peer_id, ids in ids_by_peer.items()
            for batch in cut_ids(ids)
        ]

    def _encode(self, ids: tuple[bytes, ...], *, is_push: bool) -> list[bytes]:
        if not is_push:
            return [codec.encode(Announce(batch)) for batch in cut_ids(ids)]
        found = (self._store.find_blob(blob_id) for blob_id in ids)
        blobs = [blob for blob in found if blob is not None]
        return [codec.encode(Deliver(batch)) for batch in cut_blobs(blobs)]


class _Peer:
    """What a peer is known to have, and what it is to be told."""

    def __init__(self) -> None:
        self.seen = RecentIds(SEEN_IDS_MAX)
        self._outbox: dict[bytes, bool] = {}

    def enqueue(self, blob_id: bytes, *, is_push: bool) -> None:
        if len(self._outbox) < OUTBOX_IDS_MAX:
            self._outbox[blob_id] = is_push

    def take_outbox(self) -> list[tuple[bool, tuple[bytes, ...]]]:
        """Return what the peer has not seen meanwhile: pushes, then announcements."""
        if not self._outbox:
            return []
        fresh = [item for item in self._outbox.items() if item[0] not in self.seen]
        self._outbox.clear()
        pushes = tuple(blob_id for blob_id, is_push in fresh if is_push)
        announcements = tuple(blob_id for blob_id, is_push in fresh if not is_push)
        for blob_id in pushes:
            self.seen.add(blob_id)
        return [(is_push, ids) for is_push, ids in ((True, pushes), (False, announcements)) if ids]


class RecentIds:
    """A set that forgets its oldest half when it is full."""

    def __init__(self, count_max: int) -> None:
        self._half_max = count_max // 2
        self._current: set[bytes] = set()
        self._previous: set[bytes] = set()

    def __contains__(self, blob_id: bytes) -> bool:
        return blob_id in self._current or blob_id in self._previous

    def __len__(self) -> int:
        return len(self._current) + len(self._previous)

    def discard(self, blob_id: bytes) -> None:
        """Forget an id, if it is remembered."""
        self._current.discard(blob_id)
        self._previous.discard(blob_id)

    def add(self, blob_id: bytes) -> None:
        """Remember an id as the newest."""
        if len(self._current) >= self._half_max and blob_id not in self._current:
            self._previous = self._current
            self._current = set()
        self._current.add(blob_id)
