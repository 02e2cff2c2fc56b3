"""Runs of blocks for tests of catching up, from the fixture chain."""

from __future__ import annotations

from msgspec.structs import replace

from node.block_messages import BodyAnswer, BodyRequest, HeadersAnswer, HeadersRequest
from node.catch_up import (
    CatchUp,
    ProvenRun,
)
from state.block import Tip
from state.crypto import verify
from state.transactions import parse_transaction
from state.validators import ValidatorSet
from state.votes import VoteKind
from tests.support.certified import certify
from tests.support.fixture_chain import FixtureChain, build_fixture

FIXTURE = build_fixture()
SOURCE = FIXTURE.chain
CHAIN_ID = SOURCE.chain_id
GENESIS_TIP = FixtureChain().chain.tip
BLOCKS = {height: SOURCE.views.block_by_height(height) for height in range(1, 5)}


def tip_at(height):
    """Return what a node has whose final block is at this height."""
    if height == 0:
        return GENESIS_TIP
    epoch = SOURCE.views.find_epoch(1)
    assert epoch is not None
    if height == 1:
        return Tip(epoch_start=epoch.start, view=0, block=epoch.start.root, certificate=None)
    block = BLOCKS[height]
    following = BLOCKS[height + 1].header
    reference = replace(
        epoch.start.root,
        block_hash=block.block_hash,
        height=height,
        time_ms=block.header.time_ms,
        result=following.parent_result,
    )
    return Tip(epoch_start=epoch.start, view=block.header.view, block=reference, certificate=None)


def headers(first, last):
    return tuple(BLOCKS[height].header for height in range(first, last + 1))


def run_of(first, last):
    """Return the answer with these heights' headers and the certificate of the last."""
    return HeadersAnswer(headers=headers(first, last), certificates=(BLOCKS[last].certificate,))


def body_of(height, first_index=0, last_index=None):
    envelopes = BLOCKS[height].envelopes[first_index:last_index]
    return BodyAnswer(height=height, first_index=first_index, envelopes=envelopes)


def ask_body(height, first_index=0, peer="a"):
    return (peer, BodyRequest(height=height, first_index=first_index))


def started(height=1, now_ms=0):
    """Return a catch-up that asked peer a for headers above a final height."""
    syncing = CatchUp(CHAIN_ID, verify)
    asked = syncing.start("a", tip_at(height), now_ms)
    assert asked == [("a", HeadersRequest(first_height=height + 1))]
    return syncing


def fetching(first, last):
    """Return a catch-up that has the headers of a run."""
    syncing = started(first - 1)
    syncing.take_headers("a", run_of(first, last), 0)
    return syncing


def transactions_in(height):
    return tuple(parse_transaction(envelope, CHAIN_ID).envelope_hash for envelope in BLOCKS[height].envelopes)


def names_in(run: ProvenRun):
    return [tuple(one.envelope_hash for one in transactions) for transactions in run.transactions]


def certificate_of(header, *, kind=VoteKind.FINALIZE, **wrong):
    """Return a certificate of a header by its validators, or one that is wrong in a way."""
    return certify(header, ValidatorSet(tip_at(header.height - 1).epoch_start.validators), kind, **wrong)
