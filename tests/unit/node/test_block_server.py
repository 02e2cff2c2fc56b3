"""Laws of answering peers that lack blocks: only what was asked for, only what is here, within bounds."""

from __future__ import annotations

import pytest

from node import block_messages, block_server
from node.block_fetch import BlockFetcher
from node.block_messages import (
    BLOCK_MESSAGE_CODEC,
    BlockAnswer,
    BlockRequest,
    BodyAnswer,
    BodyRequest,
    EnvelopesAnswer,
    EnvelopesRequest,
    HeadersAnswer,
    HeadersRequest,
)
from node.block_server import (
    BUDGET_US_PER_MS,
    ENVELOPE_US,
    FUTILE_US,
    HEADER_US,
    QUESTION_US,
    RUN_TRANSACTION_US,
    BlockServer,
    answer,
)
from p2p.channels import Channel
from state.block import hash_header
from state.chain import Chain
from state.chain_commit import Retention
from state.store import MemoryStore
from state.transactions import hash_envelope
from tests.support.fixture_chain import FixtureChain, account, build_fixture, transfer
from tests.support.toy_chain import GENESIS, ToyExecution, extend

FIXTURE = build_fixture()
CHAIN = FIXTURE.chain
TRANSACTIONS = [FIXTURE.sign(0, transfer(account(1), 1), nonce=nonce) for nonce in (10, 11)]
NAMES = tuple(one.envelope_hash for one in TRANSACTIONS)
FRESH = FIXTURE.execute(*TRANSACTIONS, view=50).header
FRESH_HASH = hash_header(FRESH)
NO_HEADERS = [HeadersAnswer(headers=(), certificates=())]


def ask(request, chain=CHAIN):
    """Return the answers of a node that has one block above this chain's final one."""
    fetcher = BlockFetcher(chain.chain_id, lambda _hash: None)
    fetcher.add_known(FRESH, TRANSACTIONS)
    return answer(request, fetcher, chain)


def stored(height, chain=CHAIN):
    return chain.views.block_by_height(height)


def names_in(block):
    return tuple(hash_envelope(envelope) for envelope in block.envelopes)


def run_between(first, last, chain=CHAIN):
    """Return the answer with the headers of these heights and the certificate of the last."""
    headers = tuple(stored(height, chain).header for height in range(first, last + 1))
    return [HeadersAnswer(headers=headers, certificates=(stored(last, chain).certificate,))]


def plain_chain(*transaction_counts, uncertified=()):
    """Return a chain with so many transfers in each block; some heights have no certificate of their own."""
    fixture = FixtureChain()
    nonce = 0
    waiting = []
    for height, count in enumerate(transaction_counts, 1):
        batch = [fixture.sign(0, transfer(account(1), 1), nonce=nonce + index) for index in range(count)]
        nonce += count
        parent_hash = waiting[-1].block_hash if waiting else None
        waiting.append(fixture.execute(*batch, parent_hash=parent_hash))
        if height not in uncertified:
            fixture.finalize(*waiting)
            waiting = []
    if waiting:
        fixture.finalize(*waiting, with_certificate=False)
    return fixture.chain


def test_fresh_block_is_served_from_what_was_fetched():
    answers = [BlockAnswer(header=FRESH, envelope_hashes=NAMES)]
    assert ask(BlockRequest(block_hash=FRESH_HASH)) == answers


def test_envelopes_of_a_fresh_block_are_served_from_what_was_fetched():
    answers = [EnvelopesAnswer(block_hash=FRESH_HASH, envelopes=(TRANSACTIONS[1].encoded,))]
    assert ask(EnvelopesRequest(block_hash=FRESH_HASH, envelope_hashes=NAMES[1:])) == answers


def test_final_block_is_served_from_the_chain():
    block = stored(1)
    answers = [BlockAnswer(header=block.header, envelope_hashes=names_in(block))]
    assert ask(BlockRequest(block_hash=block.block_hash)) == answers


def test_envelopes_of_a_final_block_are_served_from_the_chain_in_its_order():
    block = stored(1)
    request = EnvelopesRequest(block_hash=block.block_hash, envelope_hashes=names_in(block)[::-1])
    assert ask(request) == [EnvelopesAnswer(block_hash=block.block_hash, envelopes=block.envelopes)]


