"""Peers that lie, flood and break off, against a node of a running chain: they lose their connection, the chain loses nothing."""

from __future__ import annotations

import asyncio
import os
from random import Random

import msgspec
import pytest

from consensus.messages import MESSAGE_CODEC, CertificatesRequest, Proposal, Status, VoteMessage
from node.block_messages import BLOCK_MESSAGE_CODEC, BlockRequest, BodyRequest, HeadersAnswer, HeadersRequest
from p2p.channels import POLICIES, Channel
from p2p.errors import RefusalReason
from p2p.gossip_messages import Announce, Ask, Deliver
from state.block import Header
from state.crypto import SigningKey
from state.votes import Vote, VoteKind
from tests.support.live_siege import besieged, flood, hostile_peer, reason_of_end, together, transfers
from tests.support.p2p_networks import dial_raw

NAME = "node1"
CHANCE = Random(6)
MESSAGE_CHANNELS = [channel for channel in Channel if channel is not Channel.PEERS]


def gossip(message):
    return msgspec.msgpack.encode(message)


def vote(**changes):
    """Return a vote that is well-formed and signed by nobody."""
    fields = {
        "kind": VoteKind.NOTARIZE,
        "epoch": 0,
        "view": 1,
        "block_hash": os.urandom(32),
        "result": b"",
        "validator": CHANCE.randrange(4),
        "signature": os.urandom(64),
    }
    return Vote(**(fields | changes))


def proposal(chain_id, view):
    """Return a proposal for a view that nobody signed."""
    header = Header(
        version=1, chain_id=chain_id, epoch=0, view=view, height=view, time_ms=1, parent_hash=os.urandom(32),
        parent_view=view - 1, parent_result=os.urandom(32), proposer=b"\0" * 21, validators_hash=os.urandom(32),
        tx_root=os.urandom(32), tx_count=0,
    )  # fmt: skip
    fake = vote(view=view)
    return Proposal(epoch=0, view=view, header=header, envelope_hashes=(), parent_view=view - 1, justify=(), vote=fake)


def test_garbage_and_half_open_handshakes_cost_nobody_but_themselves(net, figures):
    openings = [b"GET / HTTP/1.1\r\n\r\n", bytes(64), b"\xff" * 70_000, b"\x00\x20", b"", os.urandom(400)]

    async def attack():
        streams = []
        async with besieged(net, NAME, "garbage and 120 half-open handshakes", figures):
            for index in range(120):
                _, writer = await dial_raw(net.node(NAME).p2p)
                writer.write(openings[index % len(openings)])
                streams.append(writer)
                await asyncio.sleep(0.01)
        for writer in streams:
            writer.transport.abort()

    asyncio.run(attack())


def malformed_bytes(channel):
    """Return bytes that no correct peer sends on a channel, by name."""
    canonical = {
        Channel.CONSENSUS: MESSAGE_CODEC.encode(VoteMessage(vote=vote())),
        Channel.STATUS: MESSAGE_CODEC.encode(Status(epoch=0, view=1, final_height=0, final_hash=bytes(32))),
        Channel.BODIES: BLOCK_MESSAGE_CODEC.encode(BlockRequest(block_hash=bytes(32))),
        Channel.SYNC: BLOCK_MESSAGE_CODEC.encode(HeadersRequest(first_height=1)),
        Channel.TRANSACTIONS: gossip(Announce(ids=[os.urandom(32)])),
    }[channel]
    wide = bytes([0xDC, 0, canonical[0] & 0x0F]) + canonical[1:]
    return {
        "random": os.urandom(300),
        "truncated": canonical[:-1],
        "longer": canonical + b"\xc0",
        "wide array header": wide,
        "deep": b"\x91" * 60_000 + b"\xc0",
        "map": b"\x81\xa1a\x01",
        "unknown tag": b"\x92\x7f\x00",
        "huge length": b"\xdd\xff\xff\xff\xff",
    }


@pytest.mark.parametrize("channel", MESSAGE_CHANNELS)
async def test_malformed_messages_on_each_channel_end_in_a_ban(net, channel):
    before = net.peers(NAME)
    for kind, payload in malformed_bytes(channel).items():
        async with hostile_peer(net, NAME) as peer:
            for _ in range(10):
                peer.send(channel, payload)
            assert await reason_of_end(peer) is RefusalReason.BANNED, f"{kind} is taken on {channel}"
    assert net.peers(NAME) == before


@pytest.mark.parametrize("channel", list(Channel))
async def test_a_message_above_the_limit_of_its_channel_ends_the_connection(net, channel):
    before = net.peers(NAME)
    async with hostile_peer(net, NAME) as peer:
        assert len(net.peers(NAME)) == len(before) + 1
        peer.send(channel, bytes(POLICIES[channel].message_bytes_max + 1))
        await reason_of_end(peer)
    assert net.peers(NAME) == before


def certificates_request(epoch):
    return MESSAGE_CODEC.encode(CertificatesRequest(epoch=epoch, first_view=1, last_view=1))


def status(epoch):
    return MESSAGE_CODEC.encode(Status(epoch=epoch, view=1, final_height=10**6, final_hash=os.urandom(32)))


