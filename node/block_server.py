"""Answers to peers that lack blocks: fresh ones from the fetcher, final ones from the chain. Reads only; bounded per question."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Final

from node.block_fetch import BlockFetcher
from node.block_messages import (
    BLOCK_MESSAGE_CODEC,
    HEADERS_MAX,
    BlockAnswer,
    BlockMessage,
    BlockRequest,
    BodyAnswer,
    BodyRequest,
    EnvelopesAnswer,
    EnvelopesRequest,
    HeadersAnswer,
    HeadersRequest,
    split_envelopes,
)
from p2p.channels import Channel
from state.block import Header
from state.chain import Chain
from state.transactions import hash_envelope

RUN_TRANSACTIONS_MAX: Final = 20_000
"""A run of headers ends, at the next certificate, above so many transactions: the asking node holds their bodies at once."""
BUDGET_US_PER_MS: Final = 250
"""A quarter of the loop's time may go into answers."""
BUDGET_US_MAX: Final = 100_000
QUESTIONS_PER_PEER_MAX: Final = 64
QUESTION_US: Final = 150
FUTILE_US: Final = 5_000
"""Charged for a question that gets no answer, as it may have read a large block for nothing."""
ENVELOPE_US: Final = 7
HEADER_US: Final = 25
ANSWERS_MAX: Final = 8
"""Frames in answer to one question; the rest is asked again."""


class BlockServer:
    """Answers peers within a budget of time, one question of each peer in turn, so that tiny questions cannot occupy the loop."""

    def __init__(self, fetcher: BlockFetcher, chain: Chain, send: Callable[[str, Channel, bytes], None]) -> None:
        """Start without questions."""
        self._fetcher = fetcher
        self._chain = chain
        self._send = send
        self._questions: OrderedDict[str, deque[tuple[Channel, BlockMessage]]] = OrderedDict()
        """By peer, the one that waits longest first."""
        self._budget_us = BUDGET_US_MAX
        self._refilled_ms = 0

    def ask(self, peer: str, channel: Channel, request: BlockMessage, now_ms: int) -> None:
        """Queue a question, or drop it if the peer has too many open, and answer what the budget allows."""
        questions = self._questions.setdefault(peer, deque())
        if len(questions) < QUESTIONS_PER_PEER_MAX:
            questions.append((channel, request))
        self.serve(now_ms)

    def forget_peer(self, peer: str) -> None:
        """Drop the questions of a peer that is gone."""
        self._questions.pop(peer, None)

    def serve(self, now_ms: int) -> None:
        """Answer as many questions as the budget allows; the last one may overdraw it."""
        elapsed_ms = min(max(0, now_ms - self._refilled_ms), 1_000)
        self._refilled_ms = now_ms
        self._budget_us = min(BUDGET_US_MAX, self._budget_us + elapsed_ms * BUDGET_US_PER_MS)
        while self._questions and self._budget_us > 0:
            peer, questions = self._questions.popitem(last=False)
            channel, request = questions.popleft()
            if questions:
                self._questions[peer] = questions
            answers = answer(request, self._fetcher, self._chain)
            self._budget_us -= _cost_us(answers)
            for message in answers:
                self._send(peer, channel, BLOCK_MESSAGE_CODEC.encode(message))


def _cost_us(answers: list[BlockMessage]) -> int:
    """Return about how long it took to make these answers."""
    cost_us = QUESTION_US if answers else FUTILE_US
    for message in answers:
        match message:
            case BlockAnswer():
                cost_us += ENVELOPE_US * len(message.envelope_hashes)
            case EnvelopesAnswer() | BodyAnswer():
                cost_us += ENVELOPE_US * len(message.envelopes)
            case HeadersAnswer():
                cost_us += HEADER_US * len(message.headers)
            case BlockRequest() | EnvelopesRequest() | HeadersRequest() | BodyRequest():
                pass
    return cost_us


def answer(request: BlockMessage, fetcher: BlockFetcher, chain: Chain) -> list[BlockMessage]:
    """Return the messages that answer a request; none if nothing asked for is here, or if it is no request."""
    match request:
        case BlockRequest():
            return _answer_block(request, fetcher, chain)
        case EnvelopesRequest():
            return _answer_envelopes(request, fetcher, chain)
        case HeadersRequest():
            return [_build_run(request.first_height, chain)]
        case BodyRequest():
            return _answer_body(request, chain)
        case BlockAnswer() | EnvelopesAnswer() | HeadersAnswer() | BodyAnswer():
            return []


def _answer_block(request: BlockRequest, fetcher: BlockFetcher, chain: Chain) -> list[BlockMessage]:
    fresh = fetcher.answer_block(request)
    if fresh is not None:
        return [fresh]
    stored = chain.views.block_by_hash(request.block_hash)
    if stored is None:
        return []
    hashes = tuple(hash_envelope(envelope) for envelope in stored.envelopes)
    return [BlockAnswer(header=stored.header, envelope_hashes=hashes)]


def _answer_envelopes(request: EnvelopesRequest, fetcher: BlockFetcher, chain: Chain) -> list[BlockMessage]:
    envelopes = fetcher.find_envelopes(request)
    if not envelopes:
        stored = chain.views.block_by_hash(request.block_hash)
        wanted = frozenset(request.envelope_hashes)
        envelopes = [] if stored is None else [one for one in stored.envelopes if hash_envelope(one) in wanted]
    runs = split_envelopes(envelopes)[:ANSWERS_MAX]
    return [EnvelopesAnswer(block_hash=request.block_hash, envelopes=run) for run in runs]


def _build_run(first_height: int, chain: Chain) -> HeadersAnswer:
    """Return final headers from a height to the first certified block that ends the epoch, the run, or the chain here."""
    headers: list[Header] = []
    certified_count, certificate, transaction_count = 0, None, 0
    if first_height < chain.views.status().first_block:
        return HeadersAnswer(headers=(), certificates=())
    for height in range(first_height, min(first_height + HEADERS_MAX, chain.tip.block.height + 1)):
        stored = chain.views.header_at(height)
        if headers and stored.header.epoch != headers[0].epoch:
            break
        headers.append(stored.header)
        transaction_count += stored.header.tx_count
        if stored.certificate is not None:
            certified_count, certificate = len(headers), stored.certificate
        if certificate is not None and transaction_count > RUN_TRANSACTIONS_MAX:
            break
    if certificate is None:
        return HeadersAnswer(headers=(), certificates=())
    return HeadersAnswer(headers=tuple(headers[:certified_count]), certificates=(certificate,))


def _answer_body(request: BodyRequest, chain: Chain) -> list[BlockMessage]:
    status = chain.views.status()
    if not status.first_block <= request.height <= status.height:
        return []
    rest = list(chain.views.block_by_height(request.height).envelopes[request.first_index :])
    if not rest:
        return []
    run = split_envelopes(rest)[0]
    return [BodyAnswer(height=request.height, first_index=request.first_index, envelopes=run)]