def test_envelopes_that_are_not_of_the_block_are_not_served():
    block = stored(1)
    request = EnvelopesRequest(block_hash=block.block_hash, envelope_hashes=(names_in(block)[1], *names_in(stored(2))))
    assert ask(request) == [EnvelopesAnswer(block_hash=block.block_hash, envelopes=block.envelopes[1:])]


@pytest.mark.parametrize(
    "request_",
    [
        BlockRequest(block_hash=bytes(32)),
        EnvelopesRequest(block_hash=bytes(32), envelope_hashes=NAMES),
        EnvelopesRequest(block_hash=FRESH_HASH, envelope_hashes=(bytes(32),)),
        EnvelopesRequest(block_hash=FRESH_HASH, envelope_hashes=()),
        BodyRequest(height=0, first_index=0),
        BodyRequest(height=5, first_index=0),
        BodyRequest(height=1 << 62, first_index=0),
        BodyRequest(height=1, first_index=2),
        BodyRequest(height=4, first_index=0),
        BlockAnswer(header=FRESH, envelope_hashes=NAMES),
        EnvelopesAnswer(block_hash=FRESH_HASH, envelopes=(b"e",)),
        HeadersAnswer(headers=(), certificates=()),
        BodyAnswer(height=1, first_index=0, envelopes=(b"e",)),
    ],
    ids=[
        "unknown block",
        "envelopes of an unknown block",
        "unknown envelope",
        "no envelope",
        "body of the genesis",
        "body above the tip",
        "body far above the tip",
        "body after its end",
        "empty body",
        "block answer",
        "envelopes answer",
        "headers answer",
        "body answer",
    ],
)
def test_what_is_not_here_and_what_is_no_question_gets_no_answer(request_):
    assert ask(request_) == []


def test_answers_to_one_question_are_bounded(monkeypatch):
    monkeypatch.setattr(block_messages, "ANSWER_BYTES_MAX", 1)
    request = EnvelopesRequest(block_hash=FRESH_HASH, envelope_hashes=NAMES)
    alone = [EnvelopesAnswer(block_hash=FRESH_HASH, envelopes=(one.encoded,)) for one in TRANSACTIONS]
    assert ask(request) == alone
    monkeypatch.setattr(block_server, "ANSWERS_MAX", 1)
    assert ask(request) == alone[:1]


def test_run_ends_with_its_epoch():
    assert stored(1).header.epoch == 0
    assert stored(2).header.epoch == 1
    assert ask(HeadersRequest(first_height=1)) == run_between(1, 1)
    assert ask(HeadersRequest(first_height=2)) == run_between(2, 4)
    assert ask(HeadersRequest(first_height=4)) == run_between(4, 4)


@pytest.mark.parametrize("height", [5, 6, 1 << 62])
def test_no_headers_are_above_the_final_block(height):
    assert ask(HeadersRequest(first_height=height)) == NO_HEADERS


def test_genesis_has_no_header():
    assert ask(HeadersRequest(first_height=0)) == NO_HEADERS


def test_run_ends_with_the_last_certificate():
    chain = plain_chain(0, 0, 0, 0, uncertified={1, 3, 4})
    assert ask(HeadersRequest(first_height=1), chain) == run_between(1, 2, chain)
    assert ask(HeadersRequest(first_height=3), chain) == NO_HEADERS


def test_run_has_a_bounded_number_of_headers_and_ends_with_the_last_certificate_among_them(monkeypatch):
    monkeypatch.setattr(block_server, "HEADERS_MAX", 3)
    chain = plain_chain(0, 0, 0, 0, 0, uncertified={3})
    assert ask(HeadersRequest(first_height=1), chain) == run_between(1, 2, chain)
    assert ask(HeadersRequest(first_height=2), chain) == run_between(2, 4, chain)


def body_bytes(chain, *heights):
    return sum(chain.views.body_bytes_at(height) for height in heights)


def test_run_ends_at_its_last_certificate_within_many_transactions_or_at_its_first(monkeypatch):
    monkeypatch.setattr(block_server, "RUN_TRANSACTIONS_WANTED", 2)
    chain = plain_chain(1, 2, 1, 1, uncertified={2})
    assert ask(HeadersRequest(first_height=1), chain) == run_between(1, 1, chain)
    assert ask(HeadersRequest(first_height=2), chain) == run_between(2, 3, chain)


