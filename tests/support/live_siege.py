"""A node under attack while honest clients go on: what they still get done, and how long the node's loop stood still at worst."""

from __future__ import annotations

import asyncio
import http.client
import itertools
import os
import re
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from random import Random
from types import SimpleNamespace
from urllib.parse import urlsplit
from urllib.request import urlopen

from bocc.testnet.record import NodeRecord
from p2p.errors import CloseReason
from state.address import account_address
from state.building import build_transaction
from state.development_genesis import DEVELOPMENT_PARAMS
from state.messages import Transfer
from state.transactions import sign_transaction
from tests.support.live_network import LiveNetwork
from tests.support.live_traffic import BackgroundTraffic
from tests.support.p2p_networks import RawPeer, now_ms, raw_peer

PROBE_S = 0.01
SIEGE_S = 2.0
"""How long floods last."""
_numbers = itertools.count(1)
_chance = Random(6)


@asynccontextmanager
async def hostile_peer(net: LiveNetwork, name: str) -> AsyncIterator[RawPeer]:
    """Connect with an identity that no test used before, up to the admission; patiently, for handshakes are rationed."""
    node = net.node(name)
    address = SimpleNamespace(address=f"{node.node_id}@{node.p2p}")
    async with AsyncExitStack() as stack:
        for _ in range(20):
            try:
                peer = await stack.enter_async_context(
                    raw_peer(next(_numbers), address, bytes.fromhex(net.network.record.chain_id))
                )
                break
            except ConnectionError:
                await asyncio.sleep(0.3)
        assert peer.session.is_admitted
        yield peer


async def flood(peer: RawPeer, channel: int, payloads: Callable[[], bytes], seconds: float = SIEGE_S) -> int:
    """Send messages as fast as the other end reads, until time is up or it hangs up; return how many."""
    deadline, sent = time.monotonic() + seconds, 0
    reading = asyncio.ensure_future(swallow(peer))
    try:
        while time.monotonic() < deadline and not reading.done():
            for _ in range(20):
                peer.send(channel, payloads())
                sent += 1
            await asyncio.wait_for(peer.writer.drain(), seconds)
            await asyncio.sleep(0)
    except (ConnectionError, TimeoutError):
        pass
    finally:
        reading.cancel()
    return sent


async def swallow(peer: RawPeer) -> None:
    """Read and forget until the other end closes, keeping nothing of what it says."""
    try:
        while await peer.reader.read(1 << 16):
            pass
    except ConnectionError:
        pass


async def reason_of_end(peer: RawPeer, seconds: float = 10.0) -> CloseReason | None:
    """Wait until the other end closes the connection, and return why it says that it does; None if it says nothing.

    Raises:
        TimeoutError: it does not close.
    """
    async with asyncio.timeout(seconds):
        try:
            while received := await peer.reader.read(1 << 16):
                list(peer.session.receive(received, now_ms()))
        except ConnectionError:
            pass
    return peer.session.close_reason


class LoopWatch:
    """Measures a node from outside: its own histogram of lateness, and how long /livez takes to answer."""

    def __init__(self, node: NodeRecord) -> None:
        self._node = node
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._probe, daemon=True)
        self.worst_answer_s = 0.0

    def start(self) -> None:
        self._before = self._lateness()
        self._thread.start()

    def finish(self) -> str:
        """Stop, and say what was seen."""
        self._stop.set()
        self._thread.join()
        late = {bound: count - self._before[bound] for bound, count in self._lateness().items()}
        worst = min((bound for bound, count in late.items() if count == max(late.values())), default=0.0)
        above = max(late.values()) - late[0.05]
        seen = f"loop late by at most {worst * 1000:.0f} ms ({above} of {max(late.values())} above 50)"
        return f"{seen}, /livez {self.worst_answer_s * 1000:.0f} ms"

    def _lateness(self) -> dict[float, int]:
        """Return how many wake-ups were late by at most a bound."""
        with urlopen(self._node.metrics, timeout=10) as response:
            text = response.read().decode()
        found = re.findall(r'bocc_loop_lag_seconds_bucket\{le="([^"]+)"\} ([0-9.]+)', text)
        return {float(bound): int(float(count)) for bound, count in found}

    def _probe(self) -> None:
        parts = urlsplit(self._node.rpc)
        while not self._stop.wait(PROBE_S):
            began = time.monotonic()
            connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=10)
            try:
                connection.request("GET", "/livez")
                connection.getresponse().read()
            except (OSError, http.client.HTTPException):
                continue
            finally:
                connection.close()
                self.worst_answer_s = max(self.worst_answer_s, time.monotonic() - began)


@asynccontextmanager
async def besieged(net: LiveNetwork, name: str, what: str, figures: list[str]) -> AsyncIterator[None]:
    """Let honest clients pay through all nodes while the context lasts, and note how the node under attack felt."""
    watch = LoopWatch(net.node(name))
    async with BackgroundTraffic(net, f"siege-{what}", 3) as traffic:
        await asyncio.to_thread(watch.start)
        began, before = time.monotonic(), len(traffic.acknowledged)
        yield
        seconds, done = time.monotonic() - began, len(traffic.acknowledged) - before
        felt = await asyncio.to_thread(watch.finish)
    assert done > seconds, f"{done} payments in {seconds} s"
    figures.append(f"{what}: {felt}; {done / seconds:.0f} payments a second of 3 waiting payers")


async def together(*attacks: Awaitable[object]) -> list[object]:
    """Run attacks at once."""
    return list(await asyncio.gather(*attacks))


def transfers(chain_id, key, count, *, is_signed=True):
    """Return encoded transfers with a nonce each, whose signatures are wrong if they shall not be signed."""
    found = []
    for nonce in range(count):
        good = build_transaction(
            chain_id=chain_id,
            keys=(key,),
            sender=account_address(key.public_key),
            nonce=10**6 + nonce,
            expires_at_ms=time.time_ns() // 1_000_000 + 600_000 + _chance.randrange(10**6),
            messages=(Transfer(to=account_address(bytes(32)), amount=1),),
            params=DEVELOPMENT_PARAMS,
        )
        found.append(good.encoded if is_signed else sign_transaction(os.urandom(32), good.body, (key,)).encoded)
    return found
