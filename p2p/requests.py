"""What was asked, from whom, until when.

Every request and answer on the channels BODIES and SYNC begins with a header (kind, 1 byte; request number, 8 bytes,
big-endian), so that "did I ask this peer for this?" and the size of the answer are checked before anything is decoded.
Numbers are chosen by the asking side and mean something between two peers only.

An answer that comes after its deadline is welcome: the peer was asked. An answer that nobody asked for, one of another
kind and one longer than the question allowed are violations.
"""

import struct
from collections.abc import Iterable
from typing import Generic, TypeVar

import msgspec

from p2p.errors import PeerViolation, ViolationReason

T = TypeVar("T")

_HEADER = struct.Struct(">BQ")
HEADER_BYTES = _HEADER.size
LATE_MAX = 256
"""Requests remembered per peer after their deadline."""
ATTEMPTS_MAX = 8
"""Peers tried for one subject."""


class Request(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """One question to one peer."""

    request_id: int
    peer_id: str
    kind: int
    subject: T
    """What the caller wants to know of it when the answer comes."""
    deadline_ms: int
    response_bytes_max: int
    """Longest answer, header not counted."""
    tried_peers: tuple[str, ...]
    """Peers asked for this subject so far, this one included."""


class PendingRequests(Generic[T]):
    """The questions of one node that are not answered yet, bounded per peer and in total."""

    def __init__(self, per_peer_max: int, total_max: int) -> None:
        self._per_peer_max = per_peer_max
        self._total_max = total_max
        self._next_id = 1
        self._pending: dict[int, Request[T]] = {}
        self._outstanding: dict[str, int] = {}
        self._late: dict[str, dict[int, Request[T]]] = {}

    def __len__(self) -> int:
        return len(self._pending)

    def outstanding(self, peer_id: str) -> int:
        """Return how many questions this peer has not answered yet."""
        return self._outstanding.get(peer_id, 0)

    def register(
        self,
        peer_id: str,
        kind: int,
        subject: T,
        deadline_ms: int,
        response_bytes_max: int,
        tried_peers: tuple[str, ...] = (),
    ) -> Request[T] | None:
        """Note a question and return it with its number, or None when the peer or the table has too many."""
        if self.outstanding(peer_id) >= self._per_peer_max or len(self._pending) >= self._total_max:
            return None
        request = Request(
            request_id=self._next_id,
            peer_id=peer_id,
            kind=kind,
            subject=subject,
            deadline_ms=deadline_ms,
            response_bytes_max=response_bytes_max,
            tried_peers=(*tried_peers, peer_id),
        )
        self._next_id += 1
        self._pending[request.request_id] = request
        self._outstanding[peer_id] = self.outstanding(peer_id) + 1
        return request

    def settle(self, peer_id: str, kind: int, request_id: int, response_bytes: int) -> Request[T]:
        """Match an answer with its question, before decoding it, and return the question.

        A question is answered once; a late answer is matched too.

        Raises:
            PeerViolation: UNASKED, RESPONSE_TOO_LONG.
        """
        pending = self._pending.get(request_id)
        is_late = pending is None
        request = self._late.get(peer_id, {}).get(request_id) if pending is None else pending
        if request is None or request.peer_id != peer_id or request.kind != kind:
            raise PeerViolation(ViolationReason.UNASKED, (kind, request_id))
        if response_bytes > request.response_bytes_max:
            bound = request.response_bytes_max
            raise PeerViolation(ViolationReason.RESPONSE_TOO_LONG, response_bytes, bound)
        if is_late:
            del self._late[peer_id][request_id]
        else:
            self._remove(request)
        return request

    def expire(self, now_ms: int) -> list[Request[T]]:
        """Return the questions whose deadline is reached; their answers are still welcome."""
        expired = [request for request in self._pending.values() if request.deadline_ms <= now_ms]
        for request in expired:
            self._remove(request)
            late = self._late.setdefault(request.peer_id, {})
            late[request.request_id] = request
            if len(late) > LATE_MAX:
                del late[next(iter(late))]
        return expired

    def remove_peer(self, peer_id: str) -> list[Request[T]]:
        """Forget a peer that is gone and return what it did not answer."""
        self._late.pop(peer_id, None)
        owed = [request for request in self._pending.values() if request.peer_id == peer_id]
        for request in owed:
            self._remove(request)
        return owed

    def retry(self, request: Request[T], candidates: Iterable[str], deadline_ms: int) -> Request[T] | None:
        """Ask another peer for the same subject, or return None when nobody is left to ask.

        Of the candidates that were not tried, the one with the fewest open questions is taken, then the first by id.
        """
        if len(request.tried_peers) >= ATTEMPTS_MAX:
            return None
        untried = [peer_id for peer_id in candidates if peer_id not in request.tried_peers]
        if not untried:
            return None
        return self.register(
            min(untried, key=lambda peer_id: (self.outstanding(peer_id), peer_id)),
            request.kind,
            request.subject,
            deadline_ms,
            request.response_bytes_max,
            request.tried_peers,
        )

    def _remove(self, request: Request[T]) -> None:
        del self._pending[request.request_id]
        left = self._outstanding[request.peer_id] - 1
        if left:
            self._outstanding[request.peer_id] = left
        else:
            del self._outstanding[request.peer_id]


def encode_message(kind: int, request_id: int, body: bytes) -> bytes:
    """Put the header before the body of a request or an answer."""
    return _HEADER.pack(kind, request_id) + body


def split_message(payload: bytes) -> tuple[int, int, bytes]:
    """Return kind, request number and body.

    Raises:
        PeerViolation: MESSAGE_MALFORMED.
    """
    if len(payload) < HEADER_BYTES:
        raise PeerViolation(ViolationReason.MESSAGE_MALFORMED, len(payload), HEADER_BYTES)
    kind, request_id = _HEADER.unpack_from(payload)
    return kind, request_id, payload[HEADER_BYTES:]
