"""Where transactions come in: from users and from gossip, through signature verification into the mempool, and on to peers.

Cheap rules come first; the signatures of what passes them are verified in batches outside of the loop, and a wrong one costs the
peer. What is refused for good is remembered for a while, so that nobody makes us look at it again and again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from msgspec import Struct

from node.admission import MempoolReason, Source, find_outdated
from node.evidence_queue import EvidenceQueue
from node.mempool import Mempool
from node.shell import Shell
from p2p.gossip import Gossip, GossipStore, Outgoing, RecentIds
from state.chain import Chain, Finalized
from state.errors import Malformed, TransactionRejected
from state.ledger import Ledger
from state.receipts import EventKind
from state.runtime.reasons import TransactionReason
from state.runtime.warming import has_evidence
from state.transactions import Transaction, hash_envelope, parse_transaction

RECENT_MAX: Final = 50_000
"""Envelope hashes remembered as refused or final."""

DEFERRED_MAX: Final = 256
DEFERRED_MS: Final = 10_000
"""How long such a transaction is kept; a node that is further behind than that syncs."""
DEFERRED_REASONS: Final = frozenset(
    {TransactionReason.CANNOT_PAY, TransactionReason.NONCE_TOO_HIGH, TransactionReason.UNAUTHORISED}
)
"""What the next final block may cure."""
PASSING_REASONS: Final = DEFERRED_REASONS | {
    TransactionReason.EXPIRES_TOO_LATE,
    MempoolReason.MEMPOOL_FULL,
    MempoolReason.SENDER_LIMIT,
    MempoolReason.REPLACEMENT_FEE_TOO_LOW,
}
"""Refusals of this moment; all others hold for good."""


class Deferred(Struct, frozen=True):
    """A transaction of a peer that is tried again after the next final block."""

    peer: str
    transaction: Transaction
    deadline_ms: int


class TransactionIntake:
    """Owns the mempool's front door and the gossip of transactions."""

    def __init__(
        self,
        chain: Chain,
        mempool: Mempool[Ledger],
        shell: Shell,
        on_admitted: Callable[[Transaction], None],
        on_verified: Callable[[], None],
        *,
        is_push_mode: bool,
    ) -> None:
        """Admit against the newest final state; on_verified hears that evidence keeps a transaction back no more."""
        self.mempool = mempool
        self._chain = chain
        self._shell = shell
        self._on_admitted = on_admitted
        self._evidence = EvidenceQueue(chain, mempool, shell, on_verified)
        self._recent = RecentIds(RECENT_MAX)
        self._settled_count = 0
        self._deferred: dict[bytes, Deferred] = {}
        """Transactions that came a moment before the block that makes them good, by envelope hash."""
        store = GossipStore(identify=hash_envelope, is_known=self._is_known, find_blob=self._find_blob)
        self._gossip = Gossip(store, is_push_mode=is_push_mode)

    def _is_known(self, envelope_hash: bytes) -> bool:
        if envelope_hash in self._recent or envelope_hash in self._deferred:
            return True
        return self.mempool.find(envelope_hash) is not None

    def _find_blob(self, envelope_hash: bytes) -> bytes | None:
        transaction = self.mempool.find(envelope_hash)
        return None if transaction is None else transaction.encoded

    def add_peer(self, peer: str) -> None:
        """Tell a new peer what is pending here."""
        self._gossip.add_peer(peer, [transaction.envelope_hash for transaction in self.mempool])
        self.flush()

    def remove_peer(self, peer: str) -> None:
        """Ask others for what a lost peer owed."""
        self._send(self._gossip.remove_peer(peer, self._shell.now().mono_ms))

    def receive(self, peer: str, payload: bytes) -> None:
        """Take a gossip message of a peer.

        Raises:
            PeerViolation: the message is malformed or was not asked for.
        """
        handled = self._gossip.handle(peer, payload, self._shell.now().mono_ms)
        self._send(handled.outgoing)
        transactions: list[Transaction] = []
        for _, blob in handled.received:
            try:
                transactions.append(parse_transaction(blob, self._chain.chain_id))
            except Malformed:
                self._shell.punish(peer, "malformed_transaction")
        self._offer(peer, transactions)

    def _offer(self, peer: str, transactions: Sequence[Transaction]) -> None:
        """Check the cheap rules, then have the signatures of the rest verified: junk must not cost more than it."""
        ledger, wall_ms = self._chain.ledger, self._shell.now().wall_ms
        hopeful: list[Transaction] = []
        for transaction in transactions:
            try:
                self.mempool.check(transaction, ledger, wall_ms)
            except TransactionRejected as rejection:
                self._refuse(peer, transaction, rejection)
            else:
                hopeful.append(transaction)
        if hopeful:
            state = self._settled_count
            self._shell.verify(hopeful, lambda wrong: self._take_verified(peer, hopeful, wrong, state))

    def _take_verified(
        self, peer: str, transactions: Sequence[Transaction], wrong: frozenset[bytes], state: int
    ) -> None:
        if wrong:
            self._shell.punish(peer, "bad_signature")
        admitted: list[bytes] = []
        for transaction in transactions:
            if transaction.envelope_hash in wrong:
                self._recent.add(transaction.envelope_hash)
                continue
            try:
                self.admit(transaction, Source.PEER, state)
            except TransactionRejected as rejection:
                self._refuse(peer, transaction, rejection)
            else:
                self._deferred.pop(transaction.envelope_hash, None)
                admitted.append(transaction.envelope_hash)
        self._gossip.publish(admitted, peer)
        self.flush()

    def _refuse(self, peer: str, transaction: Transaction, rejection: TransactionRejected) -> None:
        """Remember what is refused for good; keep for a while what the next final block may make good; take the rest again."""
        envelope_hash = transaction.envelope_hash
        if rejection.reason not in PASSING_REASONS:
            self._deferred.pop(envelope_hash, None)
            self._recent.add(envelope_hash)
        elif envelope_hash not in self._deferred:
            if rejection.reason in DEFERRED_REASONS and len(self._deferred) < DEFERRED_MAX:
                deadline_ms = self._shell.now().mono_ms + DEFERRED_MS
                self._deferred[envelope_hash] = Deferred(peer, transaction, deadline_ms)
            else:
                self._gossip.forget(envelope_hash)

    @property
    def state(self) -> int:
        """Number of the final state that checks are made on now."""
        return self._settled_count

    def admit(self, transaction: Transaction, source: Source, checked_state: int | None = None) -> None:
        """Put a transaction whose signatures verify into the mempool; its cheap rules were checked on a state, if one is given.

        Its evidence is verified from now on, unless it takes the place of another one: only one of the two ever pays for it.

        Raises:
            TransactionRejected: with the reason of the rule that it breaks.
        """
        is_checked = checked_state == self._settled_count
        ledger, wall_ms = self._chain.ledger, self._shell.now().wall_ms
        is_verified = has_evidence(transaction) and not self.mempool.is_taken(
            transaction.body.sender, transaction.body.nonce
        )
        self.mempool.admit(transaction, ledger, wall_ms, source, is_checked=is_checked)
        if is_verified:
            self._evidence.add(transaction)
        self._on_admitted(transaction)

    def publish(self, transactions: Iterable[Transaction]) -> None:
        """Spread transactions that began here."""
        self._gossip.publish([transaction.envelope_hash for transaction in transactions])
        self.flush()

    def settle(self, finalized: Finalized, transactions: Sequence[Transaction]) -> None:
        """Drop what newly final blocks settled, and try again what waited for them; transactions are theirs, in order.

        An unauthorised envelope settles nothing, for its body is somebody else's, whose own envelope may still come.
        """
        self._settled_count += 1
        ledger = self._chain.ledger
        receipts = [receipt for block in finalized.blocks for receipt in block.receipts]
        settled: list[Transaction] = []
        for transaction, receipt in zip(transactions, receipts, strict=True):
            self._recent.add(transaction.envelope_hash)
            if receipt.reason == TransactionReason.UNAUTHORISED:
                self.mempool.discard(transaction.envelope_hash)
            else:
                settled.append(transaction)
        self.mempool.remove_final(settled, ledger, finalized.tip.block.time_ms)
        for _, stored in finalized.events:
            if stored.event.kind is EventKind.PARAMS_CHANGED:
                self._drop_outdated(ledger)
            elif stored.event.kind is EventKind.AUTH_SET:
                account = dict(stored.event.attributes)["account"]
                assert isinstance(account, bytes), "an account is named by its address"
                self.mempool.drop_unauthorised(account, ledger)
        for deferred in list(self._deferred.values()):
            self._offer(deferred.peer, [deferred.transaction])

    def _drop_outdated(self, ledger: Ledger) -> None:
        """Drop what pays too little or is too large by the parameters of now, and tell those who wait for it."""
        for transaction, rejection in find_outdated(ledger, self.mempool):
            self.mempool.discard(transaction.envelope_hash)
            self._shell.on_refused(transaction, rejection)

    def tick(self) -> None:
        """Ask again for what was announced and did not come, and give up what waited too long for its money."""
        now_ms = self._shell.now().mono_ms
        for envelope_hash in [one for one, deferred in self._deferred.items() if deferred.deadline_ms <= now_ms]:
            del self._deferred[envelope_hash]
            self._gossip.forget(envelope_hash)
        self._send(self._gossip.tick(self._shell.now().mono_ms))
        self.flush()

    def flush(self) -> None:
        """Send what is due to peers."""
        self._send(self._gossip.flush())

    def _send(self, outgoing: Iterable[Outgoing]) -> None:
        for message in outgoing:
            self._shell.send(message.peer_id, message.channel, message.payload)
