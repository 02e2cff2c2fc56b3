"""The asynchronous client of a node: every JSON-RPC method, and transactions from keys to finality.

    async with Client("http://127.0.0.1:26657") as client:
        outcome = await client.transfer(key, "bocc1...", 5_000_000)

Results are the JSON of the node (`/openrpc.json` describes it): amounts are decimal strings of ubocc, bytes lower-case hex,
addresses bech32m. Sending is safe to repeat: a transaction keeps its id, and a lost answer is asked for again. Needs no package of
a node.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Sequence
from enum import StrEnum
from random import Random
from types import TracebackType
from typing import Any, Final, Self

import msgspec

from bocc.errors import RpcRejected
from bocc.events import poll_events, stream_events
from bocc.market_reads import MarketReads
from bocc.nonces import NonceSource
from bocc.pricing import parse_params
from bocc.rpc import DEFAULT_RETRY, Call, RetryPolicy, RpcConnection
from state.address import account_address, format_address, parse_address
from state.building import build_transaction
from state.crypto import SigningKey
from state.messages import Message, Transfer
from state.params import Params
from state.runtime.reasons import TransactionReason
from state.transactions import Transaction

TTL_MS: Final = 60_000
"""How long a transaction may wait for its block by default; a lost one is out of the way after a minute."""
SUBMIT_TIMEOUT_S: Final = 30.0
CALL_WAIT_S: Final = 25.0
"""Longest wait within one call; a longer one is continued by further calls, below what servers and proxies allow."""
NONCE_ATTEMPTS: Final = 5
"""Signing anew after another client of the same account took our nonce."""
_KNOWN_REASONS: Final = frozenset({"duplicate", "already_final"})
"""The node has this very transaction: an earlier attempt of ours reached it."""
_NONCE_REASONS: Final = frozenset({"nonce_used", "nonce_too_high", "replacement_fee_too_low"})


class Wait(StrEnum):
    """How far a transaction must come before the answer."""

    NONE = "none"
    CHECKED = "checked"
    """Admitted by the node."""
    NOTARIZED = "notarized"
    """In a block with a quorum of votes: provisional."""
    FINAL = "final"
    """In a block that no longer can be replaced."""


_REACHED: Final = {
    Wait.NONE: frozenset({"received", "pending", "notarized", "final"}),
    Wait.CHECKED: frozenset({"pending", "notarized", "final"}),
    Wait.NOTARIZED: frozenset({"notarized", "final"}),
    Wait.FINAL: frozenset({"final"}),
}
"""States of a transaction that satisfy each level of waiting."""


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a transaction so far."""

    tx_id: str
    status: str
    height: int | None = None
    index: int | None = None
    receipt: dict[str, Any] | None = None  # free JSON of the node
    provisional: bool = False
    """Whether another branch may still win, with another outcome."""

    def has_reached(self, level: Wait) -> bool:
        """Tell whether the transaction has come at least this far."""
        return self.status in _REACHED[level]

    @property
    def is_final(self) -> bool:
        """Whether it stands in a final block; it may still have failed there."""
        return self.status == "final"

    @property
    def has_succeeded(self) -> bool:
        """Whether it stands in a final block and took effect."""
        return self.is_final and self.receipt is not None and self.receipt.get("status") == "ok"


