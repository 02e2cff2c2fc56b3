"""A real network of four validators under attestations, and under news of a vendor that has all of its enclaves judged again.

`python -m bench attestations`; BENCH_ATTESTATION_RATES sets the rates tried, BENCH_ATTESTATION_SECONDS how long each. Machines are
simulated, one for each enclave, and their quotes have the format, signatures and certificates of TDX. Quotes and envelopes are made
before the clock starts; finality is that seen by a client which follows the events of the first node.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter
from collections.abc import Callable, Sequence
from statistics import median

from msgspec import Struct
from msgspec.structs import replace

from bench.live import Meter, at, fresh_network
from bocc.client import Client, Wait
from bocc.errors import RpcRejected
from bocc.provider.attesting import EnclaveNames, parse_resource, take_challenge
from bocc.provider.software import SoftwareTee, publish_hardware, publish_image
from bocc.testing import RunningNetwork
from state.address import account_address, format_address
from state.building import build_transaction
from state.crypto import SigningKey, tagged_hash
from state.messages import Transfer
from state.runtime.prices import price_table
from state.transactions import MESSAGES_MAX, Transaction
from state.trust_messages import PutCollateral
from tee.documents import CollateralKind
from tee.simulated import SimulatedVendor, tcb_info_template
from tee.simulated_documents import RECOVERY_LEVELS

RATES = [int(rate) for rate in os.environ.get("BENCH_ATTESTATION_RATES", "100,200,300").split(",")]
SECONDS = int(os.environ.get("BENCH_ATTESTATION_SECONDS", "6"))
ALONE = 100
"""Attestations of one client that waits for each before it sends the next."""
CLOSED = 1_500
"""The same, of so many clients:"""
WORKERS = 64
OPERATORS = 2 * MESSAGES_MAX
"""Accounts with a machine on record each, so that no limit of one sender binds."""
FUNDS = 10**9
TTL_MS = 1_800_000
BATCH = 10
DRAIN_S = 60.0


class Prepared(Struct, frozen=True):
    """An attestation that only needs to be sent."""

    enclave: str
    transaction: Transaction


class Follower:
    """What the first node has told of enclaves, with the moment at which it came."""

    def __init__(self) -> None:
        self.final: dict[str, tuple[float, int]] = {}
        """Moment and height of each attestation, by enclave."""
        self.changed: dict[str, tuple[float, int]] = {}
        """Moment and height of each enclave's last change."""
        self.reappraised_count = 0
        self._news = asyncio.Event()

    async def follow(self, client: Client) -> None:
        async for event in client.subscribe(topics=["attested", "enclave_changed", "reappraised"]):
            told = (time.monotonic(), event["height"])
            match event["kind"]:
                case "attested":
                    self.final[event["attributes"]["enclave"]] = told
                case "enclave_changed":
                    self.changed[event["attributes"]["enclave"]] = told
                case "reappraised":
                    self.reappraised_count += 1
            self._news.set()

    async def until(self, is_true: Callable[[], object]) -> None:
        """Wait for something that was told; it must come in time."""
        async with asyncio.timeout(DRAIN_S):
            while not is_true():
                self._news.clear()
                await self._news.wait()


def main() -> None:
    with fresh_network() as network:
        network.start()
        network.wait_ready()
        asyncio.run(_measure(RunningNetwork(network)))


async def _measure(net: RunningNetwork) -> None:
    clients = [net.client(index) for index in range(4)]
    follower = Follower()
    following = asyncio.create_task(follower.follow(clients[0]))
    started = time.monotonic()
    keys, names = await _publish(clients[0], net.accounts[0].key)
    counts = [rate * SECONDS for rate in RATES]
    prepared = await _prepare(clients[0], keys, names, ALONE + sum(counts) + CLOSED)
    params = await clients[0].price_params()
    work = price_table(params).work(prepared[0].transaction)
    work_max = params.blocks.work_max
    print(
        f"{len(prepared)} attestations of {len(prepared[0].transaction.encoded)} bytes by {OPERATORS} operators prepared in "
        f"{time.monotonic() - started:.0f} s; each is {work} units of work, so {work_max // work} fit the {work_max} of a block"
    )
    part, prepared = prepared[:ALONE], prepared[ALONE:]
    await _run(net, follower, part, work, "1 client that waits", _send_waiting(clients, part, 1))
    for rate, count in zip(RATES, counts, strict=True):
        part, prepared = prepared[:count], prepared[count:]
        await _run(net, follower, part, work, f"offered {rate}/s", _send_at(clients, part, rate))
    await _run(net, follower, prepared, work, f"{WORKERS} clients that wait", _send_waiting(clients, prepared, WORKERS))
    await _reappraise(net, clients[0], follower)
    following.cancel()
    for client in clients:
        await client.close()


async def _publish(client: Client, funder: SigningKey) -> tuple[list[SigningKey], list[EnclaveNames]]:
    """Bring the vendor's documents, fund operators and publish an image and their machines; return who may attest what."""
    for document in SoftwareTee("any", bytes(32)).documents(int(time.time()) - 120):
        assert (await client.send(funder, (document.message(),))).has_succeeded
    keys = [SigningKey(tagged_hash(b"bench-operator", bytes((index,)))) for index in range(OPERATORS)]
    for start in range(0, OPERATORS, MESSAGES_MAX):
        group = [
            Transfer(to=account_address(key.public_key), amount=FUNDS) for key in keys[start : start + MESSAGES_MAX]
        ]
        assert (await client.send(funder, group)).has_succeeded
    outcome = await client.send(keys[0], (publish_image(),))
    first = (await client.block(outcome.height))["first_cursor"]
    await asyncio.gather(*(client.send(key, (publish_hardware(),)) for key in keys))
    events, cursor = [], first
    while len(events) < OPERATORS + 1:
        page = await client.events(cursor, topics=["published"])
        events, cursor = events + page["events"], page["cursor"]
    resources = {
        event["attributes"]["owner"] + event["attributes"]["kind"]: event["attributes"]["resource"] for event in events
    }
    owners = [format_address(account_address(key.public_key)) for key in keys]
    image = parse_resource(resources[owners[0] + "software"])
    hardware = [parse_resource(resources[owner + "hardware"]) for owner in owners]
    blank = SoftwareTee("any", bytes(32)).names(b"", b"", image)
    names = [
        replace(blank, operator=account_address(key.public_key), hardware=machine)
        for key, machine in zip(keys, hardware, strict=True)
    ]
    return keys, names


