"""Users of a simulated network: they send transactions to some node, and again to another one if nothing comes of it."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

from state.address import account_address
from state.building import build_transaction
from state.crypto import SigningKey
from state.development_genesis import BOCC, DEVELOPMENT_PARAMS
from state.messages import Message, Transfer
from state.transactions import Transaction
from tests.simulation.profiles import Work
from tests.support.chain_builders import GENESIS_TIME_MS, account, account_key

if TYPE_CHECKING:
    from tests.simulation.host import Host
    from tests.simulation.world import World

ACCOUNTS = 6
"""Accounts that send transfers; the other funded ones delegate."""
INTERVAL_MS = 60
RESEND_MS = 3_000
PENDING_MAX = 40
BURST = 80
"""Transactions at once, now and then: more than a driver executes in one slice."""
EXPIRY_MS = 1_800_000
FEE_MIN = 10_000
HARMLESS = frozenset({"duplicate", "already_final", "nonce_used"})
"""Refusals of a transaction that was sent before."""


class Workload:
    """Sends transactions and knows which became final."""

    def __init__(self, world: World, chance: Random) -> None:
        """Begin with nothing sent."""
        self._world = world
        self.chance = chance
        self.is_sending = True
        self.expected: dict[bytes, Transaction] = {}
        """Everything that may stand in a block, by envelope hash."""
        self.pending: dict[bytes, Transaction] = {}
        """By tx_id, what was sent and is not final yet."""
        self.refused: dict[str, int] = {}
        self._nonces = [0] * ACCOUNTS

    def start(self) -> None:
        """Begin to send."""
        if self._world.profile.work is not Work.IDLE:
            self._world.schedule(INTERVAL_MS, self._send_some)

    def expect(self, transaction: Transaction) -> None:
        """Allow a transaction in blocks."""
        self.expected[transaction.envelope_hash] = transaction

    def _send_some(self) -> None:
        world, chance = self._world, self.chance
        if self.is_sending and len(self.pending) < PENDING_MAX:
            count = BURST if chance.random() < 0.005 else int(chance.random() * 3)
            for _ in range(count):
                self.send_transfer()
        world.schedule(INTERVAL_MS + int(chance.random() * INTERVAL_MS), self._send_some)

    def send_transfer(self, to: Host | None = None) -> Transaction:
        """Send a transfer to a node, some one if it is not named."""
        chance = self.chance
        index = chance.randrange(ACCOUNTS)
        message = Transfer(to=account(chance.randrange(ACCOUNTS + 5)), amount=1 + chance.randrange(BOCC))
        if chance.random() < 0.02:
            self._nonces[index] += chance.randrange(3)
        transaction = self.build(account_key(index), self._nonces[index], message)
        self._nonces[index] += 1
        self.send(transaction, to)
        return transaction

    def build(self, key: SigningKey, nonce: int, *messages: Message) -> Transaction:
        """Return a signed transaction."""
        return build_transaction(
            chain_id=self._world.genesis.chain_id,
            keys=(key,),
            sender=account_address(key.public_key),
            nonce=nonce,
            expires_at_ms=GENESIS_TIME_MS + self._world.time_ms + EXPIRY_MS,
            messages=messages,
            params=DEVELOPMENT_PARAMS,
            fee=FEE_MIN + self.chance.randrange(FEE_MIN),
        )

    def send(self, transaction: Transaction, to: Host | None = None) -> None:
        """Send a transaction now, and again until it is final."""
        self.expect(transaction)
        self.pending[transaction.tx_id] = transaction
        self._deliver(transaction, to)
        self._world.schedule(RESEND_MS, self._send_again, transaction)

    def _deliver(self, transaction: Transaction, to: Host | None) -> None:
        if to is None:
            hosts = self._world.up
            if not hosts:
                return
            to = hosts[self.chance.randrange(len(hosts))]
        refusal = to.submit(transaction)
        if refusal is not None:
            reason = str(refusal.reason)
            self.refused[reason] = self.refused.get(reason, 0) + 1

    def _send_again(self, transaction: Transaction) -> None:
        if transaction.tx_id in self.pending:
            self._deliver(transaction, None)
            self._world.schedule(RESEND_MS, self._send_again, transaction)

    def on_final(self, transaction: Transaction) -> None:
        """Learn that a transaction is final somewhere."""
        self.pending.pop(transaction.tx_id, None)
