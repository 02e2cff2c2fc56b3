"""Verifying evidence ahead of its block, beside the loop, once everything else holds and the fee is reserved.

A task is made from the state, verified in any thread, and its answer waits in the cache, so that the block executes without it.
Nothing is decided here: evidence that is refused stays in its transaction, which pays for the work when it fails in its block.

No thread reads the ledger. A task has an excerpt of it: the records that evidence asked for before, as long as the verification
root stays, for nothing of them changes without it. Evidence that asks for another record says which, and is tried again with it.
"""

from __future__ import annotations

from typing import Any, Final

from msgspec import Struct

from state.errors import TransactionRejected
from state.ledger import Ledger, Overlay, RecordType, Table
from state.records import CHAIN_IDENTITY, CHAIN_STATE, ONLY, RECENT_BLOCKS, RecentBlock, number_key
from state.runtime.context import Context
from state.runtime.rules import situation_at
from state.runtime.trust.attest_checks import CHECKS, Attempt
from state.runtime.trust.evidence import SHARED_CACHE, Answer, answer_key, verify_evidence
from state.transactions import Transaction
from state.trust_messages import Attest
from state.trust_records import TRUST_BOOKS
from tee.errors import EvidenceRejected

EXCERPT_MAX: Final = 1_024
"""Records in an excerpt; two for each document, and one for each root."""


class Lack(Struct, frozen=True):
    """A record that evidence asks for and its excerpt does not have."""

    raw_key: bytes


Found = Answer | Lack | None
"""What evidence proves, what is needed to tell, or None if it is refused."""


class _RecordLacks(Exception):
    """Ends a verification that cannot go on."""

    def __init__(self, raw_key: bytes) -> None:
        super().__init__(raw_key.hex())
        self.raw_key = raw_key


class Excerpt:
    """Some records of one state, for reading in another thread."""

    def __init__(self, records: dict[bytes, Any]) -> None:
        """Take records by raw key, None for those that do not exist; nobody changes them any more."""
        self._records = records

    def find(self, table: Table[RecordType], key: bytes) -> RecordType | None:
        """Return the record with this id, or None if there is none."""
        record: RecordType | None = self.find_raw(table.prefix + key)
        return record

    def get(self, table: Table[RecordType], key: bytes) -> RecordType:
        """Return the record with this id, which must exist."""
        record = self.find(table, key)
        assert record is not None, f"no record {(table.prefix + key).hex()}"
        return record

    def find_raw(self, raw_key: bytes) -> Any:
        """Return the record under a raw state key, or None if there is none."""
        try:
            return self._records[raw_key]
        except KeyError as error:
            raise _RecordLacks(raw_key) from error


class EvidenceTask(Struct, frozen=True):
    """Evidence to verify, with all that its answer depends on."""

    key: bytes
    """Under which the answer is kept."""
    attest: Attest
    nonce: bytes
    time_s: int
    excerpt: Excerpt

    def verify(self) -> Found:
        """Verify in any thread: nothing is read that changes."""
        try:
            return verify_evidence(self.excerpt, self.attest, self.nonce, self.time_s)
        except _RecordLacks as lacks:
            return Lack(lacks.raw_key)
        except EvidenceRejected:
            return None


class EvidenceTasks:
    """Makes tasks, and remembers the records that evidence asked for."""

    def __init__(self) -> None:
        """Start without records."""
        self._root = b""
        self._records: dict[bytes, Any] = {}  # Any: records of several tables

    def find_task(self, ledger: Ledger, tip_hash: bytes, transaction: Transaction, wall_ms: int) -> EvidenceTask | None:
        """Return what is to be verified of a transaction, or None if nothing is that could pass in the next block.

        tip_hash is that of the newest block: evidence may name it, though it is on record only in the next one.
        """
        attempt = _attempt(ledger, tip_hash, transaction, wall_ms)
        if attempt is None:
            return None
        self._follow(ledger)
        message, time_s = attempt.message, attempt.context.time_ms // 1_000
        key = answer_key(ledger, message, attempt.nonce)
        if SHARED_CACHE.find(key, time_s) is not None:
            return None
        return EvidenceTask(key, message, attempt.nonce, time_s, Excerpt(dict(self._records)))

    def learn(self, ledger: Ledger, lack: Lack) -> None:
        """Put a record that was asked for into later excerpts."""
        self._follow(ledger)
        self._records[lack.raw_key] = ledger.find_raw(lack.raw_key)

    def _follow(self, ledger: Ledger) -> None:
        """Forget the records if one of them may have changed, or if they are too many."""
        root = ledger.get(TRUST_BOOKS, ONLY).verification_root
        if root != self._root or len(self._records) >= EXCERPT_MAX:
            self._root = root
            self._records = {}


def has_evidence(transaction: Transaction) -> bool:
    """Tell whether a transaction has evidence to verify; nearly all have none, and this is asked of each that is admitted."""
    return any(type(message) is Attest for message in transaction.body.messages)


def _attempt(ledger: Ledger, tip_hash: bytes, transaction: Transaction, wall_ms: int) -> Attempt | None:
    """Return an attestation that has passed all checks before the one of its evidence, or None."""
    # A transaction has at most one message that may be large, and so one attestation.
    message = next(message for message in transaction.body.messages if type(message) is Attest)
    chain, identity = ledger.get(CHAIN_STATE, ONLY), ledger.get(CHAIN_IDENTITY, ONLY)
    time_ms = max(wall_ms, chain.time_ms + 1)
    params = situation_at(ledger, wall_ms).params
    overlay = Overlay(ledger)
    overlay.put(RECENT_BLOCKS, number_key(chain.height), RecentBlock(block_hash=tip_hash, time_ms=chain.time_ms))
    context = Context(overlay, params, identity.chain_id, chain.epoch, chain.height + 1, time_ms)
    attempt = Attempt(context, transaction.body.sender, message)
    for check in CHECKS:
        if check.name == "evidence":
            break
        try:
            check.run(attempt)
        except TransactionRejected:
            return None
    return attempt


def keep_answer(key: bytes, answer: Answer) -> None:
    """Let blocks find what a task found."""
    SHARED_CACHE.keep(key, answer)
