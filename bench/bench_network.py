"""A real network of four validators on this machine: start, memory, latency, throughput, and the cost of a dead node.

`python -m bench network`; BENCH_SECONDS sets the length of the throughput runs (60), BENCH_RATES the rates tried.
"""

from __future__ import annotations

import asyncio
import os
import time
import urllib.request

from bench.live import at, cpu_s, fresh_network, memory_mib
from bocc.client import Client, Wait
from bocc.load import LoadGenerator
from bocc.testing import RunningNetwork
from bocc.testnet.record import NodeRecord
from state.address import parse_address
from state.messages import Transfer

SECONDS = int(os.environ.get("BENCH_SECONDS", "60"))
RATES = [int(rate) for rate in os.environ.get("BENCH_RATES", "1000,2000,3000,4000").split(",")]
SINGLE_TRANSFERS = 200


def main() -> None:
    started = time.monotonic()
    with fresh_network() as network:
        network.start()
        network.wait_ready()
        ready_s = time.monotonic() - started
        asyncio.run(_measure(RunningNetwork(network), started, ready_s))


async def _measure(net: RunningNetwork, started: float, ready_s: float) -> None:
    alice, bob = net.accounts[:2]
    async with net.client(0) as client:
        for _ in range(2):
            await client.send(alice.key, [Transfer(to=parse_address(bob.address), amount=1)], wait=Wait.FINAL)
        print(f"cold start: ready {ready_s:.2f} s, height 2 with final transfers {time.monotonic() - started:.2f} s")
        await asyncio.sleep(3)
        print("memory of an idle node: " + ", ".join(f"{memory_mib(node):.0f}" for node in net.nodes) + " MiB resident")
        await _single_latency(client, alice.key, parse_address(bob.address))
        await _dead_node(net, client, alice.key, parse_address(bob.address))
    clients = [net.client(index) for index in range(4)]
    generator = await LoadGenerator.prepare(clients, net.accounts[-1].key)
    best = 0.0
    for rate in RATES:
        best = max(best, await _throughput(net, generator, rate, SECONDS))
    await asyncio.sleep(5)
    rate = int(best * 0.8)
    print(f"at 80 % of the best, {rate} transfers/s:")
    await _throughput(net, generator, rate, max(10, SECONDS // 2))
    for client in clients:
        await client.close()


async def _single_latency(client: Client, key: object, to: bytes) -> None:
    samples = []
    for _ in range(SINGLE_TRANSFERS):
        started = time.perf_counter()
        await client.send(key, [Transfer(to=to, amount=1)], wait=Wait.FINAL)
        samples.append((time.perf_counter() - started) * 1000)
        await asyncio.sleep(0.02)
    samples.sort()
    print(
        f"one transfer on an idle network, submit to final: p50 {at(samples, 50):.1f} ms, p95 {at(samples, 95):.1f} ms, "
        f"max {samples[-1]:.1f} ms ({SINGLE_TRANSFERS} transfers; signing and HTTP included)"
    )


async def _dead_node(net: RunningNetwork, client: Client, key: object, to: bytes) -> None:
    net.kill(3)
    samples = []
    for _ in range(60):
        started = time.perf_counter()
        await client.send(key, [Transfer(to=to, amount=1)], wait=Wait.FINAL)
        samples.append((time.perf_counter() - started) * 1000)
    samples.sort()
    print(
        f"one of four dead: p50 {at(samples, 50):.0f} ms, worst {samples[-1]:.0f} ms "
        f"(its first views are lost to the timeout, later ones are skipped at once)"
    )
    net.restart(3)


async def _throughput(net: RunningNetwork, generator: LoadGenerator, rate: int, seconds: int) -> float:
    before = _figures(net.nodes[0])
    cpu_before = [cpu_s(node) for node in net.nodes]
    own_before = time.process_time()
    started = time.monotonic()
    taken_before, refused_before, given_up_before = (
        generator.count.taken,
        generator.count.refused,
        generator.count.given_up,
    )
    await generator.run(rate, duration_s=seconds)
    elapsed = time.monotonic() - started
    after = _figures(net.nodes[0])
    cpu = [(now - then) / elapsed for now, then in zip([cpu_s(node) for node in net.nodes], cpu_before, strict=True)]
    final = after["transactions"] - before["transactions"]
    bounds = sorted(bound for bound in after["buckets"])
    blocks = after["blocks"] - before["blocks"]
    print(
        f"offered {rate}/s for {elapsed:.0f} s: {final / elapsed:.0f} final transfers/s, {blocks / elapsed:.1f} blocks/s, "
        f"block to final p50 {_quantile(before, after, bounds, 0.5)}, p95 {_quantile(before, after, bounds, 0.95)}; "
        f"taken {generator.count.taken - taken_before}, refused {generator.count.refused - refused_before}, "
        f"not sent {generator.count.given_up - given_up_before}; CPU of nodes "
        + ", ".join(f"{part:.2f}" for part in cpu)
        + f", of the generator {(time.process_time() - own_before) / elapsed:.2f} cores",
        flush=True,
    )
    for _ in range(30):
        if _figures(net.nodes[0])["pending"] == 0:
            break
        await asyncio.sleep(1)
    return final / elapsed


def _figures(node: NodeRecord) -> dict:
    figures: dict = {"buckets": {}, "transactions": 0.0}
    with urllib.request.urlopen(node.metrics, timeout=30) as answer:
        for line in answer.read().decode().splitlines():
            name, _, value = line.rpartition(" ")
            if name.startswith("bocc_transactions_total"):
                figures["transactions"] += float(value)
            elif name.startswith("bocc_finality_seconds_bucket"):
                figures["buckets"][float(name.split('le="')[1].split('"')[0])] = float(value)
            elif name == "bocc_blocks_total":
                figures["blocks"] = float(value)
            elif name == "bocc_mempool_transactions":
                figures["pending"] = float(value)
    return figures


def _quantile(before: dict, after: dict, bounds: list[float], share: float) -> str:
    counts = {bound: after["buckets"][bound] - before["buckets"][bound] for bound in bounds}
    total = counts[bounds[-1]]
    for bound in bounds:
        if total and counts[bound] >= share * total:
            return f"<= {bound * 1000:.0f} ms"
    return "none"


if __name__ == "__main__":
    main()
