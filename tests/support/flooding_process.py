"""A peer in a process of its own that sends the same messages again and again, as fast as the other end reads.

    python -m tests.support.flooding_process HOST:PORT CHAIN_ID NUMBER CHANNEL SECONDS < MESSAGES

Takes the messages as a msgpack list, cuts them into records once and only encrypts them again, so it is limited by the line and
not by itself. Prints as JSON how many messages it sent, and whether the other end closed the connection.
"""

from __future__ import annotations

import asyncio
import sys
import time
from contextlib import AsyncExitStack
from itertools import cycle
from types import SimpleNamespace

import msgspec

from p2p.channels import POLICIES, Channel, QueueBudget, SendQueue
from p2p.counters import NetworkCounters
from p2p.wire import encode_frame
from tests.support.p2p_networks import RawPeer, raw_peer

BATCH_MESSAGES = 5_000
"""Messages that are cut into records together, if they are small."""
BATCH_BYTES = 1 << 20
TRIES = 40
TRY_AGAIN_S = 0.3
"""Handshakes are rationed."""


class Flooded(msgspec.Struct, frozen=True):
    """What came of it."""

    sent: int
    is_cut: bool
    """Whether the other end closed the connection before the time was up."""


def cut_records(channel: Channel, payloads: list[bytes]) -> tuple[list[bytes], int]:
    """Return the plaintexts of records that carry the messages, repeated while they are few, and how many messages they carry."""
    length = sum(len(payload) for payload in payloads) or 1
    repeats = max(1, min(BATCH_MESSAGES // len(payloads), BATCH_BYTES // length))
    unlimited = {
        one: msgspec.structs.replace(
            policy, rate_bytes_per_ms=1 << 40, burst_bytes=1 << 50, queue_messages_max=1 << 30, queue_bytes_max=1 << 40
        )
        for one, policy in POLICIES.items()
    }
    queue = SendQueue(unlimited, QueueBudget(1 << 40), NetworkCounters(), 0)
    for payload in payloads * repeats:
        assert queue.add(channel, encode_frame(channel, payload)), "a message is too long for its channel"
    return list(iter(lambda: queue.take_plaintext(0), b"")), repeats * len(payloads)


async def listen(peer: RawPeer) -> None:
    """Read until the other end closes, keeping nothing of what it says."""
    try:
        while await peer.reader.read(1 << 16):
            pass
    except ConnectionError:
        pass


async def flood(peer: RawPeer, records: list[bytes], count: int, seconds: float) -> Flooded:
    """Send until the time is up or the other end closes."""
    deadline, written = time.monotonic() + seconds, 0
    listening = asyncio.ensure_future(listen(peer))
    for record in cycle(records):
        if listening.done() or time.monotonic() >= deadline:
            break
        peer.writer.write(peer.session._records_out.write(record))
        written += 1
        draining = asyncio.ensure_future(peer.writer.drain())
        await asyncio.wait({draining, listening}, timeout=deadline - time.monotonic(), return_when="FIRST_COMPLETED")
        if draining.done():
            draining.exception()
        draining.cancel()
    is_cut = listening.done()
    listening.cancel()
    return Flooded(written * count // len(records), is_cut)


async def main(address: str, chain_id: str, number: str, channel: str, seconds: str) -> None:
    """Connect, patiently, and flood."""
    records, count = cut_records(
        Channel(int(channel)), msgspec.msgpack.decode(sys.stdin.buffer.read(), type=list[bytes])
    )
    async with AsyncExitStack() as stack:
        for _ in range(TRIES):
            try:
                node = SimpleNamespace(address=address)
                peer = await stack.enter_async_context(raw_peer(int(number), node, bytes.fromhex(chain_id)))
                break
            except ConnectionError:
                await asyncio.sleep(TRY_AGAIN_S)
        flooded = await flood(peer, records, count, float(seconds))
    sys.stdout.buffer.write(msgspec.json.encode(flooded))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
