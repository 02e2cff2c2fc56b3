"""The chain against a model of dictionaries, under random branches, finalisations, crashes and restarts."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from state.chain import Chain
from state.chain_commit import Retention
from state.records import ACCOUNTS
from state.store import MemoryStore
from state.tree_proof import verify_proof
from tests.support.toy_chain import (
    GENESIS,
    ToyExecution,
    address,
    certify,
    encoded,
    execute,
    raw_key,
    record,
    toy_transaction,
)

KEYS = range(24)
HEIGHTS = 3
RETENTION = Retention(history_heights=HEIGHTS)
CHANGES = st.dictionaries(st.sampled_from(KEYS), st.none() | st.integers(0, 9), max_size=12)


class ChainMachine(RuleBasedStateMachine):
    """What each known block's state is, the model keeps in full."""

    def __init__(self):
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.table_path = Path(self.folder.name) / "state.table"
        self.store = MemoryStore()
        self.chain = Chain.create(
            self.store, GENESIS, begin_execution=ToyExecution, retention=RETENTION, table_path=self.table_path
        )
        self.final_states = [{}]
        self.final_roots = [self.chain._branches.tree.root]
        self.states = {self.chain.tip.block.block_hash: {}}
        self.parents = {}
        self.view = 0
        self.restarted_at = 0
        self.events = 0

    def teardown(self):
        self.folder.cleanup()

    @rule(changes=CHANGES, choice=st.integers(0, 99), transactions=st.integers(0, 2))
    def execute(self, changes, choice, transactions):
        parent = sorted(self.states)[choice % len(self.states)]
        self.view += 1
        block = execute(
            self.chain,
            parent,
            [toy_transaction(changes, 10 * self.view + index) for index in range(transactions)],
            self.view,
        )
        state = dict(self.states[parent])
        if transactions:
            state |= changes
        self.states[block.block_hash] = {key: value for key, value in state.items() if value is not None}
        self.parents[block.block_hash] = parent

    @precondition(lambda self: self.parents)
    @rule(choice=st.integers(0, 99), has_certificate=st.booleans())
    def finalize(self, choice, has_certificate):
        last = sorted(self.parents)[choice % len(self.parents)]
        path = [last]
        while self.parents[path[0]] in self.parents:
            path.insert(0, self.parents[path[0]])
        block = self.chain.executed(last)
        finalized = self.chain.finalize(path, certify(block) if has_certificate else None)
        self.final_states += [self.states[block_hash] for block_hash in path]
        self.final_roots += [block.block_result.state_root for block in finalized.blocks]
        assert [sequence for sequence, _ in finalized.events] == list(
            range(self.events + 1, self.events + 1 + len(finalized.events))
        )
        self.events += len(finalized.events)
        kept = {last} | {block_hash for block_hash in self.parents if self.is_above(block_hash, last)}
        self.states = {block_hash: state for block_hash, state in self.states.items() if block_hash in kept}
        self.parents = {block_hash: self.parents[block_hash] for block_hash in kept - {last}}

    def is_above(self, block_hash, final):
        while block_hash in self.parents:
            block_hash = self.parents[block_hash]
            if block_hash == final:
                return True
        return False

    @rule(is_clean=st.booleans(), has_dump=st.booleans())
    def restart(self, is_clean, has_dump):
        dump = self.chain.take_dump() if has_dump else None
        if dump is not None:
            dump.run()
        if is_clean:
            self.chain.close()
        else:
            self.store.crash()
        self.chain = Chain.open(
            self.store, begin_execution=ToyExecution, retention=RETENTION, table_path=self.table_path
        )
        tip = self.chain.tip.block
        self.states = {tip.block_hash: self.states[tip.block_hash]}
        self.parents = {}
        self.restarted_at = tip.height

    @invariant()
    def tip_is_the_last_final_block(self):
        status = self.chain.views.status()
        height = len(self.final_states) - 1
        assert (self.chain.tip.block.height, status.height, status.next_sequence) == (height, height, self.events + 1)
        assert status.state_root == self.final_roots[-1]
        assert len(self.chain.views.events(0, 1000)) == self.events

    @invariant()
    def every_known_block_shows_its_state(self):
        for block_hash, state in self.states.items():
            ledger = self.chain.ledger_at(block_hash)
            for key in KEYS:
                expected = None if state.get(key) is None else record(state[key])
                assert ledger.find(ACCOUNTS, address(key)) == expected

    @invariant()
    def recent_heights_show_and_prove_their_states(self):
        height = len(self.final_states) - 1
        assert self.chain.earliest_value_height == max(0, height - HEIGHTS)
        assert self.chain.earliest_proof_height == max(self.restarted_at, height - HEIGHTS)
        for recent in range(self.chain.earliest_value_height, height + 1):
            for key in list(KEYS)[recent % 3 :: 3]:
                value = encoded(self.final_states[recent].get(key))
                assert self.chain.value_at(raw_key(key), recent) == value
                if recent >= self.chain.earliest_proof_height:
                    proved = self.chain.prove(raw_key(key), recent)
                    assert proved.encoded == value
                    verify_proof(self.final_roots[recent], raw_key(key), value, proved.proof)


ChainMachine.TestCase.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
TestChain = ChainMachine.TestCase
