"""Answers to peers that lack blocks: fresh ones from the fetcher, final ones from the chain. Reads only; bounded per question."""

from __future__ import annotations

from typing import Final

from node.block_fetch import BlockFetcher
from node.block_messages import (
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
from state.block import Header
from state.chain import Chain
from state.transactions import hash_envelope

RUN_TRANSACTIONS_MAX: Final = 20_000
"""A run of headers ends, at the next certificate, above so many transactions: the asking node holds their bodies at once."""
ANSWERS_MAX: Final = 8
"""Frames in answer to one question; the rest is asked again."""


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