def test_run_ends_at_its_last_certificate_within_many_bytes_or_at_its_first(monkeypatch):
    chain = plain_chain(1, 0, 2, 1, 1, uncertified={3})
    monkeypatch.setattr(block_server, "RUN_BYTES_WANTED", body_bytes(chain, 1, 3) - 1)
    assert ask(HeadersRequest(first_height=1), chain) == run_between(1, 2, chain)
    assert ask(HeadersRequest(first_height=3), chain) == run_between(3, 4, chain)
    monkeypatch.setattr(block_server, "RUN_BYTES_WANTED", body_bytes(chain, 1, 3, 4))
    assert ask(HeadersRequest(first_height=1), chain) == run_between(1, 4, chain)


@pytest.mark.parametrize("bound", ["RUN_BYTES_MAX", "RUN_TRANSACTIONS_MAX"])
def test_run_that_has_no_certificate_within_what_a_node_may_hold_is_not_offered(monkeypatch, bound):
    chain = plain_chain(1, 2, 1, uncertified={1, 2})
    whole = {"RUN_BYTES_MAX": body_bytes(chain, 1, 2, 3), "RUN_TRANSACTIONS_MAX": 4}[bound]
    monkeypatch.setattr(block_server, bound, whole)
    assert ask(HeadersRequest(first_height=1), chain) == run_between(1, 3, chain)
    monkeypatch.setattr(block_server, bound, whole - 1)
    assert ask(HeadersRequest(first_height=1), chain) == NO_HEADERS
    assert ask(HeadersRequest(first_height=2), chain) == run_between(2, 3, chain)


def test_pruned_blocks_are_not_offered():
    retention = Retention(history_heights=1, blocks_ms=2_500)
    chain = Chain.create(MemoryStore(), GENESIS, begin_execution=ToyExecution, retention=retention)
    extend(chain, *([{height: height}] for height in range(1, 7)))
    first = chain.views.status().first_block
    assert 1 < first < 6
    assert ask(HeadersRequest(first_height=first - 1), chain) == NO_HEADERS
    assert ask(BodyRequest(height=first - 1, first_index=0), chain) == []
    assert ask(HeadersRequest(first_height=first), chain) == run_between(first, 6, chain)
    envelopes = stored(first, chain).envelopes
    assert ask(BodyRequest(height=first, first_index=0), chain) == [
        BodyAnswer(height=first, first_index=0, envelopes=envelopes)
    ]


def test_body_is_served_from_the_index_asked_for_in_one_answer(monkeypatch):
    envelopes = stored(1).envelopes
    assert ask(BodyRequest(height=1, first_index=0)) == [BodyAnswer(height=1, first_index=0, envelopes=envelopes)]
    assert ask(BodyRequest(height=1, first_index=1)) == [BodyAnswer(height=1, first_index=1, envelopes=envelopes[1:])]
    monkeypatch.setattr(block_messages, "ANSWER_BYTES_MAX", 1)
    assert ask(BodyRequest(height=1, first_index=0)) == [BodyAnswer(height=1, first_index=0, envelopes=envelopes[:1])]


class Serving:
    """A server of the chain's blocks, and what it sent."""

    def __init__(self):
        self.sent = []
        fetcher = BlockFetcher(CHAIN.chain_id, lambda _hash: None)
        self.server = BlockServer(fetcher, CHAIN, lambda *message: self.sent.append(message))

    def ask(self, peer, height=1, now_ms=0, channel=Channel.SYNC):
        self.server.ask(peer, channel, BodyRequest(height=height, first_index=0), now_ms)

    def peers_answered(self):
        answered, self.sent = [peer for peer, _, _ in self.sent], []
        return answered


@pytest.fixture
def one_answer_in_100_ms(monkeypatch):
    """Let the budget suffice for one answer at once and for one more in each tenth of a second."""
    monkeypatch.setattr(block_server, "BUDGET_US_MAX", 1_000)
    monkeypatch.setattr(block_server, "BUDGET_US_PER_MS", 10)
    monkeypatch.setattr(block_server, "QUESTION_US", 1_000)
    monkeypatch.setattr(block_server, "ENVELOPE_US", 0)