class Client:
    """One node as seen by one user. Create it inside a running event loop, close it or use `async with`."""

    def __init__(self, url: str, ws: str | None = None, retry: RetryPolicy = DEFAULT_RETRY) -> None:
        """Prepare calls to a JSON-RPC URL; the WebSocket is at /ws of the same host unless given."""
        self.rpc = RpcConnection(url, retry)
        self.ws = ws or "ws" + url.rstrip("/").removeprefix("http") + "/ws"
        self.market = MarketReads(self.call)
        self._nonces = NonceSource(self.next_nonce, Random())
        self._chain_id: bytes | None = None
        self._params: Params | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections."""
        await self.rpc.close()

    async def call(self, method: str, **params: object) -> Any:
        """Call any method by name; parameters that are None are left out.

        Raises:
            RpcRejected: the node refuses the call.
            NodeUnreachable: no answer after all attempts.
            AnswerMalformed: the URL does not speak our JSON-RPC.
        """
        return await self.rpc.call(method, {name: given for name, given in params.items() if given is not None})

    async def status(self) -> dict[str, Any]:
        """Return chain, height, view, peers and whether the node is syncing."""
        return await self._object("status")

    async def params(self) -> dict[str, Any]:
        """Return the parameters in force: fees, limits, delays."""
        return await self._object("params")

    async def genesis(self) -> dict[str, Any]:
        """Return the genesis document."""
        return await self._object("genesis")

    async def validators(self, height: int | None = None) -> dict[str, Any]:
        """Return the validator set, now or at a height."""
        return await self._object("validators", height=height)

    async def block(self, height: int | None = None, block_hash: str | None = None) -> dict[str, Any]:
        """Return a block by height or hash, the newest without either."""
        return await self._object("block", height=height, hash=block_hash)

    async def blocks(self, limit: int | None = None, cursor: str | None = None) -> dict[str, Any]:
        """Return recent blocks, newest first, and the cursor of the next page."""
        return await self._object("blocks", limit=limit, cursor=cursor)

    async def tx(self, tx_id: str, *, prove: bool = False) -> dict[str, Any]:
        """Return a transaction of a final block, with a proof on request."""
        return await self._object("tx", tx_id=tx_id, prove=prove or None)

    async def account(self, address: str, height: int | None = None, *, prove: bool = False) -> dict[str, Any]:
        """Return balance, nonces and keys of an account, with a proof on request."""
        return await self._object("account", address=address, height=height, prove=prove or None)

    async def state_proof(self, key: str, height: int | None = None) -> dict[str, Any]:
        """Return the record under a raw state key (hex), or its absence, with its proof."""
        return await self._object("state_proof", key=key, height=height)

    async def records(self, keys: Sequence[str]) -> list[bytes | None]:
        """Return the canonical bytes of the newest records under raw state keys (hex), None for each that there is not."""
        answer = await self._object("records", keys=list(keys))
        return [None if encoded is None else bytes.fromhex(encoded) for encoded in answer["values"]]

    async def mempool(self) -> dict[str, Any]:
        """Return what waits for a block."""
        return await self._object("mempool")

    async def net_info(self) -> dict[str, Any]:
        """Return the peers of the node."""
        return await self._object("net_info")

    async def consensus_state(self) -> dict[str, Any]:
        """Return the progress of the current view."""
        return await self._object("consensus_state")

    async def explain(self, transaction: Transaction) -> Any:
        """Return every check of a transaction with the value seen, the bound and the remedy, without submitting it."""
        return await self.call("explain", tx=transaction.encoded.hex())

    async def faucet(self, address: str, amount: int) -> dict[str, Any]:
        """Ask a development chain for money, in ubocc."""
        return await self._object("faucet", address=address, amount=str(amount))

    async def discover(self) -> dict[str, Any]:
        """Return the OpenRPC document of the node."""
        return await self._object("rpc.discover")

    async def balance(self, address: str) -> int:
        """Return the ubocc of an account; 0 if it does not exist yet."""
        return int((await self.account(address))["balance"])

    async def next_nonce(self, address: str) -> int:
        """Return the number above the highest nonce that an account has used."""
        return int((await self.account(address))["next_nonce"])

    async def chain_id(self) -> bytes:
        """Return the 32 bytes that every signature covers, asked for once."""
        if self._chain_id is None:
            self._chain_id = bytes.fromhex((await self.status())["chain_id"])
        return self._chain_id

    async def price_params(self) -> Params:
        """Return the parameters by which fees are computed, asked for once and when a transaction had to be signed again."""
        if self._params is None:
            self._params = parse_params(await self.params())
        return self._params

    async def build(
        self,
        key: SigningKey,
        messages: Sequence[Message],
        *,
        sender: str | None = None,
        cosigners: Sequence[SigningKey] = (),
        fee: int | None = None,
        memo: bytes = b"",
        ttl_ms: int = TTL_MS,
    ) -> Transaction:
        """Return a signed transaction with a fresh nonce; the fee is the smallest that the chain takes unless given.

        The sender is the account of the key unless named; cosigners add their signatures.
        """
        address = sender or format_address(account_address(key.public_key))
        return build_transaction(
            chain_id=await self.chain_id(),
            keys=(key, *cosigners),
            sender=parse_address(address),
            nonce=await self._nonces.take(address),
            expires_at_ms=time.time_ns() // 1_000_000 + ttl_ms,
            messages=tuple(messages),
            params=await self.price_params(),
            fee=fee,
            memo=memo,
        )

    async def least_fee(
        self, key: SigningKey, messages: Sequence[Message], *, cosigners: Sequence[SigningKey] = (), memo: bytes = b""
    ) -> int:
        """Return about the smallest fee in ubocc that the chain takes; the nonce and the fee itself may add a few bytes."""
        transaction = build_transaction(
            chain_id=await self.chain_id(),
            keys=(key, *cosigners),
            sender=account_address(key.public_key),
            nonce=0,
            expires_at_ms=time.time_ns() // 1_000_000 + TTL_MS,
            messages=tuple(messages),
            params=await self.price_params(),
            memo=memo,
        )
        return transaction.body.fee

    async def submit(
        self, transaction: Transaction, wait: Wait = Wait.FINAL, timeout_s: float = SUBMIT_TIMEOUT_S
    ) -> Outcome:
        """Hand in a signed transaction and wait; too little time gives an outcome with the level reached, not an error.

        Raises:
            RpcRejected: the node refuses the transaction.
            NodeUnreachable: no answer after all attempts. The transaction may still become final: ask by its id.
        """
        deadline = time.monotonic() + timeout_s
        params: dict[str, object] = {"tx": transaction.encoded.hex(), "wait": str(wait)}
        tx_id = transaction.tx_id.hex()
        try:
            outcome = await self._wait_call("tx_submit", params, min(timeout_s, CALL_WAIT_S))
        except RpcRejected as error:
            # An earlier attempt of ours, whose answer was lost, may have brought it there.
            is_known = error.reason in _KNOWN_REASONS or (
                error.reason in _NONCE_REASONS and await self._is_known(tx_id)
            )
            if not is_known:
                raise
            outcome = Outcome(tx_id=tx_id, status="pending")
        if outcome.has_reached(wait):
            return outcome
        return await self.tx_wait(tx_id, wait, max(0.0, deadline - time.monotonic()))

    async def tx_wait(self, tx_id: str, level: Wait = Wait.FINAL, timeout_s: float = SUBMIT_TIMEOUT_S) -> Outcome:
        """Wait until a transaction has reached a level, or return the level reached when time is up.

        Raises:
            RpcRejected: the transaction was refused.
            NodeUnreachable: no answer after all attempts.
        """
        deadline = time.monotonic() + timeout_s
        params: dict[str, object] = {"tx_id": tx_id, "level": str(level)}
        while True:
            left_s = deadline - time.monotonic()
            outcome = await self._wait_call("tx_wait", params, min(max(left_s, 0.0), CALL_WAIT_S))
            if outcome.has_reached(level) or left_s <= CALL_WAIT_S:
                return outcome

    async def send(
        self,
        key: SigningKey,
        messages: Sequence[Message],
        *,
        sender: str | None = None,
        cosigners: Sequence[SigningKey] = (),
        fee: int | None = None,
        memo: bytes = b"",
        wait: Wait = Wait.FINAL,
        timeout_s: float = SUBMIT_TIMEOUT_S,
        on_signed: Callable[[Transaction], None] | None = None,
    ) -> Outcome:
        """Build, sign and submit again with another nonce if somebody took it first, and at new prices if they went up.

        Each transaction that is handed in is told to `on_signed` before: the name of what it creates may follow from it.

        Raises:
            RpcRejected: the node refuses the transaction.
            NodeUnreachable: no answer after all attempts.
        """
        address = sender or format_address(account_address(key.public_key))
        for attempts_left in reversed(range(NONCE_ATTEMPTS)):
            transaction = await self.build(key, messages, sender=address, cosigners=cosigners, fee=fee, memo=memo)
            if on_signed is not None:
                on_signed(transaction)
            try:
                return await self.submit(transaction, wait, timeout_s)
            except RpcRejected as error:
                is_outdated = error.reason == TransactionReason.FEE_TOO_LOW and fee is None
                if not (is_outdated or error.reason in _NONCE_REASONS) or not attempts_left:
                    raise
                self._nonces.forget(address)
                self._params = None
        raise AssertionError("the last attempt returns or raises")

    async def transfer(
        self,
        key: SigningKey,
        to: str,
        amount: int,
        *,
        wait: Wait = Wait.FINAL,
        timeout_s: float = SUBMIT_TIMEOUT_S,
    ) -> Outcome:
        """Move ubocc from the account of the key to an address."""
        message = Transfer(to=parse_address(to), amount=amount)
        return await self.send(key, (message,), wait=wait, timeout_s=timeout_s)

    async def submit_many(self, transactions: Sequence[Transaction]) -> list[Outcome | RpcRejected]:
        """Hand in up to 100 transactions in one request without waiting; an answer for each, in their order."""
        calls = [Call("tx_submit", {"tx": one.encoded.hex(), "wait": "none"}) for one in transactions]
        answers = await self.rpc.batch(calls)
        return [one if isinstance(one, RpcRejected) else msgspec.convert(one, Outcome) for one in answers]

    async def events(
        self,
        after: str | None = None,
        limit: int | None = None,
        topics: Sequence[str] | None = None,
        wait_ms: int | None = None,
    ) -> dict[str, Any]:
        """Return one page of events of final blocks after a cursor, waiting for the first for at most wait_ms."""
        params: dict[str, object] = {"after": after, "limit": limit, "topics": topics, "wait_ms": wait_ms}
        given = {name: value for name, value in params.items() if value is not None}
        page: dict[str, Any] = await self.rpc.call("events", given, wait_s=(wait_ms or 0) / 1000)
        return page

    def follow(self, after: str | None = None, topics: Sequence[str] = ()) -> AsyncIterator[dict[str, Any]]:
        """Yield every event after a cursor, or after the oldest kept, exactly once by long polling, across restarts of the node."""
        return poll_events(self.rpc, after, topics)

    def subscribe(self, after: str | None = None, topics: Sequence[str] = ()) -> AsyncIterator[dict[str, Any]]:
        """Yield every event after a cursor, or from now on, exactly once, over a WebSocket that is opened again when it breaks."""
        return stream_events(self.rpc, self.ws, after, topics)

    async def _object(self, method: str, **params: object) -> dict[str, Any]:
        answer: dict[str, Any] = await self.call(method, **params)
        return answer

    async def _wait_call(self, method: str, params: dict[str, object], wait_s: float) -> Outcome:
        timed = params | {"timeout_ms": int(wait_s * 1000)}
        return msgspec.convert(await self.rpc.call(method, timed, wait_s=wait_s), Outcome)

    async def _is_known(self, tx_id: str) -> bool:
        return (
            await self._wait_call("tx_wait", {"tx_id": tx_id, "level": str(Wait.NOTARIZED)}, 0.0)
        ).height is not None
