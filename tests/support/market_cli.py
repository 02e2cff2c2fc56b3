"""A node of a `Market` behind a socket: the API's handlers answer reads from its ledger, a submitted transaction is a block."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click
import msgspec
import pytest
from click.testing import CliRunner, Result

from bocc.wallet import Keyring, development_seed
from node.api.describe_chain import describe_auth
from node.api.errors import RpcError
from node.api.methods import METHODS
from node.api.registry import Method, convert_params
from state.address import AddressRejected, parse_address
from state.block import BlockReference
from state.keyfile import KeyKind
from state.receipts import Receipt, ReceiptStatus
from state.records import AUTHS
from state.transactions import Transaction, parse_transaction
from tests.support.fake_node import FakeNode, Refusal
from tests.support.ordering import Market

NAMES = ("provider", "customer", "other", "owner", "stranger")
"""Of the keys of the market's accounts."""
READS = frozenset(
    {
        *("enclave", "enclaves", "endorsements", "explain", "market", "order", "orders", "params"),
        *("provider", "resource", "resources", "usage", "who_can_use"),
    }
)
Run = Callable[..., Result]


@cache
def _first_market() -> Market:
    return Market()


def fresh_market() -> Market:
    """Return a market of its own, twenty times as fast as making one."""
    return copy.deepcopy(_first_market())


class PlayedMarket:
    """Answers what the commands of the market ask."""

    def __init__(self, market: Market, node: FakeNode) -> None:
        self.market, self.node = market, node
        self.taken: list[Transaction] = []
        self.receipts: list[Receipt] = []
        node.methods |= {method.name: self._reader(method) for method in METHODS if method.name in READS}
        node.methods["status"] = lambda: {"chain_id": market.chain_id.hex(), "height": market.height}
        node.methods["account"] = self._account
        node.methods["tx_submit"] = self.submit

    def _reader(self, method: Method) -> Callable[..., Any]:
        def read(**params: Any) -> Any:
            try:
                return msgspec.to_builtins(method.handler(self._call(), convert_params(method, params)))
            except RpcError as error:
                raise Refusal(int(error.code), str(error.reason), seen=str(error.seen)) from error
            except AddressRejected as error:
                raise Refusal(-32602, str(error.reason)) from error

        return read

    def _account(self, address: str) -> dict[str, Any]:
        account = parse_address(address)
        auth = self.market.ledger.find(AUTHS, account)
        shown = None if auth is None else msgspec.to_builtins(describe_auth(auth))
        return {"next_nonce": self.market.account(account).next_nonce, "auth": shown}

    def _call(self) -> Any:
        market = self.market
        tip = BlockReference(
            block_hash=market.parent_hash, height=market.height, time_ms=market.time_ms, result=bytes(32)
        )
        chain = SimpleNamespace(
            ledger=market.ledger,
            chain_id=market.chain_id,
            params=lambda: market.params,
            tip=SimpleNamespace(block=tip),
            state=SimpleNamespace(find=market.ledger.find, get=market.ledger.get, height=market.height),
            find_at=lambda table, key, _height: market.ledger.find(table, key),
        )
        return SimpleNamespace(node=SimpleNamespace(chain=chain, now_ms=lambda: market.time_ms), proofs=None)

    def submit(self, tx: str, wait: str = "final", timeout_ms: int = 0) -> dict[str, Any]:
        """Make a transaction a block of its own."""
        del wait, timeout_ms
        transaction = parse_transaction(bytes.fromhex(tx), self.market.chain_id)
        assert transaction.has_valid_signatures()
        self.taken.append(transaction)
        receipt = self.market.apply(transaction).receipts[0]
        self.receipts.append(receipt)
        status = "ok" if receipt.status is ReceiptStatus.OK else "failed"
        return {
            "tx_id": transaction.tx_id.hex(),
            "status": "final",
            "height": self.market.height,
            "index": 0,
            "receipt": {"status": status, "fee": str(receipt.fee), "reason": receipt.reason or None},
        }

    def sent(self) -> Any:
        """Return the message of the last transaction, which took effect."""
        assert self.receipts[-1].reason == "", self.receipts[-1]
        (message,) = self.taken[-1].body.messages
        return message

    def calls_of(self, method: str) -> list[dict[str, Any]]:
        """Return the parameters of all calls of a method."""
        return [params for name, params in self.node.calls if name == method]


def played(node: FakeNode, market: Market, monkeypatch: pytest.MonkeyPatch) -> PlayedMarket:
    """Let a node answer for a market, whose time is the clock of the commands."""
    node.methods.clear()
    node.calls.clear()
    monkeypatch.setattr(time, "time_ns", lambda: market.time_ms * 1_000_000)
    return PlayedMarket(market, node)


def runner(command: click.Command, node: FakeNode, home: Path) -> Run:
    """Return what runs a command with the keys of the market's accounts."""
    ring = Keyring(home)
    for index, name in enumerate(NAMES):
        ring.add(name, development_seed(KeyKind.ACCOUNT, index), KeyKind.ACCOUNT, None)

    def invoke(*arguments: object) -> Result:
        texts = [*(str(argument) for argument in arguments), "--home", str(home), "--node", node.url]
        return CliRunner().invoke(command, texts, standalone_mode=False)

    return invoke