@pytest.mark.parametrize("channel", [Channel.SYNC, Channel.BODIES])
def test_question_is_answered_at_once_to_who_asked_on_the_channel_that_it_came_by(channel):
    serving = Serving()
    serving.ask("a", channel=channel)
    expected = BodyAnswer(height=1, first_index=0, envelopes=stored(1).envelopes)
    assert serving.sent == [("a", channel, BLOCK_MESSAGE_CODEC.encode(expected))]


def test_questions_beyond_the_budget_wait_for_their_time(one_answer_in_100_ms):
    serving = Serving()
    for _ in range(3):
        serving.ask("a")
    assert serving.peers_answered() == ["a"]
    serving.server.serve(0)
    assert serving.peers_answered() == []
    serving.server.serve(100)
    serving.server.serve(100)
    assert serving.peers_answered() == ["a"]
    serving.server.serve(200)
    serving.server.serve(1_000_000)
    assert serving.peers_answered() == ["a"]


def test_budget_that_nobody_used_is_not_saved(one_answer_in_100_ms):
    serving = Serving()
    serving.server.serve(1_000_000)
    for _ in range(3):
        serving.ask("a", now_ms=1_000_000)
    assert serving.peers_answered() == ["a"]


def test_clock_that_does_not_move_forward_gives_no_budget(one_answer_in_100_ms):
    serving = Serving()
    for _ in range(2):
        serving.ask("a", now_ms=1_000)
    serving.server.serve(500)
    assert serving.peers_answered() == ["a"]


def test_peers_take_turns_however_much_one_asks(one_answer_in_100_ms):
    serving = Serving()
    for peer in "aaaabbc":
        serving.ask(peer)
    for turn in range(1, 8):
        serving.server.serve(100 * turn)
    assert "".join(serving.peers_answered()) == "aabcaba"


def test_question_that_gets_no_answer_costs_most(monkeypatch):
    """Given questions for what is not here, then they use up the budget sooner than those that are answered."""
    monkeypatch.setattr(block_server, "BUDGET_US_MAX", 1)
    serving = Serving()
    serving.ask("a", height=9)
    serving.ask("b")
    needed_ms = -(-FUTILE_US // BUDGET_US_PER_MS)
    serving.server.serve(needed_ms - 1)
    assert serving.peers_answered() == []
    serving.server.serve(needed_ms)
    assert serving.peers_answered() == ["b"]


def test_large_answers_cost_by_what_they_hold(monkeypatch):
    monkeypatch.setattr(block_server, "BUDGET_US_MAX", 1)
    costs = []
    for request in (
        BlockRequest(block_hash=stored(1).block_hash),
        EnvelopesRequest(block_hash=stored(1).block_hash, envelope_hashes=names_in(stored(1))),
        BodyRequest(height=1, first_index=0),
        HeadersRequest(first_height=2),
    ):
        serving = Serving()
        serving.server.ask("a", Channel.SYNC, request, 0)
        assert len(serving.sent) == 1
        costs.append(1 - serving.server._budget_us)
    per_block = QUESTION_US + 2 * ENVELOPE_US
    transaction_count = sum(stored(height).header.tx_count for height in (2, 3, 4))
    per_run = QUESTION_US + 3 * HEADER_US + RUN_TRANSACTION_US * transaction_count
    assert costs == [per_block, per_block, per_block, per_run]


def test_open_questions_of_one_peer_are_bounded_and_those_of_others_are_not_touched(one_answer_in_100_ms, monkeypatch):
    monkeypatch.setattr(block_server, "QUESTIONS_PER_PEER_MAX", 2)
    serving = Serving()
    for peer in "aaaaab":
        serving.ask(peer)
    for turn in range(1, 9):
        serving.server.serve(100 * turn)
    assert sorted(serving.peers_answered()) == ["a", "a", "a", "b"]


def test_peer_that_is_gone_is_not_answered(one_answer_in_100_ms):
    serving = Serving()
    for peer in "aab":
        serving.ask(peer)
    serving.server.forget_peer("a")
    serving.server.forget_peer("stranger")
    serving.server.serve(100)
    assert serving.peers_answered() == ["a", "b"]
