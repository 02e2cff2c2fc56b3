"""The chain as one object: what is final, in the store; what is executed on top, in memory; and the step from one to the other.

A block is begun, run in slices and finished; finished blocks of any branch can be read as ledgers and built upon. `finalize` makes
a path of them final in one durable batch and drops all other branches. Reading final things is `views`; values and proofs of
recent heights are here, because they need the tree.

Invariants:
- The store's newest state is the tip's. Nothing unfinal is ever in it.
- After `finalize` returns, a crash at any moment loses none of it; before, all of it.
- Blocks are executed on their parent's state only, and once.

DESIGN section 6; state-tree spec 5.4 to 5.8.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Self

from msgspec import Struct, structs

from state import merkle
from state.block import BlockResult, EpochStart, Header, Tip, hash_result
from state.certificates import Certificate
from state.chain_branches import Branches, Candidate, ExecutedBlock, collect_changes
from state.chain_commit import (
    PRUNED,
    Change,
    Retention,
    block_records,
    epoch_records,
    next_tip,
    prune,
    state_records,
    status_records,
    stored_events,
)
from state.chain_execution import BeginExecution, PendingExecution
from state.chain_history import HeightChanges
from state.chain_open import OpenedState, TreeSource, create_state, open_state
from state.chain_table import TableDump
from state.chain_views import ChainViews
from state.codec import encode
from state.errors import ensure
from state.genesis import Genesis, check_genesis
from state.ledger import BaseLedger, Ledger, Overlay
from state.params import Params
from state.protocol import check_protocol
from state.records import ONLY, PARAMS
from state.runtime.execute import BlockExecution
from state.store import STATE, Store
from state.stored import StoredEvent
from state.transactions import Transaction
from state.tree_dump import encode_dump
from state.tree_shape import key_path
from state.tree_snapshot import decode_entry
from state.validators import ValidatorSet


class Finalized(Struct, frozen=True):
    """What a finalisation made final."""

    blocks: tuple[ExecutedBlock, ...]
    """Oldest first."""
    events: tuple[tuple[int, StoredEvent], ...]
    """The new entries of the event log with their sequence numbers."""
    tip: Tip


class ProvedValue(Struct, frozen=True):
    """What the state of a final height holds under a key, with its proof under that height's state root."""

    height: int
    encoded: bytes | None
    """Canonical bytes of the record, or None if there is none."""
    proof: bytes


