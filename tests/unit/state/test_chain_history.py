"""Laws of reading recent heights: values and proofs as they were, and a clear answer where they are gone."""

from __future__ import annotations

import random

import pytest

import state.chain_history
from state.chain import Chain
from state.chain_commit import Retention
from state.chain_history import HistoryReason, HistoryRejected
from state.store import MemoryStore
from state.tree_errors import ProofRejected
from state.tree_proof import verify_proof
from tests.support.toy_chain import GENESIS, ToyExecution, encoded, execute, extend, raw_key, toy_transaction

HEIGHTS = 12


def random_chain(seed, blocks, history_heights=HEIGHTS):
    """Return a chain with random changes, and the balances after each height."""
    chance = random.Random(seed)
    chain = Chain.create(
        MemoryStore(), GENESIS, begin_execution=ToyExecution, retention=Retention(history_heights=history_heights)
    )
    balances_at = [{}]
    for height in range(1, blocks + 1):
        changes = {index: chance.choice([None, height]) for index in chance.sample(range(60), chance.randrange(1, 30))}
        extend(chain, [changes])
        balances_at.append({**balances_at[-1], **changes})
    return chain, balances_at


def roots_of(chain):
    return {
        height: chain.views.header_at(height).block_result.state_root for height in range(1, chain.tip.block.height + 1)
    }


@pytest.mark.parametrize("seed", range(3))
def test_values_and_proofs_of_recent_heights_are_those_of_their_time(seed):
    chain, balances_at = random_chain(seed, 40)
    execute(chain, chain.tip.block.block_hash, [toy_transaction(dict.fromkeys(range(80), 5))])
    roots = roots_of(chain)
    assert (chain.earliest_value_height, chain.earliest_proof_height) == (28, 28)
    for height in range(28, 41):
        for index in range(61):
            value = encoded(balances_at[height].get(index))
            assert chain.value_at(raw_key(index), height) == value
            proved = chain.prove(raw_key(index), height)
            assert (proved.height, proved.encoded) == (height, value)
            verify_proof(roots[height], raw_key(index), value, proved.proof)


def test_proof_of_one_height_does_not_verify_at_another():
    chain, _ = random_chain(1, 20)
    roots = roots_of(chain)
    proved = chain.prove(raw_key(3), 19)
    with pytest.raises(ProofRejected):
        verify_proof(roots[20], raw_key(3), proved.encoded, proved.proof)


def test_heights_outside_are_refused_with_the_bound():
    chain, _ = random_chain(1, 20)
    for read in (chain.prove, chain.value_at):
        with pytest.raises(HistoryRejected) as rejected:
            read(raw_key(1), 7)
        assert (rejected.value.reason, rejected.value.seen, rejected.value.bound) == (HistoryReason.PRUNED, 7, 8)
        with pytest.raises(HistoryRejected) as rejected:
            read(raw_key(1), 21)
        assert (rejected.value.reason, rejected.value.seen, rejected.value.bound) == (HistoryReason.FUTURE, 21, 20)


def test_genesis_state_is_a_height_like_others():
    chain, _ = random_chain(1, 5)
    assert chain.value_at(raw_key(1), 0) is None
    assert chain.prove(raw_key(1), 0).encoded is None


def test_history_is_bounded_by_changes_too(monkeypatch):
    monkeypatch.setattr(state.chain_history, "HISTORY_CHANGES_MAX", 10)
    chain = Chain.create(MemoryStore(), GENESIS, begin_execution=ToyExecution)
    extend(chain, *[[dict.fromkeys(range(4), height)] for height in range(1, 9)])
    assert (chain.earliest_value_height, chain.earliest_proof_height) == (6, 6)
    extend(chain, [dict.fromkeys(range(50), 9)])
    assert (chain.earliest_value_height, chain.earliest_proof_height) == (8, 8)
    reopened = Chain.open(chain._store, begin_execution=ToyExecution)
    assert (reopened.earliest_value_height, reopened.earliest_proof_height) == (9, 9)


def test_restart_keeps_values_of_recent_heights_and_begins_proofs_anew():
    chain, balances_at = random_chain(2, 30)
    reopened = Chain.open(chain._store, begin_execution=ToyExecution, retention=Retention(history_heights=HEIGHTS))
    assert (reopened.earliest_value_height, reopened.earliest_proof_height) == (18, 30)
    for height in range(18, 31):
        for index in range(60):
            assert reopened.value_at(raw_key(index), height) == encoded(balances_at[height].get(index))
    with pytest.raises(HistoryRejected) as rejected:
        reopened.prove(raw_key(1), 29)
    assert (rejected.value.reason, rejected.value.bound) == (HistoryReason.PRUNED, 30)
    extend(reopened, [{1: 99}])
    root = roots_of(reopened)[30]
    verify_proof(root, raw_key(1), encoded(balances_at[30].get(1)), reopened.prove(raw_key(1), 30).proof)
