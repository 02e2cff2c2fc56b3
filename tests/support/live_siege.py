"""A node under attack while honest clients go on: what they still get done, and how long the node's loop stood still at worst."""

from __future__ import annotations

import asyncio
import http.client
import itertools
import os
import re
import sys
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from random import Random
from types import SimpleNamespace
from urllib.parse import urlsplit
from urllib.request import urlopen

import msgspec

from bocc.testnet.record import NodeRecord
from p2p.channels import Channel
from p2p.errors import CloseReason
from state.address import account_address
from state.building import build_transaction
from state.development_genesis import DEVELOPMENT_PARAMS
from state.messages import Transfer
from state.transactions import sign_transaction
from tests.support.flooding_process import Flooded
from tests.support.live_network import ROOT, LiveNetwork, until
from tests.support.live_traffic import BackgroundTraffic
from tests.support.p2p_networks import RawPeer, node_id_of, now_ms, raw_peer

PROBE_S = 0.01
SIEGE_S = 3.0
"""How long clients that nobody bans go on."""
FLOOD_S = 30.0
"""How long a flood goes on that nobody ends; one that is fought off ends within seconds."""
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


async def flood(
    net: LiveNetwork, name: str, channel: Channel, payloads: Sequence[bytes], seconds: float = FLOOD_S
) -> str:
    """Send the same messages again and again as fast as the node reads, from a process of its own.

    Return why the node says in its log that it ended the connection; nothing if it did not, right when the time is up.
    """
    node, chain_id, number = net.node(name), net.network.record.chain_id, next(_numbers)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.support.flooding_process", node.p2p, chain_id),
        *(str(number), str(int(channel)), str(seconds)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        cwd=ROOT,
    )
    try:
        answer, _ = await process.communicate(msgspec.msgpack.encode(list(payloads)))
    finally:
        if process.returncode is None:
            process.kill()
    flooded = msgspec.json.decode(answer, type=Flooded)
    assert flooded.is_cut or flooded.sent > 10 * len(payloads), flooded
    if not flooded.is_cut:
        return ""
    lost = re.compile(rf"peer_lost peer={node_id_of(number)} reason=(\w+)")
    await asyncio.to_thread(until, lambda: lost.search(net.log(name)), lambda: net.log(name)[-2_000:])
    return lost.search(net.log(name))[1]


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
    """Let honest clients pay through all nodes while the context lasts, and note how the node under attack felt.

    The attacked node itself must go on meanwhile, at half the pace of the others at least.
    """
    watch, others = LoopWatch(net.node(name)), [other for other in net.names if other != name]
    async with BackgroundTraffic(net, f"siege-{what}", 3) as traffic:
        await asyncio.to_thread(watch.start)
        before = {one: await asyncio.to_thread(net.height, one) for one in net.names}
        began, paid = time.monotonic(), len(traffic.acknowledged)
        yield
        seconds, done = time.monotonic() - began, len(traffic.acknowledged) - paid
        gained = {one: await asyncio.to_thread(net.height, one) - before[one] for one in [name, *others]}
        felt = await asyncio.to_thread(watch.finish)
    pace = max(gained[other] for other in others)
    assert pace > 0, "the chain stood still"
    assert 2 * gained[name] >= pace, f"the attacked node made {gained[name]} of {pace} blocks final, {felt}"
    assert done > seconds, f"{done} payments in {seconds} s"
    figures.append(
        f"{what}: {felt}; {gained[name]} of {pace} blocks; {done / seconds:.0f} payments a second of 3 waiting payers"
    )


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
