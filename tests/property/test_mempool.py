"""The mempool against a model, by random operations: every index agrees after each, and selections make valid blocks."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from node.admission import Source
from node.mempool import Mempool, MempoolLimits
from node.pool_entries import fee_rate
from state.errors import TransactionRejected
from tests.support.pool import ADDRESSES, ToyRules, check_pool, toy_ledger, transfer

SENDERS = st.integers(0, 3)
NONCES = st.integers(1, 6)
LIMITS = MempoolLimits(transactions_max=8, bytes_max=2_400, per_sender_max=4)


class PoolMachine(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.pool = Mempool(ToyRules(), LIMITS)
        self.ledger = toy_ledger()
        self.now_ms = 0
        self.unfinal = []
        self.pinned = []

    @rule(
        sender=SENDERS,
        nonce=NONCES,
        fee=st.sampled_from([1_000, 1_050, 1_100, 2_000, 5_000]),
        memo=st.sampled_from([b"", bytes(40), bytes(250)]),
        lifetime=st.sampled_from([-1, 0, 5, 1_000]),
    )
    def admit(self, sender, nonce, fee, memo, lifetime):
        transaction = transfer(sender, nonce, fee, memo, max(0, self.now_ms + lifetime))
        before = {tx.tx_id: tx for tx in self.pool}
        try:
            self.pool.admit(transaction, self.ledger, self.now_ms, Source.PEER)
        except TransactionRejected:
            assert {tx.tx_id: tx for tx in self.pool} == before
            return
        assert self.pool.find_by_id(transaction.tx_id) is transaction
        gone = [tx for tx in before.values() if not self.pool.find_by_id(tx.tx_id)]
        rivals = [tx for tx in gone if (tx.body.sender, tx.body.nonce) == (transaction.body.sender, nonce)]
        assert len(rivals) <= 1
        assert all(fee_rate(tx) < fee_rate(transaction) for tx in gone if tx not in rivals)

    @rule(max_transactions=st.integers(0, 8), max_bytes=st.integers(0, 2_400), max_work=st.integers(0, 6_000))
    def propose(self, max_transactions, max_bytes, max_work):
        """Build a block on the newest final state, as a proposer whose ancestors hold `unfinal`."""
        chosen = self.pool.select(
            self.ledger,
            self.now_ms,
            max_bytes=max_bytes,
            max_transactions=max(1, max_transactions),
            max_work=max_work,
            excluded={tx.envelope_hash for tx in self.unfinal},
        )
        assert len(chosen) <= max(1, max_transactions)
        assert sum(len(tx.encoded) for tx in chosen) <= max_bytes
        assert len({(tx.body.sender, tx.body.nonce) for tx in chosen}) == len(chosen)
        assert not set(chosen) & set(self.unfinal)
        for address in ADDRESSES:
            nonces = [tx.body.nonce for tx in chosen if tx.body.sender == address]
            assert nonces == sorted(nonces)
        assert all(tx.body.expires_at_ms >= self.now_ms for tx in chosen)
        assert all(tx.body.nonce not in self.ledger[tx.body.sender].used for tx in chosen)
        known = {(tx.body.sender, tx.body.nonce) for tx in self.unfinal}
        self.unfinal += [tx for tx in chosen if (tx.body.sender, tx.body.nonce) not in known]
        self.pool.bodies.unpin(b"unfinal")
        self.pool.bodies.pin(b"unfinal", self.unfinal)

    @rule(spent=st.integers(0, 2_000), extra=st.tuples(SENDERS, NONCES))
    def finalize(self, spent, extra):
        block = [*self.unfinal, transfer(extra[0], extra[1], fee=777)]
        for tx in block:
            account = self.ledger[tx.body.sender]
            account.used.add(tx.body.nonce)
            account.balance = max(0, account.balance - tx.body.fee - spent)
        self.pool.remove_final(block, self.ledger, self.now_ms)
        self.pool.bodies.unpin(b"unfinal")
        self.unfinal = []
        assert not any(self.pool.find_by_id(tx.tx_id) for tx in block)
        for sender in {tx.body.sender for tx in block}:
            pending = self.pool.pending_of(sender)
            assert not {tx.body.nonce for tx in pending} & self.ledger[sender].used
            assert sum(tx.body.fee for tx in pending) <= self.ledger[sender].balance

    @rule(elapsed_ms=st.integers(1, 600))
    def wait(self, elapsed_ms):
        self.now_ms += elapsed_ms
        self.pool.drop_expired(self.now_ms)
        assert all(tx.body.expires_at_ms >= self.now_ms for tx in self.pool)

    @rule(sender=SENDERS)
    def earn(self, sender):
        self.ledger[ADDRESSES[sender]].balance += 100_000

    @invariant()
    def indexes_agree(self):
        check_pool(self.pool)

    @invariant()
    def pinned_bodies_are_found(self):
        assert all(self.pool.find(tx.envelope_hash) for tx in self.unfinal)

    @invariant()
    def work_is_seen_exactly_if_something_is_not_excluded(self):
        excluded = {tx.envelope_hash for tx in self.unfinal}
        assert self.pool.has_work(excluded) == any(tx.envelope_hash not in excluded for tx in self.pool)


PoolMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestMempool = PoolMachine.TestCase
