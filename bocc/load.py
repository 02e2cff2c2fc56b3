"""A load generator: transfers at a steady rate from many accounts over all nodes, signed while they are needed.

`python -m bocc.load --home HOME --rate N` serves `bocc testnet up --load N`; benchmarks use `LoadGenerator`. The accounts are
derived from the chain id, so they are funded once per chain, and money only moves in a circle between them. Requests carry 100
transactions each.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import click
import msgspec

from bocc.client import Client, Wait
from bocc.errors import NodeUnreachable, RpcRejected
from bocc.testnet.record import load_record
from state.address import account_address, format_address
from state.building import build_transaction
from state.crypto import SigningKey, tag, tagged_hash
from state.keyfile import load_key
from state.messages import Transfer
from state.transactions import MESSAGES_MAX, Body, sign_transaction

ACCOUNTS: Final = 240
BATCH: Final = 100
FUNDS: Final = 2_000_000_000
"""ubocc per account: about half a million fees."""
REFILL_BELOW: Final = FUNDS // 2
TTL_MS: Final = 60_000
IN_FLIGHT_MAX: Final = 8
"""Batches without an answer; a node that cannot follow slows the generator down instead of piling up requests."""
BACKLOG_S: Final = 0.5
"""Transfers that could not be sent in time are given up beyond this much, so that a stall is not followed by a flood."""
REPORT_S: Final = 5.0
_TAG: Final = tag("load-account")
_WIDEST: Final = (1 << 63) - 1


@dataclass(slots=True)
class Spender:
    """One account of the generator and its next nonce."""

    key: SigningKey
    address: bytes
    next_nonce: int = 0


@dataclass(slots=True)
class LoadCount:
    """What was sent so far."""

    taken: int = 0
    """Transactions that a node took in."""
    refused: int = 0
    given_up: int = 0
    """Not sent, because the nodes did not keep up."""


class _BatchItem(msgspec.Struct, frozen=True):
    error: dict[str, Any] | None = None  # free JSON of the node


_items_decoder = msgspec.json.Decoder(list[_BatchItem])


def spenders_of(chain_id: bytes, count: int = ACCOUNTS) -> list[Spender]:
    """Return the accounts of the generator on a chain."""
    keys = [SigningKey(tagged_hash(_TAG, chain_id + index.to_bytes(4, "big"))) for index in range(count)]
    return [Spender(key, account_address(key.public_key)) for key in keys]


class LoadGenerator:
    """Sends transfers between its accounts over several clients; build it with `prepare`."""

    def __init__(self, clients: Sequence[Client], chain_id: bytes, fee: int, spenders: list[Spender]) -> None:
        self.count = LoadCount()
        self.reasons: Counter[str] = Counter()
        self._clients = clients
        self._chain_id = chain_id
        self._fee = fee
        self._spenders = spenders
        self._turn = 0

    @classmethod
    async def prepare(cls, clients: Sequence[Client], funder: SigningKey, count: int = ACCOUNTS) -> LoadGenerator:
        """Fund the accounts where needed, and read their nonces and the fee.

        Raises:
            RpcRejected: the funder cannot pay, or the node refuses otherwise.
            NodeUnreachable: the first node does not answer.
        """
        first = clients[0]
        chain_id = await first.chain_id()
        spenders = spenders_of(chain_id, count)
        poor = [one for one in spenders if await first.balance(format_address(one.address)) < REFILL_BELOW]
        for start in range(0, len(poor), MESSAGES_MAX):
            group = poor[start : start + MESSAGES_MAX]
            await first.send(funder, [Transfer(to=one.address, amount=FUNDS) for one in group], wait=Wait.FINAL)
        for spender in spenders:
            spender.next_nonce = await first.next_nonce(format_address(spender.address))
        widest = build_transaction(
            chain_id=chain_id,
            keys=(spenders[0].key,),
            sender=spenders[0].address,
            nonce=_WIDEST,
            expires_at_ms=_WIDEST,
            messages=(Transfer(to=spenders[0].address, amount=1),),
            params=await first.price_params(),
        )
        return cls(clients, chain_id, widest.body.fee, spenders)

    def next_body(self, size: int = BATCH) -> bytes:
        """Return the request body of the next transfers, each from another account to the one after it."""
        expires_at_ms = time.time_ns() // 1_000_000 + TTL_MS
        calls = []
        for call_id in range(size):
            spender = self._spenders[self._turn]
            self._turn = (self._turn + 1) % len(self._spenders)
            body = Body(
                sender=spender.address,
                nonce=spender.next_nonce,
                expires_at_ms=expires_at_ms,
                fee=self._fee,
                messages=(Transfer(to=self._spenders[self._turn].address, amount=1),),
                memo=b"",
            )
            spender.next_nonce += 1
            encoded = sign_transaction(self._chain_id, body, (spender.key,)).encoded
            calls.append(
                b'{"jsonrpc":"2.0","id":%d,"method":"tx_submit","params":{"tx":"%b","wait":"none"}}'
                % (call_id, encoded.hex().encode())
            )
        return b"[" + b",".join(calls) + b"]"

    async def run(
        self,
        transfers_per_second: int,
        duration_s: float | None = None,
        report: Callable[[LoadCount], None] = lambda _: None,
    ) -> LoadCount:
        """Send at a steady rate for a time, or until cancelled; nodes that do not answer are left out for a moment."""
        started_at = reported_at = time.monotonic()
        free = asyncio.Semaphore(IN_FLIGHT_MAX)
        sent = batch_index = 0
        pause_s = BATCH / transfers_per_second if transfers_per_second < BATCH * 100 else 0.01
        async with asyncio.TaskGroup() as tasks:
            while duration_s is None or time.monotonic() - started_at < duration_s:
                due = int((time.monotonic() - started_at) * transfers_per_second) - sent - self.count.given_up
                excess = due - max(BATCH, int(BACKLOG_S * transfers_per_second))
                if excess > 0:
                    self.count.given_up += excess
                    due -= excess
                while due >= min(BATCH, transfers_per_second):
                    size = min(BATCH, due)
                    await free.acquire()
                    client = self._clients[batch_index % len(self._clients)]
                    tasks.create_task(self._send(client, self.next_body(size), size, free))
                    batch_index += 1
                    sent += size
                    due -= size
                if time.monotonic() - reported_at >= REPORT_S:
                    reported_at = time.monotonic()
                    report(self.count)
                await asyncio.sleep(min(pause_s, 0.1))
        return self.count

    async def _send(self, client: Client, body: bytes, size: int, free: asyncio.Semaphore) -> None:
        try:
            content = await client.rpc.post(body)
        except NodeUnreachable:
            self.count.refused += size
            self.reasons["unreachable"] += size
            return
        finally:
            free.release()
        try:
            items = _items_decoder.decode(content)
        except msgspec.MsgspecError:
            self.count.refused += size
            self.reasons["batch_refused"] += size
            return
        for item in items:
            if item.error is None:
                self.count.taken += 1
            else:
                self.count.refused += 1
                data = item.error.get("data") or {}
                self.reasons[str(data.get("reason", item.error.get("message")))] += 1


async def _run(home: Path, transfers_per_second: int) -> None:
    record = load_record(home)
    funder = load_key(Path(record.accounts[-1].secret_key_file)).signing_key()
    clients = [Client(node.rpc, node.ws) for node in record.nodes]
    try:
        generator = await LoadGenerator.prepare(clients, funder)
        await generator.run(transfers_per_second, report=lambda count: _report(count, generator.reasons))
    finally:
        for client in clients:
            await client.close()


def _report(count: LoadCount, reasons: Counter[str]) -> None:
    sys.stdout.write(f"taken {count.taken} refused {count.refused} {dict(reasons)} given up {count.given_up}\n")
    sys.stdout.flush()


@click.command()
@click.option("--home", type=click.Path(path_type=Path), required=True)
@click.option("--rate", type=click.IntRange(1), required=True, help="Transfers per second.")
def main(home: Path, rate: int) -> None:
    """Send transfers on the local network of a home until stopped."""
    try:
        asyncio.run(_run(home, rate))
    except (RpcRejected, NodeUnreachable) as error:
        raise click.ClickException(str(error)) from error


if __name__ == "__main__":
    main()
