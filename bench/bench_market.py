"""A real network of four validators under orders: how many orders it brings through their whole life per second.

`python -m bench market`; BENCH_MARKET_RATES sets the rates tried, BENCH_MARKET_SECONDS how long each. A life is what an ordinary
order takes: it is placed for a machine, an image and sealed data, accepted, its key is granted, and its enclave sends start, beat
and last output, which closes it and pays. Each step follows when the one before is final, as seen by a client that follows the
events of the first node. Orders, acceptances and grants are signed before the clock starts, and travel one each, through all nodes
in turns. Receipts name a recent block, so they are signed when they are sent: an enclave sends those of all its orders in one
message for each tick. Machines are simulated. The maker of this load shares the cores with the nodes; what it takes is told.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import cycle

from bench.live import Meter, at, fresh_network
from bench.market_load import PROVIDERS, Life, Provider, Signer, prepare_lives, prepare_market, sign_receipts
from bocc.client import Client, Wait
from bocc.errors import RpcRejected
from bocc.provider.attesting import take_challenge
from bocc.testing import RunningNetwork
from state.address import AddressKind, parse_address
from state.order_messages import DEAR_RECEIPTS_MAX
from state.runtime.prices import price_table
from state.transactions import Transaction

RATES = [int(rate) for rate in os.environ.get("BENCH_MARKET_RATES", "60,120,180").split(",")]
SECONDS = int(os.environ.get("BENCH_MARKET_SECONDS", "12"))
TICK_S = 0.5
"""Between two messages of receipts of one enclave, if it has any to send."""
BATCH = 50
"""Transactions in one request, at most."""
DRAIN_S = 30.0
"""How long the lives are waited for that have begun when no more begin."""
STEP_AFTER = {"ordered": "accept", "accepted": "grant", "granted": "start"}
"""What is due once an event is final."""
RECEIPT_AFTER = {"start": "beat", "beat": "output"}
STEP_OF = {"ordered": "order", "accepted": "accept", "granted": "grant"}


class Load:
    """All lives of one run, and what is due of them."""

    def __init__(self, clients: Sequence[Client], signer: Signer, lives: Sequence[Life]) -> None:
        self.closed: list[float] = []
        """Moment of each end, in the order in which they were told."""
        self.begun: dict[bytes, float] = {}
        """Moment at which each order was due to be placed, by address."""
        self.latencies: dict[str, list[float]] = defaultdict(list)
        """Seconds from due to final, by message, and of whole lives."""
        self.receipt_counts: list[int] = []
        """Of each message of receipts."""
        self.refusals: Counter[str] = Counter()
        self._lives = {life.order: life for life in lives}
        self._clients: Iterator[Client] = cycle(clients)
        self._first = clients[0]
        self._signer = signer
        self._handed_in: dict[tuple[bytes, str], float] = {}
        self._due: list[Transaction] = []
        self._news = asyncio.Event()
        self._all_closed = asyncio.Event()
        self._outboxes: dict[bytes, list[tuple[Life, str]]] = defaultdict(list)

    async def run(self, rate: int) -> None:
        """Begin lives at a steady rate, and return when all have ended or no more time is left."""
        helpers = [self._follow(), self._hand_in(), *(self._report(one) for one in self._providers())]
        async with asyncio.TaskGroup() as tasks:
            running = [tasks.create_task(helper) for helper in helpers]
            started = time.monotonic() + 0.2
            for number, life in enumerate(self._lives.values()):
                due = started + number / rate
                if due > time.monotonic():
                    await asyncio.sleep(due - time.monotonic())
                self.begun[life.order] = due
                self._put(life, "order", due)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._all_closed.wait(), DRAIN_S)
            for task in running:
                task.cancel()

    def _providers(self) -> list[Provider]:
        return list({life.provider.enclave: life.provider for life in self._lives.values()}.values())

    def _put(self, life: Life, step: str, due: float) -> None:
        """Let the next request bring a transaction that is signed already."""
        self._handed_in[life.order, step] = due
        self._due.append(life.steps[step])
        self._news.set()

    async def _hand_in(self) -> None:
        """Send what is due in batches, through the nodes in turns, without waiting for answers."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                await self._news.wait()
                self._news.clear()
                while self._due:
                    batch, self._due = self._due[:BATCH], self._due[BATCH:]
                    tasks.create_task(self._submit(batch))

    async def _submit(self, batch: Sequence[Transaction]) -> None:
        for answer in await next(self._clients).submit_many(batch):
            if isinstance(answer, RpcRejected):
                self.refusals[str(answer.reason)] += 1

    async def _follow(self) -> None:
        """Let each step follow on the event of the one before."""
        topics = [*STEP_AFTER, "order_closed", "receipt_skipped"]
        async for event in self._first.subscribe(topics=topics):
            kind, attributes, now = event["kind"], event["attributes"], time.monotonic()
            life = self._lives.get(parse_address(attributes["order"], "boccord", AddressKind.ORDER))
            if life is None:
                continue
            if kind == "receipt_skipped":
                self.refusals[attributes["reason"]] += 1
            elif kind == "order_closed":
                assert attributes["reason"] == "done", attributes
                self.closed.append(now)
                self.latencies["life"].append(now - self.begun[life.order])
                if len(self.closed) == len(self._lives):
                    self._all_closed.set()
            else:
                self.latencies[STEP_OF[kind]].append(now - self._handed_in.pop((life.order, STEP_OF[kind])))
                step = STEP_AFTER[kind]
                if step == "start":
                    self._outboxes[life.provider.enclave].append((life, step))
                else:
                    self._put(life, step, now)

    async def _report(self, provider: Provider) -> None:
        """Send the receipts that are due of an enclave's orders, a message for each tick."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                await asyncio.sleep(TICK_S)
                outbox = self._outboxes[provider.enclave]
                dear = [one for one in outbox if one[1] != "beat"]
                late = set(map(id, dear[DEAR_RECEIPTS_MAX:]))
                part = [one for one in outbox if id(one) not in late]
                self._outboxes[provider.enclave] = dear[DEAR_RECEIPTS_MAX:]
                if part:
                    tasks.create_task(self._send_receipts(provider, part))

    async def _send_receipts(self, provider: Provider, part: list[tuple[Life, str]]) -> None:
        """Send receipts of one enclave, and let the next ones follow when they are final."""
        handed_in, client = time.monotonic(), next(self._clients)
        message = sign_receipts(provider, await take_challenge(self._first), part)
        try:
            outcome = await client.submit(self._signer.sign(provider.key, message), Wait.FINAL)
        except RpcRejected as error:
            self.refusals[str(error.reason)] += 1
            return
        if not outcome.has_succeeded:
            self.refusals[str((outcome.receipt or {}).get("reason"))] += 1
            return
        self.latencies["receipts"].append(time.monotonic() - handed_in)
        self.receipt_counts.append(len(part))
        following = [(life, RECEIPT_AFTER[kind]) for life, kind in part if kind in RECEIPT_AFTER]
        self._outboxes[provider.enclave] += following


def main() -> None:
    with fresh_network() as network:
        network.start()
        network.wait_ready()
        asyncio.run(_measure(RunningNetwork(network)))


async def _measure(net: RunningNetwork) -> None:
    clients = [net.client(index) for index in range(4)]
    started = time.monotonic()
    market = await prepare_market(clients[0], net.accounts[0].key)
    params = await clients[0].price_params()
    signer = Signer(market.chain_id, params)
    await signer.learn(clients[0], market.keys)
    lives = prepare_lives(market, signer, sum(RATES) * SECONDS)
    work = sum(price_table(params).work(step) for step in lives[0].steps.values())
    print(
        f"{len(lives)} lives of orders prepared in {time.monotonic() - started:.0f} s, of {PROVIDERS} providers with an enclave "
        f"each; order, acceptance and grant of one are {work} units of work"
    )
    for rate in RATES:
        part, lives = lives[: rate * SECONDS], lives[rate * SECONDS :]
        await _run(net, Load(clients, signer, part), rate, len(part))
    for client in clients:
        await client.close()


async def _run(net: RunningNetwork, load: Load, rate: int, count: int) -> None:
    """Run lives and print what became of them."""
    meter, own_before, started = Meter(net.nodes), time.process_time(), time.monotonic()
    await load.run(rate)
    own_cores = (time.process_time() - own_before) / (time.monotonic() - started)
    if load.refusals:
        print(f"refused: {dict(load.refusals)}")
    if len(load.closed) < 2:
        print(f"offered {rate} lives/s for {SECONDS} s: {len(load.closed)} of {count} have ended")
        return
    begun, last_begun = min(load.begun.values()), max(load.begun.values())
    first_ended, ended = load.closed[0], load.closed[-1]
    # Ends come in a burst for each tick. The first burst ends what began before the time that is counted here.
    later_count = sum(moment > first_ended + TICK_S / 2 for moment in load.closed)
    messages = sum(len(load.latencies[name]) for name in ("order", "accept", "grant", "receipts"))
    receipts = load.receipt_counts
    print(
        f"offered {rate} lives/s for {SECONDS} s: {len(load.closed)} of {count} have ended, "
        f"{later_count / (ended - first_ended):.0f} per second after the first burst of ends to the last, "
        f"which came {ended - last_begun:.1f} s after the last had begun; {messages / (ended - begun):.0f} messages/s final, "
        f"{sum(receipts) / len(receipts):.0f} receipts in a message, at most {max(receipts)}"
    )
    quantiles = (_quantiles(name, load.latencies[name]) for name in ("order", "accept", "grant", "receipts", "life"))
    print(f"  due to final: {', '.join(quantiles)}")
    print(f"  {meter.show(len(load.closed))}, maker of the load {own_cores:.2f} cores", flush=True)


def _quantiles(name: str, samples: list[float]) -> str:
    ordered = sorted(samples)
    return f"{name} p50 {at(ordered, 50) * 1_000:.0f} ms, p95 {at(ordered, 95) * 1_000:.0f} ms"


if __name__ == "__main__":
    main()
