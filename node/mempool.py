"""Transactions that wait for a block: admission, order, limits, eviction and expiry. No I/O; time is an argument.

Invariants (checked after each step of the stateful test):
- Every index names the same transactions; one owner object changes them all.
- One transaction per (sender, nonce) and per tx_id; what a sender's transactions take from it is reserved
  against its balance, fees and amounts.
- Count, bytes and transactions per sender never exceed the limits. A full pool drops the lowest fee per byte, and of equal ones the
  newest, so a newcomer only enters by paying more than somebody.
- A transaction is offered for a block only after all lower pending nonces of its sender that may stand in that block.

Bodies of unfinal blocks are pinned in `bodies` and outlive anything that happens here. DESIGN sections 4 and 5; limits section 11.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections import Counter, OrderedDict
from collections.abc import Container, Iterator, Sequence
from heapq import heapify, heappop, heappush
from typing import Final, Generic

from msgspec import Struct

from node.admission import AdmissionRules, LedgerType, MempoolReason, Source
from node.body_pool import BodyPool
from node.held_entries import HeldEntries
from node.pool_entries import Entry, MempoolSnapshot, Sender, fee_rate, nonce_of
from state.codec import INTEGER_MAX
from state.errors import TransactionRejected
from state.transactions import Transaction

SEEN_MAX: Final = 65_536
"""Ids of final or expired transactions remembered, so that late gossip of them is refused without work."""
STALE_ENTRIES_MIN: Final = 1_024
"""Dead index entries below which compacting is not worth it."""
SELECT_MISSES_MAX: Final = 64
"""Senders in a row whose transaction does not fit, after which a block counts as full."""


class MempoolLimits(Struct, frozen=True):
    """Bounds of the pool (DESIGN section 11)."""

    transactions_max: int = 20_000
    bytes_max: int = 64 << 20
    per_sender_max: int = 1_024


class Mempool(Generic[LedgerType]):
    """The pending transactions of a node and the pinned bodies of its unfinal blocks."""

    def __init__(self, rules: AdmissionRules[LedgerType], limits: MempoolLimits | None = None) -> None:
        """Start empty, with the first limits of the design unless others are given."""
        self.limits = limits or MempoolLimits()
        self.bodies = BodyPool()
        self.held = HeldEntries()
        self.admitted: Counter[Source] = Counter()
        self.rejected: Counter[str] = Counter()
        """Refusals by reason."""
        self.dropped: Counter[str] = Counter()
        """Pending transactions that left without being included: replaced, evicted, expired, invalid."""
        self._rules = rules
        self._by_hash: dict[bytes, Entry] = {}
        self._by_id: dict[bytes, Entry] = {}
        self._by_order: dict[int, Entry] = {}
        self._senders: dict[bytes, Sender] = {}
        self._order: list[int] = []
        """Order keys ascending; a key without an entry in _by_order is dead and skipped."""
        self._expiries: list[tuple[int, int]] = []
        """Heap of (expires_at_ms, order key), dead ones included."""
        self._seen: OrderedDict[bytes, MempoolReason] = OrderedDict()
        """Why a transaction left lately, by tx_id, oldest first."""
        self._arrivals = 0
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._by_hash)

    def __iter__(self) -> Iterator[Transaction]:
        """Iterate over the pending transactions in the order of arrival."""
        return (entry.transaction for entry in self._by_hash.values())

    @property
    def byte_count(self) -> int:
        """Sum of the envelopes' bytes."""
        return self._bytes

    def admit(
        self, transaction: Transaction, ledger: LedgerType, wall_ms: int, source: Source, *, is_checked: bool = False
    ) -> None:
        """Take a transaction whose signatures verify into the pool; is_checked if `check` passed on the same state.

        Raises:
            TransactionRejected: a `MempoolReason`, or the reason of the admission rule it breaks.
        """
        replaced = (
            self._recheck_place(transaction, ledger, wall_ms)
            if is_checked
            else self.check(transaction, ledger, wall_ms)
        )
        if replaced:
            self._remove(replaced)
            self.dropped["replaced"] += 1
        entry = Entry(transaction, self._arrivals, self._rules.outgoing(transaction))
        self._arrivals += 1
        self._evict_for(entry)
        self._insert(entry)
        self.admitted[source] += 1

    def check(self, transaction: Transaction, ledger: LedgerType, wall_ms: int) -> Entry | None:
        """Check whether a transaction would be admitted, before its signatures are verified; return the entry it would replace.

        Raises:
            TransactionRejected: as for `admit`.
        """
        try:
            replaced = self._check_place(transaction)
            sender = self._senders.get(transaction.body.sender)
            reserved = (sender.reserved if sender else 0) - (replaced.outgoing if replaced else 0)
            self._rules.check_admission(ledger, transaction, wall_ms, reserved)
        except TransactionRejected as rejection:
            self.rejected[rejection.reason.value] += 1
            raise
        return replaced

    def _recheck_place(self, transaction: Transaction, ledger: LedgerType, wall_ms: int) -> Entry | None:
        """Check again what others may have taken since `check`: the place, and the sender's money."""
        body = transaction.body
        sender = self._senders.get(body.sender)
        needed = body.fee + (sender.reserved if sender else 0)
        if self._rules.sender_state(ledger, body.sender).balance < needed or transaction.tx_id in self._by_id:
            return self.check(transaction, ledger, wall_ms)
        return self._check_place(transaction)

    def find(self, envelope_hash: bytes) -> Transaction | None:
        """Return a pending or pinned transaction by the name that proposals use."""
        entry = self._by_hash.get(envelope_hash)
        return entry.transaction if entry else self.bodies.find(envelope_hash)

    def find_by_id(self, tx_id: bytes) -> Transaction | None:
        """Return a pending transaction by the name that people use."""
        entry = self._by_id.get(tx_id)
        return entry.transaction if entry else None

    def find_departure(self, tx_id: bytes) -> MempoolReason | None:
        """Return why a transaction that was here lately is not coming back: ALREADY_FINAL or EXPIRED."""
        return self._seen.get(tx_id)

    def is_known(self, tx_id: bytes) -> bool:
        """Tell whether a transaction is pending or was included or expired lately, so that nobody need send it."""
        return tx_id in self._by_id or tx_id in self._seen

    def is_taken(self, sender: bytes, nonce: int) -> bool:
        """Tell whether a pending transaction of an account has this nonce."""
        queue = self._senders.get(sender)
        return queue is not None and queue.find(nonce) is not None

    def pending_of(self, sender: bytes) -> tuple[Transaction, ...]:
        """Return the pending transactions of an account by ascending nonce."""
        queue = self._senders.get(sender)
        return tuple(entry.transaction for entry in queue.entries) if queue else ()

    def first(self, limit: int) -> list[Transaction]:
        """Return up to limit pending transactions, the highest fee per byte first."""
        found: list[Transaction] = []
        for order in self._order:
            if len(found) >= limit:
                break
            if (entry := self._by_order.get(order)) is not None:
                found.append(entry.transaction)
        return found

    def has_work(self, excluded: Container[bytes]) -> bool:
        """Tell whether anything is pending that a block may have and whose envelope hash is not among the excluded ones."""
        waits_from = self.held.first_nonces(excluded)
        return any(
            envelope_hash not in excluded and entry.nonce < waits_from.get(entry.sender, INTEGER_MAX)
            for envelope_hash, entry in reversed(self._by_hash.items())
        )

    def hold(self, envelope_hash: bytes) -> int:
        """Keep a pending transaction, and what its sender has after it, out of blocks for now; return its order."""
        entry = self._by_hash[envelope_hash]
        self.held.put(entry)
        return entry.order

    def select(
        self,
        ledger: LedgerType,
        block_time_ms: int,
        *,
        max_bytes: int,
        max_transactions: int,
        max_work: int,
        excluded: Container[bytes] = (),
    ) -> list[Transaction]:
        """Choose transactions for a block on this state: best fee per byte first, one sender's by ascending nonce.

        `excluded` holds the envelope hashes of unfinal ancestors. A sender whose next one does not fit or is held waits whole.
        """
        chosen: list[Transaction] = []
        work_of = self._rules.block_work(ledger, block_time_ms)
        misses = 0
        positions: dict[bytes, int] = {}
        for order in self._order:
            head = self._by_order.get(order)
            if head is None:
                continue
            entries = self._senders[head.sender].entries
            position = positions.get(head.sender, 0)
            # Invariant: entries before position are chosen or may not stand in this block; those passed over have order <= this.
            while position < len(entries) and entries[position].order <= order:
                entry = entries[position]
                position += 1
                if entry.transaction.envelope_hash in excluded:
                    continue
                if entry.transaction.envelope_hash in self.held:
                    position = len(entries)
                    break
                work = work_of(entry.transaction)
                if work is None:
                    continue
                if entry.byte_count > max_bytes or work > max_work:
                    position = len(entries)
                    misses += 1
                    break
                chosen.append(entry.transaction)
                max_bytes -= entry.byte_count
                max_work -= work
                misses = 0
                if len(chosen) >= max_transactions:
                    return chosen
            positions[head.sender] = position
            if misses >= SELECT_MISSES_MAX:
                break
        return chosen

    def remove_final(self, transactions: Sequence[Transaction], ledger: LedgerType, block_time_ms: int) -> None:
        """Drop what newly final blocks included, made invalid or outlived.

        `ledger` is the state after them, `block_time_ms` the newest of their times. The cost follows the transactions included and
        the pending ones of their senders that a used nonce may touch, not the size of the pool.
        """
        affected: dict[bytes, None] = {}
        for transaction in transactions:
            self._remember(transaction.tx_id, MempoolReason.ALREADY_FINAL)
            affected[transaction.body.sender] = None
            if (entry := self._by_id.get(transaction.tx_id)) is not None:
                self._remove(entry)
        for sender in affected:
            if sender in self._senders:
                self._recheck(sender, ledger)
        self.drop_expired(block_time_ms)

    def discard(self, envelope_hash: bytes) -> None:
        """Drop one envelope that a final block shows to be void; another one with the same body stays."""
        if (entry := self._by_hash.get(envelope_hash)) is not None:
            self._remove(entry)
            self.dropped["invalid"] += 1

    def drop_unauthorised(self, address: bytes, ledger: LedgerType) -> None:
        """Drop what the signers may no longer do for an account, after its keys changed."""
        sender = self._senders.get(address)
        for entry in list(sender.entries) if sender else ():
            if not self._rules.is_authorised(ledger, entry.transaction):
                self._remove(entry)
                self.dropped["unauthorised"] += 1

    def drop_expired(self, block_time_ms: int) -> int:
        """Drop pending transactions that no later block may include, and return how many."""
        count = 0
        while self._expiries and self._expiries[0][0] < block_time_ms:
            entry = self._by_order.get(heappop(self._expiries)[1])
            if entry is not None:
                self._remember(entry.transaction.tx_id, MempoolReason.EXPIRED)
                self._remove(entry)
                count += 1
        self.dropped["expired"] += count
        return count

    def snapshot(self) -> MempoolSnapshot:
        """Return the figures of this moment."""
        lowest = next((self._by_order[order] for order in reversed(self._order) if order in self._by_order), None)
        return MempoolSnapshot(
            transactions=len(self._by_hash),
            bytes=self._bytes,
            senders=len(self._senders),
            pinned_bodies=len(self.bodies),
            lowest_fee_rate=fee_rate(lowest.transaction) if lowest else 0,
            is_full=len(self._by_hash) >= self.limits.transactions_max or self._bytes >= self.limits.bytes_max,
        )

    def _check_place(self, transaction: Transaction) -> Entry | None:
        """Check the pool's own rules and return the entry that this transaction would replace."""
        body = transaction.body
        if transaction.tx_id in self._by_id:
            raise TransactionRejected(MempoolReason.DUPLICATE, transaction.tx_id.hex())
        if (reason := self._seen.get(transaction.tx_id)) is not None:
            raise TransactionRejected(reason, transaction.tx_id.hex())
        sender = self._senders.get(body.sender)
        replaced = sender.find(body.nonce) if sender else None
        if replaced is not None:
            fee_min = (replaced.fee * 11 + 9) // 10
            if body.fee < fee_min:
                raise TransactionRejected(MempoolReason.REPLACEMENT_FEE_TOO_LOW, body.fee, fee_min)
        elif sender is not None and len(sender.entries) >= self.limits.per_sender_max:
            raise TransactionRejected(MempoolReason.SENDER_LIMIT, len(sender.entries), self.limits.per_sender_max)
        self._check_room(transaction, replaced)
        return replaced

    def _check_room(self, transaction: Transaction, replaced: Entry | None) -> None:
        """Check that the transaction fits, after dropping only such that pay less per byte."""
        count, byte_count = len(self._by_hash) + 1, self._bytes + len(transaction.encoded)
        if replaced is not None:
            count, byte_count = count - 1, byte_count - replaced.byte_count
        if count <= self.limits.transactions_max and byte_count <= self.limits.bytes_max:
            return
        rate = fee_rate(transaction)
        for order in reversed(self._order):
            entry = self._by_order.get(order)
            if entry is None or entry is replaced:
                continue
            lowest_rate = fee_rate(entry.transaction)
            if lowest_rate >= rate:
                raise TransactionRejected(MempoolReason.MEMPOOL_FULL, rate, lowest_rate + 1)
            count, byte_count = count - 1, byte_count - entry.byte_count
            if count <= self.limits.transactions_max and byte_count <= self.limits.bytes_max:
                return
        raise TransactionRejected(MempoolReason.MEMPOOL_FULL, len(transaction.encoded), self.limits.bytes_max)

    def _evict_for(self, newcomer: Entry) -> None:
        """Drop the lowest until the newcomer fits; `_check_room` has found that this ends above its own rate."""
        while (
            len(self._by_hash) >= self.limits.transactions_max
            or self._bytes + newcomer.byte_count > self.limits.bytes_max
        ):
            entry = self._by_order.get(self._order[-1])
            if entry is None:
                self._order.pop()
            else:
                self._remove(entry)
                self.dropped["evicted"] += 1

    def _recheck(self, address: bytes, ledger: LedgerType) -> None:
        """Drop what a sender can no longer have included: used nonces, and from the highest nonce what it cannot pay."""
        sender = self._senders[address]
        state = self._rules.sender_state(ledger, address)
        invalid = [
            entry
            for entry in sender.entries[: bisect_right(sender.entries, state.highest_nonce, key=nonce_of)]
            if state.is_nonce_used(entry.nonce)
        ]
        for entry in invalid:
            self._remove(entry)
            self.dropped["invalid"] += 1
        while sender.entries and sender.least_needed > state.balance:
            self._remove(sender.entries[-1])
            self.dropped["unfunded"] += 1

    def _insert(self, entry: Entry) -> None:
        sender = self._senders.get(entry.sender)
        if sender is None:
            sender = self._senders[entry.sender] = Sender()
        if not sender.entries or sender.entries[-1].nonce < entry.nonce:
            sender.entries.append(entry)
        else:
            insort(sender.entries, entry, key=nonce_of)
        sender.reserved += entry.outgoing
        self._by_hash[entry.transaction.envelope_hash] = entry
        self._by_id[entry.transaction.tx_id] = entry
        self._by_order[entry.order] = entry
        insort(self._order, entry.order)
        heappush(self._expiries, (entry.transaction.body.expires_at_ms, entry.order))
        self._bytes += entry.byte_count

    def _remove(self, entry: Entry) -> None:
        """Take an entry out of every index; its keys in the two ordered ones stay behind, dead, until they are compacted."""
        sender = self._senders[entry.sender]
        del sender.entries[bisect_left(sender.entries, entry.nonce, key=nonce_of)]
        sender.reserved -= entry.outgoing
        if not sender.entries:
            del self._senders[entry.sender]
        del self._by_hash[entry.transaction.envelope_hash]
        self.held.drop(entry.transaction.envelope_hash)
        del self._by_id[entry.transaction.tx_id]
        del self._by_order[entry.order]
        self._bytes -= entry.byte_count
        stale_max = 2 * len(self._by_hash) + STALE_ENTRIES_MIN
        if len(self._order) > stale_max:
            self._order = [order for order in self._order if order in self._by_order]
        if len(self._expiries) > stale_max:
            self._expiries = [pair for pair in self._expiries if pair[1] in self._by_order]
            heapify(self._expiries)

    def _remember(self, tx_id: bytes, reason: MempoolReason) -> None:
        self._seen[tx_id] = reason
        if len(self._seen) > SEEN_MAX:
            self._seen.popitem(last=False)
