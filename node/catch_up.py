"""Catching up by blocks: a node that is behind fetches runs of final headers, one certificate a run, and the bodies. Sans-IO.

A height that a peer tells is a claim. A run of headers is taken only if it links to the own final block, stays in
the own epoch, and its last header has a finalization under the own validator set. Bodies are checked against the headers, results
against the next header and the certificate. So sync costs execution, and one certificate for each run.

Invariants:
- One run at a time, from one peer, with a deadline; a peer that fails, is slow or has nothing is passed over for a while.
- An answer that is late or was not asked for is ignored.
- Nothing unproven is kept beyond the run at hand, and no run is held beyond its bounds in transactions and bytes.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from node.block_messages import (
    RUN_BYTES_MAX,
    RUN_TRANSACTIONS_MAX,
    BlockMessage,
    BodyAnswer,
    BodyRequest,
    HeadersAnswer,
    HeadersRequest,
)
from state import merkle
from state.block import Header, Tip, hash_header
from state.certificates import Certificate, Verify, verify_certificate
from state.errors import Malformed, VoteRejected
from state.transactions import Transaction, parse_transaction
from state.validators import ValidatorSet
from state.votes import VoteKind

DEADLINE_MS: Final = 5_000
"""Without any progress for this long, another peer is tried."""
BODIES_AHEAD_MAX: Final = 16
"""Bodies asked for at once."""
GRACE_MS: Final = 30_000
"""How long a run may take however few bytes come."""
BYTES_PER_MS_MIN: Final = 64
"""A peer that sends less on average, each time just before the deadline, would hold a node back for hours."""
PEER_PAUSE_MS: Final = 10_000
"""How long a peer that failed is not asked again."""
PAUSED_PEERS_MAX: Final = 1_000

Outgoing = tuple[str, BlockMessage]


class ProvenRun(Struct, frozen=True):
    """Final blocks in order, all bodies here, signatures not verified: the certificate vouches for them."""

    headers: tuple[Header, ...]
    transactions: tuple[tuple[Transaction, ...], ...]
    certificate: Certificate


class SyncFailure(Exception):
    """The peer's answer proves nothing, or is not what was asked for."""

    def __init__(self, reason: str) -> None:
        """Say what was wrong, in one of few words."""
        super().__init__(reason)
        self.reason = reason


