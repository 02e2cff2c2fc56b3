"""Where transactions come in: from users and from gossip, through signature verification into the mempool, and on to peers.

Signatures are verified in batches outside of the loop; a transaction that a peer sent with a wrong signature costs that peer. A
transaction that the pool refuses is remembered for a while, so that nobody makes us verify it again and again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from node.admission import Source
from node.mempool import Mempool
from node.shell import Shell
from p2p.gossip import Gossip, GossipStore, Outgoing, RecentIds
from state.errors import Malformed, TransactionRejected
from state.ledger import Ledger
from state.transactions import Transaction, hash_envelope, parse_transaction

RECENT_MAX: Final = 50_000
"""Envelope hashes remembered as refused or final."""


class TransactionIntake:
    """Owns the mempool's front door and the gossip of transactions."""

    def __init__(
        self,
        chain_id: bytes,
        mempool: Mempool[Ledger],
        ledger: Callable[[], Ledger],
        shell: Shell,
        on_admitted: Callable[[Transaction], None],
        *,
        is_push_mode: bool,
    ) -> None:
        """Admit against ledger(), the newest final state."""
        self.mempool = mempool
        self._chain_id = chain_id
        self._ledger = ledger
        self._shell = shell
        self._on_admitted = on_admitted
        self._recent = RecentIds(RECENT_MAX)
        store = GossipStore(identify=hash_envelope, is_known=self._is_known, find_blob=self._find_blob)
        self._gossip = Gossip(store, is_push_mode=is_push_mode)

    def _is_known(self, envelope_hash: bytes) -> bool:
        return envelope_hash in self._recent or self.mempool.find(envelope_hash) is not None

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
                transactions.append(parse_transaction(blob, self._chain_id))
            except Malformed:
                self._shell.punish(peer, "malformed_transaction")
        if transactions:
            self._shell.verify(transactions, lambda wrong: self._take_verified(peer, transactions, wrong))

    def _take_verified(self, peer: str, transactions: Sequence[Transaction], wrong: frozenset[bytes]) -> None:
        if wrong:
            self._shell.punish(peer, "bad_signature")
        admitted: list[bytes] = []
        for transaction in transactions:
            if transaction.envelope_hash in wrong:
                self._recent.add(transaction.envelope_hash)
                continue
            try:
                self.admit(transaction, Source.PEER)
            except TransactionRejected:
                self._recent.add(transaction.envelope_hash)
            else:
                admitted.append(transaction.envelope_hash)
        self._gossip.publish(admitted, peer)
        self.flush()

    def admit(self, transaction: Transaction, source: Source) -> None:
        """Put a transaction whose signatures verify into the mempool.

        Raises:
            TransactionRejected: with the reason of the rule that it breaks.
        """
        self.mempool.admit(transaction, self._ledger(), self._shell.now().wall_ms, source)
        self._on_admitted(transaction)

    def publish(self, transactions: Iterable[Transaction]) -> None:
        """Spread transactions that began here."""
        self._gossip.publish([transaction.envelope_hash for transaction in transactions])
        self.flush()

    def remember_final(self, transactions: Iterable[Transaction]) -> None:
        """Have no more interest in transactions that are final."""
        for transaction in transactions:
            self._recent.add(transaction.envelope_hash)

    def tick(self) -> None:
        """Ask again for what was announced and did not come."""
        self._send(self._gossip.tick(self._shell.now().mono_ms))
        self.flush()

    def flush(self) -> None:
        """Send what is due to peers."""
        self._send(self._gossip.flush())

    def _send(self, outgoing: Iterable[Outgoing]) -> None:
        for message in outgoing:
            self._shell.send(message.peer_id, message.channel, message.payload)
