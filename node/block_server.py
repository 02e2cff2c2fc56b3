"""Answers to peers that lack blocks: fresh ones from the fetcher, final ones from the chain. Reads only; bounded per question."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Final

from node.block_fetch import BlockFetcher
from node.block_messages import (
    BLOCK_MESSAGE_CODEC,
    HEADERS_MAX,
    RUN_BYTES_MAX,
    RUN_TRANSACTIONS_MAX,
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
from state.certificates import Certificate
from state.chain import Chain
from state.stored import StoredHeader
from state.transactions import hash_envelope

RUN_BYTES_WANTED: Final = 24 << 20
"""A run of headers ends at its last certificate within so many bytes of envelopes, or at its first one. Leaders propose empty
blocks above eight that are not final, so that one stretch without certificates still fits what a run may hold."""
RUN_TRANSACTIONS_WANTED: Final = 20_000
"""The same in transactions."""
BUDGET_US_PER_MS: Final = 250
"""A quarter of the loop's time may go into answers."""
BUDGET_US_MAX: Final = 100_000
QUESTIONS_PER_PEER_MAX: Final = 64
QUESTION_US: Final = 150
FUTILE_US: Final = 5_000
"""Charged for a question that gets no answer, as it may have read a large block for nothing."""
ENVELOPE_US: Final = 7
HEADER_US: Final = 25
RUN_TRANSACTION_US: Final = 30
RUN_US_MAX: Final = 20_000
"""Reading the bodies of a run to know their bytes: half a millisecond for a mebibyte."""
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
                transaction_count = sum(header.tx_count for header in message.headers)
                cost_us += HEADER_US * len(message.headers)
                cost_us += min(RUN_US_MAX, RUN_TRANSACTION_US * transaction_count)
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


class _Run:
    """A run of headers in the making."""

    def __init__(self) -> None:
        self._headers: list[Header] = []
        self._certified_count = 0
        self._certificate: Certificate | None = None
        self._transaction_count = 0
        self._body_bytes = 0

    def add(self, stored: StoredHeader, body_bytes: int) -> bool:
        """Append the next header if it belongs to this run, and tell whether it does."""
        header = stored.header
        transaction_count, body_sum = self._transaction_count + header.tx_count, self._body_bytes + body_bytes
        is_certified = self._certificate is not None
        bytes_max = RUN_BYTES_WANTED if is_certified else RUN_BYTES_MAX
        transactions_max = RUN_TRANSACTIONS_WANTED if is_certified else RUN_TRANSACTIONS_MAX
        is_of_epoch = not self._headers or header.epoch == self._headers[0].epoch
        if not is_of_epoch or body_sum > bytes_max or transaction_count > transactions_max:
            return False
        self._headers.append(header)
        self._transaction_count, self._body_bytes = transaction_count, body_sum
        if stored.certificate is not None:
            self._certified_count, self._certificate = len(self._headers), stored.certificate
        return True

    def build(self) -> HeadersAnswer:
        """Return the headers up to the last certificate; none without one."""
        certificates = () if self._certificate is None else (self._certificate,)
        return HeadersAnswer(headers=tuple(self._headers[: self._certified_count]), certificates=certificates)


def _build_run(first_height: int, chain: Chain) -> HeadersAnswer:
    """Return final headers from a height to the last certified block within the epoch, the bounds of a run, and the chain here."""
    run = _Run()
    if first_height >= chain.views.status().first_block:
        for height in range(first_height, min(first_height + HEADERS_MAX, chain.tip.block.height + 1)):
            stored = chain.views.header_at(height)
            if not run.add(stored, chain.views.body_bytes_at(height) if stored.header.tx_count else 0):
                break
    return run.build()


def _answer_body(request: BodyRequest, chain: Chain) -> list[BlockMessage]:
    status = chain.views.status()
    if not status.first_block <= request.height <= status.height:
        return []
    rest = list(chain.views.block_by_height(request.height).envelopes[request.first_index :])
    if not rest:
        return []
    run = split_envelopes(rest)[0]
    return [BodyAnswer(height=request.height, first_index=request.first_index, envelopes=run)]
