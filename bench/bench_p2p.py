"""Measure the p2p package on loopback, both ends in this process and on one event loop.

    python -m bench.bench_p2p [--uvloop]

Prints the one-way latency as half of an echo's round trip, and messages per second one way. Rate limits are lifted,
because they are there to bound exactly this.
"""

import argparse
import asyncio
import hashlib
import statistics
import time
from collections import deque
from collections.abc import Awaitable, Callable

import msgspec

from p2p.channels import POLICIES, Channel
from p2p.config import NetworkConfig
from p2p.events import MessageReceived, NetworkEvent, PeerConnected
from p2p.gossip import Gossip, GossipStore, Outgoing
from p2p.network import Network

CHAIN_ID = b"\x07" * 32
WINDOW_BYTES = 4 << 20
"""Bytes under way at a time, so that sending and not fresh memory is measured."""
WINDOW_MESSAGES = 4_096
UNLIMITED = {
    channel: msgspec.structs.replace(
        policy,
        rate_bytes_per_ms=1 << 40,
        burst_bytes=1 << 50,
        queue_messages_max=1 << 20,
        queue_bytes_max=1 << 30,
    )
    for channel, policy in POLICIES.items()
}


class End:
    """One network, and what it does with each message."""

    def __init__(self, number: int, *peers: str) -> None:
        config = NetworkConfig(persistent_peers=peers)
        seed = bytes([number]) * 32
        self.network = Network(config, seed, CHAIN_ID, self.handle, now_ms, policies=UNLIMITED)
        self.is_connected = asyncio.Event()
        self.on_message: Callable[[MessageReceived], None]

    def handle(self, event: NetworkEvent) -> None:
        if isinstance(event, MessageReceived):
            self.on_message(event)
        elif isinstance(event, PeerConnected):
            self.is_connected.set()


def now_ms() -> int:
    return time.monotonic_ns() // 1_000_000


async def run_pair(measure: Callable[[End, End], Awaitable[None]]) -> None:
    """Connect two networks, and let `measure` work with them."""
    async with asyncio.TaskGroup() as tasks:
        first = End(1)
        running = [tasks.create_task(first.network.run())]
        await first.network.listening.wait()
        second = End(2, f"{first.network.node_id}@{first.network.listen_address}")
        running.append(tasks.create_task(second.network.run()))
        await first.is_connected.wait()
        await second.is_connected.wait()
        await measure(first, second)
        for task in running:
            task.cancel()


def measure_latency(size: int, rounds: int) -> Callable[[End, End], Awaitable[None]]:
    async def measure(first: End, second: End) -> None:
        payload = b"x" * size
        latencies: list[float] = []
        done = asyncio.Event()
        started = 0.0

        def echo(message: MessageReceived) -> None:
            first.network.send(message.peer_id, Channel.CONSENSUS, message.payload)

        def send() -> None:
            nonlocal started
            started = time.perf_counter()
            second.network.send(first.network.node_id, Channel.CONSENSUS, payload)

        def note(_: MessageReceived) -> None:
            latencies.append((time.perf_counter() - started) / 2)
            if len(latencies) == rounds:
                done.set()
            else:
                send()

        first.on_message, second.on_message = echo, note
        send()
        await done.wait()
        latencies.sort()
        p50 = statistics.median(latencies) * 1e6
        p99 = latencies[int(len(latencies) * 0.99)] * 1e6
        print(f"latency     {size:>6} B  one way  p50 {p50:7.1f} us  p99 {p99:7.1f} us")

    return measure


def measure_throughput(size: int, count: int) -> Callable[[End, End], Awaitable[None]]:
    async def measure(first: End, second: End) -> None:
        payload = b"x" * size
        window = min(WINDOW_MESSAGES, WINDOW_BYTES // size)
        done = asyncio.Event()
        sent = received = 0

        def send(messages: int) -> None:
            nonlocal sent
            for _ in range(min(messages, count - sent)):
                second.network.send(first.network.node_id, Channel.CONSENSUS, payload)
                sent += 1

        def receive(_: MessageReceived) -> None:
            nonlocal received
            received += 1
            if received == count:
                done.set()
            elif received % (window // 4) == 0:
                send(window // 4)

        first.on_message = receive
        started = time.perf_counter()
        send(window)
        await done.wait()
        seconds = time.perf_counter() - started
        rate, megabytes = count / seconds, size * count / seconds / 1e6
        print(f"throughput  {size:>6} B  {rate:>9.0f} messages/s  {megabytes:7.1f} MB/s  (both ends on one core)")

    return measure


def measure_gossip(count: int, batch: int) -> None:
    """Spread blobs of 250 bytes from one of four nodes of a mesh that pushes, without sockets."""
    held: dict[str, dict[bytes, bytes]] = {name: {} for name in "abcd"}
    nodes = {name: build_gossip(blobs) for name, blobs in held.items()}
    for name, node in nodes.items():
        for other in nodes.keys() - {name}:
            node.add_peer(other)
    blobs = [number.to_bytes(4, "big") * 62 for number in range(count)]
    pending: deque[tuple[str, Outgoing]] = deque()
    sent_bytes = 0
    started = time.perf_counter()
    for start in range(0, count, batch):
        ids = [hashlib.sha256(blob).digest() for blob in blobs[start : start + batch]]
        held["a"].update(zip(ids, blobs[start : start + batch], strict=True))
        nodes["a"].publish(ids)
        pending.extend(("a", message) for message in nodes["a"].flush())
        while pending:
            source, message = pending.popleft()
            sent_bytes += len(message.payload)
            name, node = message.peer_id, nodes[message.peer_id]
            handled = node.handle(source, message.payload, 0)
            held[name].update(handled.received)
            node.publish([blob_id for blob_id, _ in handled.received], source)
            pending.extend((name, message) for message in (*handled.outgoing, *node.flush()))
    seconds = time.perf_counter() - started
    assert all(len(blobs) == count for blobs in held.values())
    cost = seconds / count / len(nodes) * 1e6
    ratio = sent_bytes / (3 * 248 * count)
    print(f"gossip      batches of {batch:>4}  {cost:6.2f} us per blob and node, {ratio:.2f} times the needed bytes")


def build_gossip(blobs: dict[bytes, bytes]) -> Gossip:
    store = GossipStore(
        identify=lambda blob: hashlib.sha256(blob).digest(), is_known=blobs.__contains__, find_blob=blobs.get
    )
    return Gossip(store, is_push_mode=True)


async def main() -> None:
    for size, rounds in ((200, 5_000), (64 << 10, 2_000)):
        await run_pair(measure_latency(size, rounds))
    for size, count in ((200, 200_000), (64 << 10, 8_000)):
        await run_pair(measure_throughput(size, count))
    for batch in (1, 100):
        measure_gossip(20_000, batch)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--uvloop", action="store_true")
    if parser.parse_args().uvloop:
        import uvloop

        uvloop.run(main())
    else:
        asyncio.run(main())