async def _prepare(client: Client, keys: list[SigningKey], names: list[EnclaveNames], count: int) -> list[Prepared]:
    """Make machines, quotes and signed envelopes, in turns for all operators."""
    challenge, params = await take_challenge(client), await client.price_params()
    nonces = [await client.next_nonce(format_address(each.operator)) for each in names]
    expires_at_ms = time.time_ns() // 1_000_000 + TTL_MS
    prepared, fee = [], None
    for number in range(count):
        turn = number % OPERATORS
        tee = SoftwareTee(f"bench {number}", tagged_hash(b"bench-enclave", number.to_bytes(4, "big")))
        own = tee.names(names[turn].operator, names[turn].hardware, names[turn].image)
        transaction = build_transaction(
            chain_id=challenge.chain_id,
            keys=(keys[turn],),
            sender=own.operator,
            nonce=nonces[turn] + number // OPERATORS,
            expires_at_ms=expires_at_ms,
            messages=(tee.attest(own, challenge),),
            params=params,
            fee=fee,
        )
        # A few bytes more than the first one has are paid for by everybody.
        fee = fee or transaction.body.fee + 32 * params.fees.per_byte
        prepared.append(Prepared(own.enclave, transaction))
    return prepared


async def _send_at(clients: Sequence[Client], part: Sequence[Prepared], rate: int) -> dict[str, float]:
    """Send at a steady rate, whatever becomes of it; return when each was due."""
    started, due = time.monotonic(), {}
    async with asyncio.TaskGroup() as tasks:
        for number, start in enumerate(range(0, len(part), BATCH)):
            await asyncio.sleep(started + start / rate - time.monotonic())
            batch = part[start : start + BATCH]
            due.update({each.enclave: started + start / rate for each in batch})
            tasks.create_task(_submit(clients[number % len(clients)], batch))
    return due


async def _submit(client: Client, batch: Sequence[Prepared]) -> None:
    for answer in await client.submit_many([each.transaction for each in batch]):
        if isinstance(answer, RpcRejected):
            print(f"refused: {answer}")


async def _send_waiting(clients: Sequence[Client], part: Sequence[Prepared], workers: int) -> dict[str, float]:
    """Send with so many clients that each wait for finality; return when each was sent."""
    left, sent = iter(part), {}

    async def work(client: Client) -> None:
        for each in left:
            sent[each.enclave] = time.monotonic()
            await client.submit(each.transaction, Wait.FINAL)

    async with asyncio.TaskGroup() as tasks:
        for index in range(workers):
            tasks.create_task(work(clients[index % len(clients)]))
    return sent


async def _run(
    net: RunningNetwork, follower: Follower, part: Sequence[Prepared], work: int, title: str, sending
) -> None:
    """Send attestations and print what became of them."""
    meter, own_before, started = Meter(net.nodes), time.process_time(), time.monotonic()
    sent = await sending
    await follower.until(lambda: all(each.enclave in follower.final for each in part))
    own_cores = (time.process_time() - own_before) / (time.monotonic() - started)
    final = {enclave: follower.final[enclave] for enclave in sent}
    ended = max(moment for moment, _height in final.values())
    latencies = sorted((moment - sent[enclave]) * 1000 for enclave, (moment, _height) in final.items())
    blocks = Counter(height for _moment, height in final.values())
    print(
        f"{title}: {len(final) / (ended - started):.0f} final attestations/s ({len(final)} in "
        f"{ended - started:.1f} s), submit to final p50 {at(latencies, 50):.0f} ms, p95 {at(latencies, 95):.0f} ms; "
        f"{len(blocks) / (ended - started):.1f} blocks/s of {median(blocks.values()) * work:.0f} units, at most "
        f"{max(blocks.values()) * work}; {meter.show(len(final))}, clients {own_cores:.2f} cores",
        flush=True,
    )


async def _reappraise(net: RunningNetwork, client: Client, follower: Follower) -> None:
    """Let the vendor say that its machines are behind, and print when the last enclave's level has changed."""
    vendor, count = SimulatedVendor(), len(follower.final)
    body = vendor.tcb_info(replace(tcb_info_template(int(time.time()) - 1), levels=RECOVERY_LEVELS))
    message = PutCollateral(kind=CollateralKind.INTEL_TCB_INFO, body=body, chain=(vendor.tcb_signer, vendor.root))
    follower.changed.clear()
    meter, started = Meter(net.nodes), time.monotonic()
    outcome = await client.send(net.accounts[0].key, (message,))
    assert outcome.has_succeeded, outcome
    await follower.until(lambda: follower.reappraised_count and len(follower.changed) == count)
    ended, height = max(follower.changed.values())
    print(
        f"a document that {count} enclaves rest on: in block {outcome.height}, last change in block {height}, seen "
        f"{ended - started:.2f} s after it was sent: {count / (ended - started):.0f} enclaves/s, "
        f"{(ended - started) * 1000 / (height - outcome.height + 1):.0f} ms per block; {meter.show(count)}"
    )


if __name__ == "__main__":
    main()
