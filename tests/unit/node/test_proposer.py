"""Laws of what a leader proposes, and of when there is anything to agree on."""

from __future__ import annotations

from msgspec.structs import replace

from consensus.effects import BuildBlock
from consensus.inputs import BlockBuilt
from node.admission import RuntimeRules, Source
from node.mempool import Mempool
from node.proposer import build_block, find_excluded, has_due_work, select_transactions
from state.records import CHAIN_STATE, ONLY
from tests.support.certified import follow, notarize
from tests.support.chain_builders import make_genesis, with_params
from tests.support.fixture_chain import BOCC, INTERVAL_MS, FixtureChain, account, delegate, operator, transfer
from tests.support.upgrading import HEIGHT, UpgradingChain


class Leader:
    """A chain at genesis, a pool and a core."""

    def __init__(self, genesis=None):
        self.fixture = FixtureChain(genesis)
        self.chain = self.fixture.chain
        self.pool = Mempool(RuntimeRules())
        self.core = follow(self.chain)
        self.start_ms = self.chain.tip.block.time_ms

    def pay(self, nonce, sender=0, fee=None):
        return self.fixture.sign(sender, transfer(account(1), 1), nonce=nonce, fee=fee)

    def admit(self, *transactions):
        for transaction in transactions:
            self.pool.admit(transaction, self.chain.ledger, self.start_ms, Source.LOCAL)

    def propose(self, *transactions, parent_hash=None, is_notarized=True):
        """Execute a block, pin its bodies as a voter does, and let it be notarised."""
        block = self.fixture.execute(*transactions, parent_hash=parent_hash)
        self.pool.bodies.pin(block.block_hash, transactions)
        if is_notarized:
            notarize(self.core, self.chain, block.header)
        return block

    def has_work(self, after_ms=1):
        return has_due_work(self.chain, self.pool, self.core, self.start_ms + after_ms)

    def select(self, parent_hash, excluded=()):
        return select_transactions(self.chain, self.pool, parent_hash, self.start_ms + INTERVAL_MS, excluded)


def idle_genesis(heartbeat_ms=0):
    return with_params(make_genesis(4), "consensus", heartbeat_ms=heartbeat_ms)


def test_leader_on_the_final_block_excludes_nothing():
    leader = Leader()
    assert find_excluded(leader.core, leader.pool, leader.chain.tip.block.block_hash) == set()


def test_leader_excludes_the_envelopes_of_all_unfinal_blocks_below_its_own():
    leader = Leader()
    first, second, rival = leader.pay(0), leader.pay(1), leader.pay(7)
    parent = leader.propose(first)
    child = leader.propose(second, parent_hash=parent.block_hash)
    leader.propose(rival, is_notarized=False)
    assert find_excluded(leader.core, leader.pool, parent.block_hash) == {first.envelope_hash}
    assert find_excluded(leader.core, leader.pool, child.block_hash) == {first.envelope_hash, second.envelope_hash}


def test_block_that_does_not_descend_from_the_final_one_excludes_nothing():
    leader = Leader()
    leader.propose(leader.pay(0), is_notarized=False)
    assert find_excluded(leader.core, leader.pool, bytes(32)) == set()


def test_chosen_transactions_are_those_that_the_parents_state_allows():
    leader = Leader()
    taken, rival, later = leader.pay(0), leader.pay(0, fee=90_000), leader.pay(1)
    leader.admit(rival, later)
    parent = leader.propose(taken)
    assert leader.select(leader.chain.tip.block.block_hash) == [rival, later]
    assert leader.select(parent.block_hash) == [later]
    assert leader.select(parent.block_hash, {later.envelope_hash}) == []


def test_chosen_transactions_are_within_the_chains_limits():
    leader = Leader(with_params(make_genesis(4), "blocks", transactions_max=2))
    leader.admit(*(leader.pay(nonce) for nonce in range(3)))
    assert len(leader.select(leader.chain.tip.block.block_hash)) == 2


def test_idle_chain_has_no_work():
    assert not Leader(idle_genesis()).has_work(after_ms=1 << 40)


def test_pending_transaction_is_work():
    leader = Leader(idle_genesis())
    leader.admit(leader.pay(0))
    assert leader.has_work()


def test_transaction_that_a_notarised_block_has_is_no_work_for_the_next():
    leader = Leader(idle_genesis())
    first, second = leader.pay(0), leader.pay(1)
    leader.admit(first)
    leader.propose(first)
    assert not leader.has_work()
    leader.admit(second)
    assert leader.has_work()


def test_transaction_in_a_block_that_is_not_notarised_is_work():
    leader = Leader(idle_genesis())
    transaction = leader.pay(0)
    leader.admit(transaction)
    leader.propose(transaction, is_notarized=False)
    assert leader.has_work()


def test_heartbeat_is_due_when_the_newest_block_is_old_and_not_before():
    leader = Leader(idle_genesis(heartbeat_ms=60_000))
    assert not leader.has_work(after_ms=59_999)
    assert leader.has_work(after_ms=60_000)


def test_heartbeat_counts_from_the_newest_notarised_block():
    leader = Leader(idle_genesis(heartbeat_ms=60_000))
    leader.propose()
    assert not leader.has_work(after_ms=INTERVAL_MS + 59_999)
    assert leader.has_work(after_ms=INTERVAL_MS + 60_000)


def test_change_of_the_validator_set_is_work_once_it_may_take_effect():
    """Given a delegation in a notarised block whose set change has to wait, when its time comes, then a block is needed."""
    leader = Leader(with_params(idle_genesis(), "consensus", validator_update_interval_ms=5_000))
    block = leader.propose(leader.fixture.sign(1, delegate(operator(0), 2 * BOCC), nonce=0))
    books = leader.chain.ledger_at(block.block_hash).get(CHAIN_STATE, ONLY)
    assert books.is_set_stale
    due_ms = books.set_changed_ms + 5_000 - leader.start_ms
    assert not leader.has_work(after_ms=due_ms - 1)
    assert leader.has_work(after_ms=due_ms)


def test_block_that_is_notarised_and_not_executed_here_is_not_judged_by():
    leader = Leader(idle_genesis(heartbeat_ms=60_000))
    block = leader.propose(is_notarized=False)
    notarize(leader.core, leader.chain, replace(block.header, view=5, time_ms=block.header.time_ms + 1))
    assert not leader.has_work(after_ms=59_999)
    assert leader.has_work(after_ms=60_000)


def test_a_leader_that_is_too_old_builds_nothing_from_the_height_of_an_upgrade_on():
    upgrading = UpgradingChain()
    for height, is_built in ((HEIGHT - 2, True), (HEIGHT - 1, False)):
        upgrading.go_to(height)
        chain, tip = upgrading.chain, upgrading.chain.tip
        effect = BuildBlock(tip.epoch_start.epoch, tip.view + 1, tip.block.block_hash, must_be_empty=True)
        built = build_block(chain, Mempool(RuntimeRules()), follow(chain), effect, 0)
        expected = BlockBuilt(effect.epoch, effect.view, tip.block.block_hash, tip.block.time_ms + 1, ())
        assert built == (expected if is_built else None)
