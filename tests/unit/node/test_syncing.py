"""Laws of syncing: whom runs are fetched from, and that a run enters the chain only with the results that are certified."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from consensus.messages import Status
from node import syncing as syncing_module
from node.block_fetch import BlockFetcher
from node.block_messages import BLOCK_MESSAGE_CODEC, BodyAnswer, BodyRequest, HeadersAnswer, HeadersRequest
from node.block_server import answer
from node.catch_up import DEADLINE_MS, PEER_PAUSE_MS, ProvenRun
from node.executor import Executor
from node.syncing import Syncing
from p2p.channels import Channel
from state.block import hash_header
from state.crypto import verify
from state.transactions import parse_transaction
from state.votes import VoteKind
from tests.support.certified import certify
from tests.support.fixture_chain import FixtureChain, build_fixture
from tests.support.recording_shell import RecordingShell

FIXTURE = build_fixture()
SOURCE = FIXTURE.chain
BLOCKS = {height: SOURCE.views.block_by_height(height) for height in range(1, 5)}
WRONG_RESULT = b"w" * 32


def executed_at(height):
    """Return a block as a node executed it."""
    fixture = FixtureChain()
    block = BLOCKS[height]
    transactions = [parse_transaction(envelope, SOURCE.chain_id) for envelope in block.envelopes]
    pending = fixture.chain.begin(block.block_hash, block.header, transactions)
    pending.run(len(transactions))
    return fixture.chain.finish(pending)


class SyncingNode:
    """The part of a node that syncs, on a chain that begins at genesis, and the chain of its peers."""

    def __init__(self):
        self.fixture = FixtureChain()
        self.chain = self.fixture.chain
        self.shell = RecordingShell()
        self.executor = Executor(self.chain)
        self.committed = []
        self.halts = []
        self.syncing = Syncing(self.chain, self.executor, self.shell, verify, self.commit, self.halts.append)

    def commit(self, run):
        height = self.chain.tip.block.height
        path = [hash_header(header) for header in run.headers if header.height > height]
        self.committed.append([header.height for header in run.headers])
        self.chain.finalize(path, run.certificate)

    def asked(self):
        """Return and forget what was asked of whom."""
        messages = self.shell.take_block_messages()
        assert {channel for _, channel, _ in messages} <= {Channel.SYNC}
        return [(peer, message) for peer, _, message in messages]

    def exchange(self):
        """Have the peers answer until nothing is asked any more."""
        fetcher = BlockFetcher(SOURCE.chain_id, lambda _hash: None)
        while asked := self.asked():
            for peer, request in asked:
                for reply in answer(request, fetcher, SOURCE):
                    self.syncing.receive(peer, reply)

    def execute(self):
        while self.executor.run_slice():
            pass

    def advance_by_consensus(self, *heights):
        """Make the next blocks final as consensus does."""
        for height in heights:
            block = BLOCKS[height]
            transactions = [parse_transaction(envelope, self.chain.chain_id) for envelope in block.envelopes]
            pending = self.chain.begin(block.block_hash, block.header, transactions)
            pending.run(len(transactions))
            executed = self.chain.finish(pending)
            self.chain.finalize([block.block_hash], block.certificate or FIXTURE.certificate(executed))


def status(height):
    return Status(epoch=0, view=1, final_height=height, final_hash=bytes(32))


def test_node_syncs_run_by_run_to_the_tip_of_its_peer():
    node = SyncingNode()
    node.syncing.start("a", 4)
    assert node.syncing.is_active
    node.exchange()
    assert node.shell.executions_wanted == 1
    assert node.syncing.is_active
    node.execute()
    assert not node.syncing.is_active
    assert node.chain.tip.block.height == 1
    node.syncing.tick()
    node.exchange()
    node.execute()
    assert node.chain.tip == SOURCE.tip
    assert node.chain.views.status().state_root == SOURCE.views.status().state_root
    assert node.committed == [[1], [2, 3, 4]]
    assert (node.shell.punished, node.halts) == ([], [])


def test_one_peer_is_asked_at_a_time():
    node = SyncingNode()
    node.syncing.start("a", 4)
    node.syncing.start("b", 9)
    assert node.asked() == [("a", HeadersRequest(first_height=1))]
    assert dict(node.syncing.claims) == {"a": 4, "b": 9}


def test_nobody_is_asked_while_a_run_is_applied():
    node = SyncingNode()
    node.syncing.start("a", 4)
    node.exchange()
    node.syncing.start("b", 9)
    node.syncing.tick()
    assert node.asked() == []


def test_tick_asks_the_first_peer_that_claims_to_be_far_ahead():
    node = SyncingNode()
    for peer, height in (("a", 0), ("b", 1), ("c", 2), ("d", 9)):
        node.syncing.note_status(peer, status(height))
    node.syncing.tick()
    assert node.asked() == [("c", HeadersRequest(first_height=1))]


def test_tick_asks_nobody_who_is_hardly_ahead():
    node = SyncingNode()
    node.syncing.note_status("a", status(1))
    node.syncing.tick()
    assert node.asked() == []
    assert not node.syncing.is_active


def test_peer_that_does_not_answer_in_time_is_passed_over_without_punishment():
    node = SyncingNode()
    node.syncing.note_status("a", status(9))
    node.syncing.note_status("b", status(4))
    node.syncing.tick()
    node.shell.mono_ms = DEADLINE_MS - 1
    node.syncing.tick()
    assert node.asked() == [("a", HeadersRequest(first_height=1))]
    node.shell.mono_ms = DEADLINE_MS
    node.syncing.tick()
    assert node.asked() == [("b", HeadersRequest(first_height=1))]
    node.syncing.receive("a", HeadersAnswer(headers=(), certificates=()))
    assert node.syncing.is_active
    assert node.shell.punished == []


def test_peer_that_goes_is_replaced_at_once_and_welcome_again():
    """Given a run half fetched, when its peer is gone, then the next is asked without waiting for a deadline."""
    node = SyncingNode()
    node.syncing.note_status("a", status(9))
    node.syncing.note_status("b", status(4))
    node.syncing.tick()
    node.syncing.receive("a", HeadersAnswer(headers=(BLOCKS[1].header,), certificates=(BLOCKS[1].certificate,)))
    assert node.asked() == [("a", HeadersRequest(first_height=1)), ("a", BodyRequest(height=1, first_index=0))]
    node.syncing.forget_peer("a")
    assert node.asked() == [("b", HeadersRequest(first_height=1))]
    node.syncing.note_status("a", status(9))
    node.syncing.forget_peer("b")
    assert node.asked() == [("a", HeadersRequest(first_height=1))]
    node.syncing.receive("a", HeadersAnswer(headers=(BLOCKS[1].header,), certificates=(BLOCKS[1].certificate,)))
    node.syncing.receive("a", BodyAnswer(height=1, first_index=0, envelopes=BLOCKS[1].envelopes))
    node.execute()
    assert (node.chain.tip.block.height, node.shell.punished) == (1, [])


def test_peer_that_goes_and_was_not_asked_changes_nothing_of_the_run():
    node = SyncingNode()
    for peer in ("a", "b"):
        node.syncing.note_status(peer, status(4))
    node.syncing.tick()
    node.syncing.forget_peer("b")
    assert node.asked() == [("a", HeadersRequest(first_height=1))]
    assert node.syncing.is_active
    node.syncing.forget_peer("a")
    assert (node.asked(), node.syncing.is_active) == ([], False)


def test_run_that_is_being_applied_outlives_its_peer():
    node = SyncingNode()
    node.syncing.start("a", 4)
    node.syncing.note_status("b", status(4))
    node.exchange()
    node.syncing.forget_peer("a")
    assert node.asked() == []
    node.execute()
    assert node.committed == [[1]]


def test_peer_that_claims_a_height_and_has_no_headers_does_not_keep_others_from_their_turn():
    node = SyncingNode()
    node.syncing.note_status("liar", status(1 << 60))
    node.syncing.note_status("b", status(4))
    node.syncing.tick()
    assert node.asked() == [("liar", HeadersRequest(first_height=1))]
    node.syncing.receive("liar", HeadersAnswer(headers=(), certificates=()))
    node.syncing.tick()
    assert node.asked() == [("b", HeadersRequest(first_height=1))]


def test_lie_is_punished_with_its_reason_and_its_claim_is_forgotten():
    node = SyncingNode()
    node.syncing.start("a", 4)
    node.asked()
    node.syncing.receive("a", HeadersAnswer(headers=(BLOCKS[4].header,), certificates=(BLOCKS[4].certificate,)))
    assert node.shell.punished == [("a", "broken_chain")]
    assert dict(node.syncing.claims) == {}
    assert not node.syncing.is_active
    node.syncing.start("a", 4)
    assert node.asked() == []
    node.shell.mono_ms = PEER_PAUSE_MS
    node.syncing.tick()
    assert node.asked() == [("a", HeadersRequest(first_height=1))]


def test_wrong_body_is_punished_and_nothing_of_its_run_is_executed():
    node = SyncingNode()
    node.syncing.start("a", 4)
    node.syncing.receive("a", HeadersAnswer(headers=(BLOCKS[1].header,), certificates=(BLOCKS[1].certificate,)))
    assert node.asked()[1:] == [("a", BodyRequest(height=1, first_index=0))]
    node.syncing.receive("a", BodyAnswer(height=1, first_index=0, envelopes=BLOCKS[1].envelopes[::-1]))
    assert node.shell.punished == [("a", "wrong_body")]
    assert node.executor.is_idle


def test_answers_that_nobody_asked_for_change_nothing():
    node = SyncingNode()
    node.syncing.receive("a", HeadersAnswer(headers=(BLOCKS[1].header,), certificates=(BLOCKS[1].certificate,)))
    node.syncing.receive("a", BodyAnswer(height=1, first_index=0, envelopes=BLOCKS[1].envelopes))
    assert (node.asked(), node.shell.punished, node.syncing.is_active) == ([], [], False)


def test_claims_are_hints_of_connected_peers():
    node = SyncingNode()
    assert node.syncing.best_claim == 0
    node.syncing.note_status("a", status(7))
    node.syncing.note_status("b", status(5))
    assert node.syncing.best_claim == 5  # half of them claim it; a single peer moves it no further
    node.syncing.forget_peer("a")
    node.syncing.forget_peer("stranger")
    assert (dict(node.syncing.claims), node.syncing.best_claim) == ({"b": 5}, 5)
    node.advance_by_consensus(1)
    node.syncing.note_status("b", status(0))
    assert node.syncing.best_claim == 1


def test_claims_are_bounded(monkeypatch):
    monkeypatch.setattr(syncing_module, "CLAIMS_MAX", 2)
    node = SyncingNode()
    for peer, height in (("a", 1), ("b", 2), ("c", 3), ("a", 4)):
        node.syncing.note_status(peer, status(height))
    assert dict(node.syncing.claims) == {"a": 4, "b": 2}


def test_run_that_consensus_overtook_makes_way_for_the_next():
    node = SyncingNode()
    node.syncing.start("a", 4)
    node.exchange()
    node.syncing.settle()
    assert node.syncing.is_active
    node.advance_by_consensus(1)
    node.execute()
    assert node.syncing.is_active
    node.syncing.settle()
    assert not node.syncing.is_active
    assert (node.committed, node.halts) == ([], [])


def test_block_of_a_run_that_consensus_overtook_says_nothing_about_the_next_run():
    """Given a block of one run still to be executed, when the next run is applied, then it is not judged by that one."""
    node = SyncingNode()
    node.syncing.start("a", 4)
    node.exchange()
    node.advance_by_consensus(1)
    node.syncing.settle()
    node.syncing.start("a", 4)
    node.exchange()
    node.syncing._on_executed(executed_at(1))
    assert (node.halts, node.syncing.is_active) == ([], True)
    node.execute()
    assert node.chain.tip.block == SOURCE.tip.block


def test_run_of_which_consensus_made_the_first_blocks_final_adds_the_others():
    node = SyncingNode()
    node.advance_by_consensus(1)
    node.syncing.start("a", 4)
    node.exchange()
    node.advance_by_consensus(2)
    node.execute()
    assert node.chain.tip.block == SOURCE.tip.block
    assert node.committed == [[2, 3, 4]]


def test_transactions_above_a_height_are_those_of_later_blocks_in_order():
    syncing = SyncingNode().syncing
    bodies = [
        tuple(parse_transaction(envelope, SOURCE.chain_id) for envelope in BLOCKS[height].envelopes)
        for height in (1, 2, 3, 4)
    ]
    headers = tuple(BLOCKS[height].header for height in (1, 2, 3, 4))
    run = ProvenRun(headers=headers, transactions=tuple(bodies), certificate=BLOCKS[4].certificate)
    above = [syncing.transactions_above(run, height) for height in range(5)]
    first, second, third, _ = bodies
    assert above == [[*first, *second, *third], [*second, *third], [*third], [], []]


DIVERGENT = {
    "last result": ((BLOCKS[2].header,), 2, WRONG_RESULT),
    "result inside the run": (
        (BLOCKS[2].header, replace(BLOCKS[3].header, parent_result=WRONG_RESULT)),
        2,
        WRONG_RESULT,
    ),
}


@pytest.mark.parametrize(("headers", "height", "result"), DIVERGENT.values(), ids=DIVERGENT)
def test_result_that_differs_from_the_certified_one_halts_the_node_and_nothing_is_committed(headers, height, result):
    node = SyncingNode()
    node.advance_by_consensus(1)
    node.syncing.start("a", 4)
    certificate = certify(headers[-1], node.chain.validators, VoteKind.FINALIZE, result=WRONG_RESULT)
    node.syncing.receive("a", HeadersAnswer(headers=headers, certificates=(certificate,)))
    node.exchange()
    node.execute()
    own = BLOCKS[3].header.parent_result.hex()
    reason = f"state divergence at height {height}: executing the block gave {own} here, {result.hex()} is certified"
    assert node.halts == [reason]
    assert (node.committed, node.chain.tip.block.height, node.syncing.is_active) == ([], 1, False)


def test_messages_are_sent_as_the_peer_decodes_them():
    node = SyncingNode()
    node.syncing.start("a", 4)
    assert node.shell.sent == [("a", Channel.SYNC, BLOCK_MESSAGE_CODEC.encode(HeadersRequest(first_height=1)))]