class CatchUp:
    """Fetches final blocks above the own tip from one peer at a time."""

    def __init__(self, chain_id: bytes, verify: Verify) -> None:
        """Start idle."""
        self._chain_id = chain_id
        self._verify = verify
        self._peer: str | None = None
        self._started_ms = 0
        self._progress_ms = 0
        self._received_bytes = 0
        self._tip: Tip | None = None
        self._headers: tuple[Header, ...] = ()
        self._certificate: Certificate | None = None
        self._envelopes: dict[int, list[bytes]] = {}
        self._asked_heights: set[int] = set()
        self._paused_until_ms: dict[str, int] = {}

    @property
    def is_active(self) -> bool:
        """Tell whether a run is being fetched."""
        return self._peer is not None

    def is_asking(self, peer: str) -> bool:
        """Tell whether a run is being fetched from this peer."""
        return self._peer == peer

    def start(self, peer: str, tip: Tip, now_ms: int) -> list[Outgoing]:
        """Begin a run above the tip from a peer, unless one is under way or the peer failed lately."""
        if self.is_active or now_ms < self._paused_until_ms.get(peer, 0):
            return []
        self._peer, self._tip = peer, tip
        self._started_ms = self._progress_ms = now_ms
        self._received_bytes = 0
        return [(peer, HeadersRequest(first_height=tip.block.height + 1))]

    def stop(self) -> None:
        """Give the run up; what was fetched is dropped."""
        self._peer = None
        self._headers, self._certificate = (), None
        self._envelopes.clear()
        self._asked_heights.clear()

    def fail(self, now_ms: int) -> str | None:
        """Give the run up and pass its peer over for a while; return that peer."""
        peer = self._peer
        if peer is not None:
            if len(self._paused_until_ms) >= PAUSED_PEERS_MAX:
                self._paused_until_ms.clear()
            self._paused_until_ms[peer] = now_ms + PEER_PAUSE_MS
        self.stop()
        return peer

    def is_overdue(self, now_ms: int) -> bool:
        """Tell whether the peer has made no progress for too long, or too little for all this time."""
        allowed_ms = GRACE_MS + self._received_bytes // BYTES_PER_MS_MIN
        is_slow = now_ms - self._progress_ms >= DEADLINE_MS or now_ms - self._started_ms >= allowed_ms
        return self.is_active and is_slow

    def take_headers(self, peer: str, answer: HeadersAnswer, now_ms: int) -> list[Outgoing]:
        """Verify a run of headers and ask for its first bodies.

        Raises:
            SyncFailure: the headers do not link to the tip, leave the epoch, are not certified, or are too many.
        """
        if peer != self._peer or self._headers or self._tip is None:
            return []
        if not answer.headers:
            self.fail(now_ms)
            return []
        if not answer.certificates:
            raise SyncFailure("no_certificate")
        if sum(header.tx_count for header in answer.headers) > RUN_TRANSACTIONS_MAX:
            raise SyncFailure("run_too_large")
        self._check_run(self._tip, answer.headers, answer.certificates[0])
        self._headers, self._certificate = answer.headers, answer.certificates[0]
        self._progress_ms = now_ms
        return self._ask_bodies()

    def _check_run(self, tip: Tip, headers: tuple[Header, ...], certificate: Certificate) -> None:
        validators = ValidatorSet(tip.epoch_start.validators)
        parent_hash, height = tip.block.block_hash, tip.block.height
        for header in headers:
            height += 1
            is_linked = header.height == height and header.parent_hash == parent_hash
            is_of_epoch = header.epoch == tip.epoch_start.epoch and header.validators_hash == validators.set_hash
            if not (is_linked and is_of_epoch and header.chain_id == self._chain_id):
                raise SyncFailure("broken_chain")
            parent_hash = hash_header(header)
        if certificate.kind is not VoteKind.FINALIZE or certificate.block_hash != parent_hash:
            raise SyncFailure("wrong_certificate")
        try:
            verify_certificate(self._chain_id, certificate, validators, tip.epoch_start.epoch, self._verify)
        except VoteRejected as rejected:
            raise SyncFailure(rejected.reason.value) from rejected

    def _ask_bodies(self) -> list[Outgoing]:
        """Ask for the next bodies, a few at once; empty ones need no question."""
        assert self._peer is not None, "only an active run asks"
        requests: list[Outgoing] = []
        waiting = sum(1 for height in self._asked_heights if not self._is_whole(height))
        for header in self._headers:
            if waiting + len(requests) >= BODIES_AHEAD_MAX:
                break
            if header.height not in self._asked_heights:
                self._asked_heights.add(header.height)
                self._envelopes[header.height] = []
                if header.tx_count:
                    requests.append((self._peer, BodyRequest(height=header.height, first_index=0)))
        return requests

    def _is_whole(self, height: int) -> bool:
        header = self._headers[height - self._headers[0].height]
        return len(self._envelopes.get(height, ())) == header.tx_count

    def take_body(self, peer: str, answer: BodyAnswer, now_ms: int) -> list[Outgoing]:
        """Take envelopes of one block and ask for the rest of it, or for further blocks.

        Raises:
            SyncFailure: more envelopes than the header says, or none; more bytes than a run may have.
        """
        if peer != self._peer or answer.height not in self._asked_heights:
            return []
        envelopes = self._envelopes[answer.height]
        header = self._headers[answer.height - self._headers[0].height]
        if answer.first_index != len(envelopes):
            return []
        if not answer.envelopes or len(envelopes) + len(answer.envelopes) > header.tx_count:
            raise SyncFailure("wrong_body")
        self._received_bytes += sum(len(envelope) for envelope in answer.envelopes)
        if self._received_bytes > RUN_BYTES_MAX:
            raise SyncFailure("run_too_large")
        envelopes.extend(answer.envelopes)
        self._progress_ms = now_ms
        if len(envelopes) < header.tx_count:
            return [(peer, BodyRequest(height=answer.height, first_index=len(envelopes)))]
        return self._ask_bodies()

    def take_run(self) -> ProvenRun | None:
        """Return the run once all its bodies are here, and end it.

        Raises:
            SyncFailure: a body is not the one that its header commits to.
        """
        if not self._headers or self._certificate is None:
            return None
        if not all(header.height in self._asked_heights and self._is_whole(header.height) for header in self._headers):
            return None
        run = ProvenRun(
            headers=self._headers,
            transactions=tuple(self._parse_body(header) for header in self._headers),
            certificate=self._certificate,
        )
        self.stop()
        return run

    def _parse_body(self, header: Header) -> tuple[Transaction, ...]:
        try:
            transactions = tuple(
                parse_transaction(encoded, self._chain_id) for encoded in self._envelopes[header.height]
            )
        except Malformed as malformed:
            raise SyncFailure("wrong_body") from malformed
        if merkle.root([transaction.envelope_hash for transaction in transactions]) != header.tx_root:
            raise SyncFailure("wrong_body")
        return transactions
