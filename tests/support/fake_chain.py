"""A chain that takes every transaction once and knows it afterwards, played by a `FakeNode`."""

from __future__ import annotations

from typing import Any

from state.development_genesis import DEVELOPMENT_PARAMS
from state.transactions import Transaction, parse_transaction
from tests.support.fake_node import FakeNode, Refusal

CHAIN_ID = bytes(range(32))


def named(wire: Any) -> Any:
    """Return a wire value with its structs as objects by name."""
    if hasattr(wire, "__struct_fields__"):
        return {name: named(getattr(wire, name)) for name in wire.__struct_fields__}
    return [named(item) for item in wire] if isinstance(wire, tuple) else wire


class FakeChain:
    """Answers the methods that sending needs."""

    def __init__(self, node: FakeNode) -> None:
        self.taken: dict[str, Transaction] = {}
        self.next_nonce = 5
        self.status = "final"
        self.receipt = {"status": "ok", "fee": "3310", "reason": None}
        node.methods |= {
            "status": lambda: {"chain_id": CHAIN_ID.hex(), "height": 7},
            "params": lambda: named(DEVELOPMENT_PARAMS),
            "account": lambda address: {"address": address, "balance": "12", "next_nonce": self.next_nonce},
            "tx_submit": self.submit,
            "tx_wait": self.wait,
        }

    def submit(self, tx: str, wait: str, timeout_ms: int = 0) -> dict[str, Any]:
        transaction = parse_transaction(bytes.fromhex(tx), CHAIN_ID)
        assert transaction.has_valid_signatures()
        if transaction.tx_id.hex() in self.taken:
            raise Refusal(1002, "duplicate")
        self.taken[transaction.tx_id.hex()] = transaction
        return self.outcome(transaction.tx_id.hex())

    def wait(self, tx_id: str, level: str, timeout_ms: int) -> dict[str, Any]:
        return self.outcome(tx_id)

    def outcome(self, tx_id: str) -> dict[str, Any]:
        is_final = self.status == "final" and tx_id in self.taken
        return {
            "tx_id": tx_id,
            "status": self.status if tx_id in self.taken else "unknown",
            "height": 7 if is_final else None,
            "index": 0 if is_final else None,
            "receipt": self.receipt if is_final else None,
            "provisional": False,
        }
