"""A client whose node is a market in memory (tests/support/ordering.py): each transaction is a block of its own, at once."""

from __future__ import annotations

from typing import Any

from bocc.client import Outcome
from bocc.errors import RpcRejected
from node.api.describe import describe_attributes
from state.crypto import SigningKey
from state.messages import Message
from state.transactions import Transaction
from tests.support.attesting import FEE
from tests.support.ordering import Market


class MarketNode:
    """Answers what a provider asks of `Client`. Time stands still but for transactions, a second each."""

    def __init__(self, market: Market) -> None:
        self.market = market
        self.sent: list[Message] = []
        self.refusing: set[type] = set()
        """Kinds of messages that a dry run finds fault with."""
        self.is_deaf = False
        """Whether the node refuses all transactions."""
        self.is_cut_off = False
        """Whether nothing that the node takes becomes final."""
        self._blocks: dict[int, tuple[Transaction, list[dict[str, Any]]]] = {}

    def apply(self, signer: SigningKey, *messages: Message) -> str:
        """Make a block of one transaction and return why it failed, or nothing."""
        transaction = self.market.sign(signer, *messages, fee=FEE)
        executed = self.market.apply(transaction, interval_ms=1_000)
        events = [
            {
                "height": self.market.height,
                "tx_index": 0,
                "kind": event.kind.value,
                "attributes": describe_attributes(event.attributes),
            }
            for event in executed.events
        ]
        self._blocks[self.market.height] = transaction, events
        return executed.receipts[0].reason

    async def records(self, keys: list[str]) -> list[bytes | None]:
        return [self.market.state.get(bytes.fromhex(key)) for key in keys]

    async def chain_id(self) -> bytes:
        return self.market.chain_id

    async def block(self, height: int | None = None) -> dict[str, Any]:
        height = self.market.height if height is None else height
        transaction, _ = self._blocks.get(height, (None, []))
        return {
            "height": height,
            "hash": self.market.hashes[height].hex(),
            "first_cursor": str(height - 1),
            "tx_ids": [] if transaction is None else [transaction.tx_id.hex()],
        }

    async def events(self, after: str, _limit: int, topics: list[str]) -> dict[str, Any]:
        """Return the events of the first block after a height; a height is its own cursor."""
        height = int(after) + 1
        _, events = self._blocks.get(height, (None, []))
        found = [event for event in events if event["kind"] in topics]
        return {"events": found, "cursor": str(height), "has_more": height < self.market.height}

    async def tx(self, tx_id: str) -> dict[str, Any]:
        (found,) = [one for one, _ in self._blocks.values() if one.tx_id.hex() == tx_id]
        return {"envelope": found.encoded.hex()}

    async def build(self, _key: SigningKey, messages: tuple[Message, ...]) -> tuple[Message, ...]:
        return messages

    async def explain(self, messages: tuple[Message, ...]) -> dict[str, Any]:
        is_good = not any(type(message) in self.refusing for message in messages)
        return {"checks": [{"ok": is_good, "reason": None if is_good else "played"}]}

    async def send(self, key: SigningKey, messages: tuple[Message, ...], *, timeout_s: float) -> Outcome:
        assert timeout_s > 0
        if self.is_deaf:
            raise RpcRejected(1003, "played", {"reason": "mempool_full"})
        self.sent += messages
        if self.is_cut_off:
            return Outcome(tx_id="", status="pending")
        reason = self.apply(key, *messages)
        receipt = {"status": "failed" if reason else "ok", "reason": reason or None}
        return Outcome(tx_id="", status="final", height=self.market.height, index=0, receipt=receipt)
