"""Clients that keep a ledger of their own: what a node once called final must stay so, once, on every node.

Each payer spends from an account of its own and gives every payment another amount, so that a lost or doubled one shows in the
balance of the one who is paid.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from contextlib import AsyncExitStack
from random import Random

import msgspec

from bocc.client import Client, Outcome, Wait
from bocc.errors import NodeUnreachable, RpcRejected
from bocc.rpc import Call
from state.address import account_address, format_address
from state.building import build_transaction
from state.crypto import SigningKey, tagged_hash
from state.messages import Transfer
from state.transactions import Transaction
from tests.support.live_network import HASTY, LiveNetwork

FUNDS = 500_000_000
TTL_MS = 600_000
PATIENCE_S = 2.0
"""How long a payer waits before it tries the next node."""
BATCH = 100


class Payment(msgspec.Struct):
    """One transfer of a payer, and what a node said about it."""

    transaction: Transaction
    amount: int
    outcome: Outcome | None = None


class Payer:
    """One account that pays the common payee again and again."""

    def __init__(self, seed: bytes) -> None:
        self.key = SigningKey(seed)
        self.address = account_address(self.key.public_key)
        self.nonce = 0


class Traffic:
    """Payers that send through random nodes, and everything they remember."""

    def __init__(self, net: LiveNetwork, name: str, payer_count: int = 6) -> None:
        self.net = net
        self.payments: list[Payment] = []
        self.refusals: Counter[str] = Counter()
        self.unreachable_count = 0
        self._random = Random(name)
        salt = name.encode() + bytes.fromhex(net.network.record.chain_id)
        self._payers = [Payer(tagged_hash(salt, bytes([index]))) for index in range(payer_count)]
        self.payee = account_address(SigningKey(tagged_hash(salt, b"payee")).public_key)

    @property
    def acknowledged(self) -> list[Payment]:
        """Payments that a node called final."""
        return [payment for payment in self.payments if payment.outcome is not None and payment.outcome.is_final]

    async def prepare(self, name: str = "node0") -> None:
        """Give the payers money."""
        funder = self.net.accounts[2].key
        async with self.net.client(name) as client:
            self._chain_id, self._params = await client.chain_id(), await client.price_params()
            for start in range(0, len(self._payers), 16):
                group = [Transfer(to=payer.address, amount=FUNDS) for payer in self._payers[start : start + 16]]
                outcome = await client.send(funder, group)
                assert outcome.has_succeeded, outcome

    async def run(self, stop: asyncio.Event) -> None:
        """Pay until told to stop."""
        async with AsyncExitStack() as stack:
            clients = [await stack.enter_async_context(self.net.client(name, HASTY)) for name in self.net.names]
            async with asyncio.TaskGroup() as tasks:
                for payer in self._payers:
                    tasks.create_task(self._pay_on(payer, clients, stop))

    async def _pay_on(self, payer: Payer, clients: list[Client], stop: asyncio.Event) -> None:
        while not stop.is_set():
            payment = self._build(payer)
            self.payments.append(payment)
            for _ in range(3):
                await self._try(payment, self._random.choice(clients))
                if stop.is_set() or (payment.outcome is not None and payment.outcome.is_final):
                    break

    def _build(self, payer: Payer) -> Payment:
        amount = len(self.payments) + 1
        transaction = build_transaction(
            chain_id=self._chain_id,
            keys=(payer.key,),
            sender=payer.address,
            nonce=payer.nonce,
            expires_at_ms=time.time_ns() // 1_000_000 + TTL_MS,
            messages=(Transfer(to=self.payee, amount=amount),),
            params=self._params,
        )
        payer.nonce += 1
        return Payment(transaction, amount)

    async def _try(self, payment: Payment, client: Client, patience_s: float = PATIENCE_S) -> None:
        """Send a payment to one node, and remember what it says."""
        try:
            async with asyncio.timeout(patience_s + 1):
                outcome = await client.submit(payment.transaction, Wait.FINAL, patience_s)
        except (NodeUnreachable, TimeoutError):
            self.unreachable_count += 1
            await asyncio.sleep(0.02)
        except RpcRejected as rejected:
            self.refusals[rejected.reason] += 1
            await asyncio.sleep(0.05)
        else:
            payment.outcome = outcome

    async def settle(self) -> None:
        """Bring every payment of unknown fate to its end, through nodes that are well again."""
        unknown = [payment for payment in self.payments if payment.outcome is None or not payment.outcome.is_final]
        async with self.net.client(self.net.names[-1]) as client:
            await asyncio.gather(*(self._try(payment, client, 20.0) for payment in unknown))
        lost = [payment for payment in self.payments if payment.outcome is None or not payment.outcome.is_final]
        assert lost == [], (len(lost), self.refusals)

    async def check(self) -> None:
        """Check on every node that each payment stands where it was acknowledged, and that the money adds up."""
        for name in self.net.names:
            async with self.net.client(name) as client:
                await self._check_positions(name, client)
                await self._check_money(name, client)

    async def _check_positions(self, name: str, client: Client) -> None:
        for start in range(0, len(self.payments), BATCH):
            group = self.payments[start : start + BATCH]
            calls = [Call("tx", {"tx_id": payment.transaction.tx_id.hex()}) for payment in group]
            for payment, found in zip(group, await client.rpc.batch(calls), strict=True):
                assert not isinstance(found, RpcRejected), (name, payment, found)
                seen = (found["height"], found["index"], found["receipt"]["status"])
                assert payment.outcome is not None
                assert seen == (payment.outcome.height, payment.outcome.index, "ok"), (name, payment)
        positions = Counter((payment.outcome.height, payment.outcome.index) for payment in self.payments)
        assert max(positions.values(), default=1) == 1

    async def _check_money(self, name: str, client: Client) -> None:
        assert await client.balance(format_address(self.payee)) == sum(one.amount for one in self.payments), name
        for payer in self._payers:
            own = [one for one in self.payments if one.transaction.body.sender == payer.address]
            spent = sum(payment.amount + payment.transaction.body.fee for payment in own)
            assert await client.balance(format_address(payer.address)) == FUNDS - spent, name


class BackgroundTraffic:
    """Traffic while a test does something else: `async with BackgroundTraffic(net, name) as traffic`."""

    def __init__(self, net: LiveNetwork, name: str, payer_count: int = 6) -> None:
        self._traffic = Traffic(net, name, payer_count)
        self._stop = asyncio.Event()

    async def __aenter__(self) -> Traffic:
        await self._traffic.prepare()
        self._task = asyncio.create_task(self._traffic.run(self._stop))
        return self._traffic

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._stop.set()
        await self._task
        if kind is None:
            await asyncio.to_thread(self._traffic.net.converge)
            await self._traffic.settle()
            await asyncio.to_thread(self._traffic.net.converge)
            await self._traffic.check()


async def heights_gained(net: LiveNetwork, name: str, seconds: float) -> int:
    """Return how many blocks a node makes final in a time."""
    before = await asyncio.to_thread(net.height, name)
    await asyncio.sleep(seconds)
    return await asyncio.to_thread(net.height, name) - before