QUESTIONS = {
    "headers": (Channel.SYNC, [BLOCK_MESSAGE_CODEC.encode(HeadersRequest(first_height=1))]),
    "old bodies": (Channel.SYNC, [BLOCK_MESSAGE_CODEC.encode(BodyRequest(height=1, first_index=0))]),
    "unknown bodies": (Channel.BODIES, [BLOCK_MESSAGE_CODEC.encode(BlockRequest(block_hash=os.urandom(32)))]),
    "known certificates": (Channel.CONSENSUS, [certificates_request(epoch=0)]),
    "certificates of another epoch": (Channel.CONSENSUS, [certificates_request(epoch=9)]),
    "statuses": (Channel.STATUS, [status(epoch) for epoch in (0, 7)]),
    "unknown transactions": (Channel.TRANSACTIONS, [gossip(Ask(ids=[os.urandom(32) for _ in range(500)]))]),
    "unasked answers": (Channel.SYNC, [BLOCK_MESSAGE_CODEC.encode(HeadersAnswer(headers=(), certificates=()))]),
}
"""Messages that cost an answer, or the look for one."""


@pytest.mark.parametrize("what", QUESTIONS)
async def test_a_flood_of_questions_stops_nothing_and_ends_in_a_ban(net, figures, what):
    async with besieged(net, NAME, f"flood of questions: {what}", figures):
        assert await flood(net, NAME, *QUESTIONS[what]) == "banned"


async def test_floods_of_well_formed_messages_by_several_peers_at_once_stop_nothing(net, figures):
    """Given peers that are never wrong, only too fast, each on another channel, then the node goes on and bans them all."""
    chosen = ("certificates of another epoch", "unknown bodies", "old bodies", "statuses")
    async with besieged(net, NAME, "floods of questions on four channels", figures):
        ends = await together(*[flood(net, NAME, *QUESTIONS[what]) for what in chosen])
        assert ends == ["banned"] * len(chosen)


async def test_a_flood_of_votes_that_nobody_signed_stops_no_view(net, figures):
    view = net.call(NAME, "status")["view"]
    junk = []
    for _ in range(500):
        kind = CHANCE.choice([VoteKind.NOTARIZE, VoteKind.NULLIFY, VoteKind.FINALIZE])
        hashes = {"block_hash": b"" if kind is VoteKind.NULLIFY else os.urandom(32)}
        result = os.urandom(32) if kind is VoteKind.FINALIZE else b""
        fake = vote(kind=kind, view=view + CHANCE.randrange(0, 30), result=result, **hashes)
        junk.append(MESSAGE_CODEC.encode(VoteMessage(vote=fake)))
    async with besieged(net, NAME, "floods of unsigned votes", figures):
        ends = await together(*[flood(net, NAME, Channel.CONSENSUS, junk) for _ in range(3)])
        assert ends == ["banned"] * 3


async def test_a_flood_of_stale_votes_stops_no_view(net, figures):
    stale = [MESSAGE_CODEC.encode(VoteMessage(vote=vote(validator=index))) for index in range(4)]
    async with besieged(net, NAME, "flood of stale votes", figures):
        assert await flood(net, NAME, Channel.CONSENSUS, stale) == "banned"


async def test_a_flood_of_proposals_that_nobody_signed_stops_no_view(net, figures):
    chain_id = bytes.fromhex(net.network.record.chain_id)
    view = net.call(NAME, "status")["view"]
    junk = [MESSAGE_CODEC.encode(proposal(chain_id, view + CHANCE.randrange(1, 30))) for _ in range(200)]
    async with besieged(net, NAME, "floods of unsigned proposals", figures):
        ends = await together(*[flood(net, NAME, Channel.CONSENSUS, junk) for _ in range(3)])
        assert ends == ["banned"] * 3


async def test_a_flood_of_transactions_with_wrong_signatures_ends_in_bans(net, figures):
    chain_id = bytes.fromhex(net.network.record.chain_id)
    key = net.accounts[9].key
    batches = [gossip(Deliver(blobs=transfers(chain_id, key, 200, is_signed=False))) for _ in range(24)]

    async def attack(mine):
        async with hostile_peer(net, NAME) as peer:
            for batch in mine:
                peer.send(Channel.TRANSACTIONS, batch)
            return await reason_of_end(peer)

    async with besieged(net, NAME, "floods of transactions with wrong signatures", figures):
        ends = await together(*[attack(batches[start : start + 6]) for start in range(0, 24, 6)])
        assert ends == [RefusalReason.BANNED] * 4


async def test_a_flood_of_transactions_without_money_is_dropped(net, figures):
    chain_id = bytes.fromhex(net.network.record.chain_id)
    batches = [gossip(Deliver(blobs=transfers(chain_id, SigningKey(os.urandom(32)), 400))) for _ in range(6)]
    async with besieged(net, NAME, "floods of signed transactions without money", figures):
        await together(*[flood(net, NAME, Channel.TRANSACTIONS, batches) for _ in range(2)])
    assert net.call(NAME, "mempool")["transactions"] == 0


async def test_a_flood_of_announcements_that_are_never_kept_is_bounded(net, figures):
    junk = [gossip(Announce(ids=[os.urandom(32) for _ in range(1_024)])) for _ in range(20)]
    async with besieged(net, NAME, "floods of false announcements", figures):
        assert await together(*[flood(net, NAME, Channel.TRANSACTIONS, junk) for _ in range(2)]) == ["banned"] * 2