class Chain:
    """The final chain and the executed blocks on top of it."""

    def __init__(
        self,
        store: Store,
        opened: OpenedState,
        begin_execution: BeginExecution,
        retention: Retention,
        table_path: Path | None,
    ) -> None:
        """Take over a store whose newest state was just read; `create` and `open` do that."""
        self._store = store
        self._begin_execution = begin_execution
        self._retention = retention
        self._status = opened.status
        self._tip = opened.tip
        self._validators = ValidatorSet(opened.tip.epoch_start.validators)
        self._history = opened.history
        self._ledger = BaseLedger(store)
        self._branches = Branches(opened.tree, self._ledger, opened.tip.block.block_hash)
        self._pending: dict[bytes, PendingExecution] = {}
        self._table_path = table_path
        self._table_height = opened.table_height
        self._dump: TableDump | None = None
        self.genesis = opened.genesis
        self.chain_id = opened.genesis.chain_id
        self.tree_source: TreeSource = opened.tree_source
        """Where the tree came from at the start; a scan of a large state takes seconds."""
        self.views = ChainViews(store)

    @classmethod
    def create(
        cls,
        store: Store,
        genesis: Genesis,
        *,
        begin_execution: BeginExecution = BlockExecution,
        retention: Retention = PRUNED,
        table_path: Path | None = None,
    ) -> Self:
        """Begin the chain of a genesis in an empty store.

        Raises:
            GenesisRejected, ParamsRejected: the genesis is not sound.
            StorageFault: the store holds a chain already, or fails.
        """
        check_genesis(genesis)
        opened = create_state(store, genesis, retention.history_heights)
        return cls(store, opened, begin_execution, retention, table_path)

    @classmethod
    def open(
        cls,
        store: Store,
        *,
        begin_execution: BeginExecution = BlockExecution,
        retention: Retention = PRUNED,
        table_path: Path | None = None,
    ) -> Self:
        """Go on with the chain in a store; the table speeds this up. The caller compares `chain_id` with the one it expects.

        Raises:
            StorageFault: the store holds no chain, or not the state that its root commits to, or fails.
        """
        opened = open_state(store, table_path, retention.history_heights)
        return cls(store, opened, begin_execution, retention, table_path)

    @property
    def tip(self) -> Tip:
        """The newest final block."""
        return self._tip

    @property
    def executed_height(self) -> int:
        """Height of the highest executed block, final or not."""
        return max(self._branches.heights, default=self._tip.block.height)

    @property
    def epoch_start(self) -> EpochStart:
        """The epoch of the next block."""
        return self._tip.epoch_start

    @property
    def validators(self) -> ValidatorSet:
        """The validators of that epoch."""
        return self._validators

    @property
    def ledger(self) -> BaseLedger:
        """The newest final state."""
        return self._ledger

    def params(self) -> Params:
        """Return the parameters in the newest final state."""
        return self._ledger.get(PARAMS, ONLY)

    def begin(self, block_hash: bytes, header: Header, transactions: Sequence[Transaction]) -> PendingExecution:
        """Begin to execute a valid block of this epoch on its parent, which is final or executed.

        Raises:
            UpgradeNeeded: this software does not speak the block's protocol.
        """
        assert block_hash not in self._branches, "a block is executed once"
        assert block_hash not in self._pending, "a block is begun once"
        assert self.is_known(header.parent_hash), "a block is executed after its parent"
        ledger = self.ledger_at(header.parent_hash)
        check_protocol(ledger, header.height)
        overlay = Overlay(ledger)
        execution = self._begin_execution(overlay, header, self.epoch_start, self._validators)
        pending = PendingExecution(block_hash, header, transactions, overlay, execution)
        self._pending[block_hash] = pending
        return pending

    def finish(self, pending: PendingExecution) -> ExecutedBlock:
        """Complete a block whose transactions are executed, and put it on its parent in the tree."""
        assert not pending.is_obsolete, "the state below is gone"
        assert pending.run(0), "all transactions are executed first"
        del self._pending[pending.block_hash]
        outcome = pending.execution.finish()
        changes = collect_changes(pending.overlay)
        undo = self._branches.apply(pending.header.parent_hash, changes)
        block_result = BlockResult(
            state_root=self._branches.tree.root,
            receipts_root=merkle.root([encode(receipt) for receipt in outcome.receipts]),
            next_validators_hash=outcome.next_validators.set_hash,
        )
        block = ExecutedBlock(
            block_hash=pending.block_hash,
            header=pending.header,
            envelopes=tuple(transaction.encoded for transaction in pending.transactions),
            block_result=block_result,
            result_hash=hash_result(block_result),
            next_validators=outcome.next_validators,
            receipts=outcome.receipts,
            events=outcome.events,
        )
        self._branches.add(block, pending.overlay, changes, undo)
        return block

    def is_executed(self, block_hash: bytes) -> bool:
        """Tell whether a block that is not final is executed."""
        return block_hash in self._branches

    def is_known(self, block_hash: bytes) -> bool:
        """Tell whether this is the newest final block or an executed one."""
        return block_hash == self._tip.block.block_hash or block_hash in self._branches

    def executed(self, block_hash: bytes) -> ExecutedBlock:
        """Return an executed block that is not final."""
        return self._branches.get(block_hash)

    def ledger_at(self, block_hash: bytes) -> Ledger:
        """Return the state after the newest final block or an executed one."""
        return self._branches.ledger_at(block_hash)

    def finalize(self, path: Sequence[bytes], certificate: Certificate | None) -> Finalized:
        """Make executed blocks final: a path on the tip, oldest first, with the finalization of the last.

        Block sync passes no certificate where a later block's, which it verified, makes these final.

        Raises:
            StorageFault: the store failed; whether the blocks are final is known after a restart.
        """
        candidates = self._branches.candidates_on(path)
        last = candidates[-1].block
        self._check_certificate(candidates, certificate)
        tip = next_tip(self._tip, last, certificate)
        events = self._number_events(candidates)
        splits, key_count, state_root = self._branches.shape_at(path)
        ensure(state_root == last.block_result.state_root, "the tree is what the block's result says")
        deletions, status = prune(self._store, self._status, tip, self._retention)
        status = structs.replace(
            status,
            height=last.header.height,
            splits=splits,
            key_count=key_count,
            state_root=state_root,
            next_sequence=status.next_sequence + len(events),
        )
        batch = self._records(candidates, certificate, tip)
        self._store.write([*batch, *deletions, *status_records(tip, status)])
        self._tip, self._status = tip, status
        if last.is_sealing:
            self._validators = last.next_validators
        for settled in self._branches.settle(path):
            self._history.push(HeightChanges(settled.changes.entries_before, settled.undo))
        self._drop_obsolete()
        return Finalized(tuple(candidate.block for candidate in candidates), tuple(events), tip)

    def prove(self, raw_key: bytes, height: int | None = None) -> ProvedValue:
        """Return what the state of a final height, the newest if None, holds under a raw state key, with proof.

        Raises:
            HistoryRejected: PRUNED, FUTURE. Proofs begin at the height of the last restart.
        """
        height = self._status.height if height is None else height
        view = self._history.view_at(height, self._branches.tree, self._branches.undos_above_final())
        return ProvedValue(height, self.value_at(raw_key, height), view.prove(key_path(raw_key)))

    def value_at(self, raw_key: bytes, height: int) -> bytes | None:
        """Return the encoded record under a raw state key after a final height, or None if there was none.

        Raises:
            HistoryRejected: PRUNED, FUTURE.
        """
        path = key_path(raw_key)
        entry = self._history.entry_at(path, height, lambda path: self._store.get(STATE + path))
        return None if entry is None else decode_entry(entry)[1]

    @property
    def earliest_value_height(self) -> int:
        """Lowest height for `value_at`."""
        return self._history.earliest_value

    @property
    def earliest_proof_height(self) -> int:
        """Lowest height for `prove`."""
        return self._history.earliest_proof

    def take_dump(self) -> TableDump | None:
        """Return the table of the tree to be written by its `run`, in a thread, if it is time for one."""
        is_due = self._status.height - self._table_height >= max(1, self._retention.history_heights // 2)
        is_busy = self._dump is not None and not self._dump.is_done
        if self._table_path is None or not is_due or is_busy:
            return None
        return self._make_dump(self._table_path)

    def close(self) -> None:
        """Write the table, so that the next start is fast, and close the store. Unfinal blocks are forgotten.

        Raises:
            StorageFault: the disk fails; nothing final is lost.
        """
        is_busy = self._dump is not None and not self._dump.is_done
        if self._table_path is not None and self._table_height != self._status.height and not is_busy:
            self._make_dump(self._table_path).run()
        self._store.close()

    def _make_dump(self, table_path: Path) -> TableDump:
        height = self._status.height
        view = self._branches.tree.view(self._branches.undos_above_final())
        self._dump = TableDump(table_path, height, encode_dump(view, height))
        self._table_height = height
        return self._dump

    def _check_certificate(self, candidates: Sequence[Candidate], certificate: Certificate | None) -> None:
        last = candidates[-1].block
        for candidate in candidates[:-1]:
            ensure(not candidate.block.is_sealing, "nothing of an epoch follows the block that ends it")
        if certificate is None:
            ensure(not last.is_sealing, "a block that ends an epoch has its own finalization")
        else:
            certified = certificate.block_hash, certificate.result
            ensure(certified == (last.block_hash, last.result_hash), "the certificate is for this block and result")

    def _number_events(self, candidates: Sequence[Candidate]) -> list[tuple[int, StoredEvent]]:
        events: list[tuple[int, StoredEvent]] = []
        for candidate in candidates:
            events += stored_events(candidate.block, self._status.next_sequence + len(events))
        return events

    def _records(self, candidates: Sequence[Candidate], certificate: Certificate | None, tip: Tip) -> list[Change]:
        """Return everything that the store learns from newly final blocks, but where it stands."""
        batch: list[Change] = []
        sequence = self._status.next_sequence
        last = candidates[-1].block
        for candidate in candidates:
            block = candidate.block
            batch += block_records(block, certificate if block is last else None, sequence)
            batch += state_records(block.header.height, candidate.changes, self._retention.history_heights)
            sequence += len(block.events)
        if last.is_sealing:
            assert certificate is not None, "checked before"
            batch += epoch_records(self._tip.epoch_start, last, certificate, tip)
        return batch

    def _drop_obsolete(self) -> None:
        """Let go of executions on other branches, and give those on the tip their new parent."""
        for pending in list(self._pending.values()):
            parent_hash = pending.header.parent_hash
            if not self._branches.is_above_final(parent_hash):
                pending.is_obsolete = True
                del self._pending[pending.block_hash]
            elif parent_hash == self._tip.block.block_hash:
                pending.overlay.rebase(self._ledger)
