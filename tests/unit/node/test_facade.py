"""Laws of the node as its API sees it: what is shown is what is there, and submitting is verifying, admitting and spreading."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest
from msgspec.structs import replace

from consensus.inputs import Now
from consensus.messages import Status
from node import facade as facade_module
from node.admission import RuntimeRules
from node.api.context import HealthFacts, Peer
from node.api.event_feed import EventFeed
from node.api.waiters import TransactionTracker
from node.driver import Driver, DriverParts
from node.facade import HEAD_AGE_FACTOR, FacadeParts, NodeFacade, Pulse
from node.mempool import Mempool
from node.own_account import OwnAccount
from node.view_of_consensus import take_snapshot
from node.wal import MemoryLog
from p2p.channels import Channel
from p2p.events import Direction, PeerInfo
from state.codec import encode
from state.crypto import verify
from state.errors import TransactionRejected
from state.messages import Transfer
from state.runtime.reasons import TransactionReason
from state.transactions import Envelope, Transaction
from tests.support.certified import follow
from tests.support.chain_builders import account, account_key, make_genesis, transfer, with_params
from tests.support.fixture_chain import NODE_ID, FixtureChain
from tests.support.recording_shell import RecordingShell

MONO_MS = 50_000
PEER = PeerInfo(
    peer_id="cd" * 20,
    address="127.0.0.1:9700",
    direction=Direction.OUTBOUND,
    since_ms=MONO_MS - 700,
    rtt_ms=3,
    received_bytes=1,
    sent_bytes=2,
    score=10,
    last_report="",
    queued_messages=0,
    dropped_messages=0,
    is_persistent=True,
)


class RunningParts:
    """A node without outside: its parts, and the facade on them."""

    def __init__(self, genesis=None, *, public_key=None, faucet=None):
        self.fixture = FixtureChain(genesis)
        self.chain = self.fixture.chain
        self.wall_ms = self.chain.tip.block.time_ms + 1_000
        self.shell = RecordingShell(MONO_MS, self.wall_ms)
        self.shell.timeout_ms = 1_234
        parts = DriverParts(
            chain=self.chain,
            consensus=follow(self.chain),
            log=MemoryLog(),
            mempool=Mempool(RuntimeRules()),
            shell=self.shell,
            verify=verify,
            report=lambda *_votes: True,
        )
        self.driver = Driver(parts, [], is_push_mode=True)
        self.network = SimpleNamespace(node_id=NODE_ID, peers=())
        self.pulse = Pulse()
        self.failures = []
        self.tracker = TransactionTracker()
        self.feed = EventFeed(self.chain.views)
        self.facade = NodeFacade(
            FacadeParts(
                driver=self.driver,
                shell=self.shell,
                network=self.network,
                tracker=self.tracker,
                feed=self.feed,
                pulse=self.pulse,
                public_key=public_key,
                faucet=faucet,
                fail=self.failures.append,
            )
        )

    def pay(self, nonce, **fields):
        return self.fixture.sign(0, transfer(account(1), 1), nonce=nonce, **fields)

    async def submit(self, *transactions):
        """Submit, and verify what waits."""
        submitted = asyncio.ensure_future(self.facade.submit(transactions))
        await asyncio.sleep(0)
        self.shell.finish_verifications()
        return await submitted


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    """Stop both clocks; Pulse reads them too."""
    wall_ms = make_genesis(4).time_ms + 1_000
    monkeypatch.setattr(facade_module, "now", lambda: Now(MONO_MS, wall_ms))


def forge(transaction, chain_id):
    """Return the transaction with a signature that is none."""
    pairs = tuple(replace(pair, signature=bytes(64)) for pair in transaction.signatures)
    envelope = Envelope(body=transaction.body, signatures=pairs)
    return Transaction(envelope, encode(envelope), chain_id)


def reasons(outcomes):
    return [None if outcome is None else outcome.reason for outcome in outcomes]


async def test_each_transaction_gets_its_outcome_in_order_and_good_ones_are_spread():
    node = RunningParts()
    node.driver.add_peer("peer")
    node.shell.sent.clear()
    good, poor, forged = node.pay(0), node.pay(1, fee=1), forge(node.pay(2), node.chain.chain_id)
    last = node.pay(3)
    outcomes = await node.submit(good, poor, forged, last)
    assert reasons(outcomes) == [None, TransactionReason.FEE_TOO_LOW, TransactionReason.BAD_SIGNATURE, None]
    assert outcomes[2].seen == forged.tx_id.hex()
    assert [one.envelope_hash for one in node.facade.mempool] == [good.envelope_hash, last.envelope_hash]
    ((peer, channel, payload),) = node.shell.sent
    assert (peer, channel) == ("peer", Channel.TRANSACTIONS)
    assert good.encoded in payload
    assert last.encoded in payload


async def test_nothing_is_admitted_before_it_is_verified():
    node = RunningParts()
    submitted = asyncio.ensure_future(node.facade.submit([node.pay(0)]))
    await asyncio.sleep(0)
    assert not submitted.done()
    assert len(node.facade.mempool) == 0
    node.shell.finish_verifications()
    assert await submitted == [None]
    assert len(node.facade.mempool) == 1


async def test_transaction_that_waits_already_is_refused():
    node = RunningParts()
    transaction = node.pay(0)
    assert await node.submit(transaction) == [None]
    (outcome,) = await node.submit(transaction)
    assert isinstance(outcome, TransactionRejected)


async def test_refusal_by_a_cheap_rule_costs_no_verification():
    node = RunningParts()
    submitted = asyncio.ensure_future(node.facade.submit([node.pay(0, fee=1), node.pay(1)]))
    await asyncio.sleep(0)
    ((verified, _),) = node.shell.verifications
    assert [one.body.nonce for one in verified] == [1]
    node.shell.finish_verifications()
    assert reasons(await submitted) == [TransactionReason.FEE_TOO_LOW, None]


async def test_block_between_check_and_verdict_is_noticed():
    node = RunningParts()
    rival = node.pay(0, memo=b"rival")
    submitted = asyncio.ensure_future(node.facade.submit([node.pay(0)]))
    await asyncio.sleep(0)
    node.driver.intake.settle(node.fixture.add(rival), [rival])
    node.shell.finish_verifications()
    assert reasons(await submitted) == [TransactionReason.NONCE_USED]


async def test_nothing_to_submit_has_no_outcomes():
    assert await RunningParts().submit() == []


async def test_who_gave_up_waiting_leaves_nothing_that_breaks():
    """Given a submission that is cancelled while it is verified, when the verdict comes, then nothing is admitted or raised."""
    node = RunningParts()
    submitted = asyncio.ensure_future(node.facade.submit([node.pay(0)]))
    await asyncio.sleep(0)
    submitted.cancel()
    await asyncio.gather(submitted, return_exceptions=True)
    node.shell.finish_verifications()
    assert len(node.facade.mempool) == 0


def test_chain_pool_and_progress_are_those_of_the_driver():
    node = RunningParts()
    facade = node.facade
    assert facade.chain is node.driver.chain
    assert facade.mempool is node.driver.mempool
    assert facade.node_id == NODE_ID
    assert facade.consensus() == take_snapshot(node.driver.consensus, 1_234)
    assert facade.now_ms() == node.wall_ms
    assert facade.tracker is node.tracker
    assert facade.feed is node.feed


def test_syncing_and_the_best_known_height_follow_the_peers_claims():
    node = RunningParts()
    assert (node.facade.is_syncing, node.facade.best_known_height) == (False, 0)
    node.driver.syncing.note_status("a", Status(epoch=0, view=9, final_height=7, final_hash=bytes(32)))
    assert node.facade.best_known_height == 7
    node.driver.syncing.start("a", 7)
    assert node.facade.is_syncing


def test_peers_are_shown_with_the_height_that_they_claim_and_the_time_since_they_came():
    node = RunningParts()
    inbound = replace(PEER, peer_id="ef" * 20, direction=Direction.INBOUND, since_ms=MONO_MS, score=0)
    node.network.peers = (PEER, inbound)
    node.driver.syncing.note_status(PEER.peer_id, Status(epoch=0, view=9, final_height=7, final_hash=bytes(32)))
    assert node.facade.peers() == (
        Peer(node_id="cd" * 20, address=PEER.address, is_outbound=True, height=7, score=10, connected_ms=700),
        Peer(node_id="ef" * 20, address=PEER.address, is_outbound=False, height=0, score=0, connected_ms=0),
    )


def test_validator_is_the_operator_that_registered_the_nodes_key():
    member = RunningParts().chain.validators.members[2]
    assert RunningParts(public_key=member.public_key).facade.validator == member.address
    assert RunningParts(public_key=bytes(32)).facade.validator is None
    assert RunningParts().facade.validator is None


def test_health_tells_how_late_everything_is():
    node = RunningParts(with_params(make_genesis(4), "consensus", heartbeat_ms=30_000))
    node.pulse.loop_lag_ms = 12
    node.pulse.last_round_ms = MONO_MS - 40
    assert node.facade.health() == HealthFacts(
        loop_lag_ms=12, driver_age_ms=40, peers_needed=1, head_age_ms_max=HEAD_AGE_FACTOR * 30_000, halted=""
    )
    node.driver.halted = "fork"
    assert node.facade.health().halted == "fork"


def test_chain_without_heartbeat_may_be_of_any_age():
    node = RunningParts(with_params(make_genesis(4), "consensus", heartbeat_ms=0))
    assert node.facade.health().head_age_ms_max == 0


@pytest.mark.parametrize(("index", "needed"), [(0, 0), (None, 1)], ids=["its validator", "another node"])
def test_only_the_validator_that_is_alone_needs_no_peers(index, needed):
    genesis = make_genesis(1)
    members = FixtureChain(genesis).chain.validators.members
    public_key = None if index is None else members[index].public_key
    assert RunningParts(genesis, public_key=public_key).facade.health().peers_needed == needed


def test_faucet_pays_from_its_own_account_where_there_is_one():
    key = account_key(9)
    chain_id = make_genesis(4).chain_id
    node = RunningParts(faucet=OwnAccount(chain_id, key))
    transaction = node.facade.build_faucet_transfer(account(1), 77)
    assert transaction is not None
    assert transaction.body.sender == account(9)
    assert transaction.body.messages == (Transfer(to=account(1), amount=77),)
    assert transaction.has_valid_signatures()
    assert RunningParts().facade.build_faucet_transfer(account(1), 77) is None


def test_failure_stops_the_node():
    node = RunningParts()
    error = AssertionError("inconsistent")
    node.facade.fail(error)
    assert node.failures == [error]
