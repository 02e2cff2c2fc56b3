"""Handlers about one transaction: submit it, wait for it, look it up, explain it, get money from the faucet."""

from __future__ import annotations

from collections.abc import Awaitable
from enum import StrEnum
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from node.admission import MempoolReason
from node.api.context import Call
from node.api.describe_chain import describe_receipt, describe_short_body
from node.api.errors import ApiReason, ErrorCode, RpcError, from_rejection
from node.api.lookups import parse_account, parse_hex
from node.api.registry import AddressText, AmountText, HexHash, Params
from node.api.views import TxOutcome, TxView
from node.api.waiters import Inclusion, Level
from state.block import ENVELOPE_BYTES_MAX
from state.errors import Rejected
from state.receipts import Receipt
from state.transactions import Transaction, parse_transaction

FAUCET_WAIT_MS: Final = 10_000
WAIT_MS_DEFAULT: Final = 10_000

EnvelopeText = Annotated[
    str, Meta(min_length=2, max_length=2 * ENVELOPE_BYTES_MAX, description="Canonical envelope, lower-case hex.")
]
WaitMs = Annotated[
    int, Meta(ge=0, le=3_600_000, description="Longest wait; a node may cut it short (30 s by default).")
]


class SubmitWait(StrEnum):
    """How far a submitted transaction must come before the answer."""

    NONE = "none"
    CHECKED = "checked"
    NOTARIZED = "notarized"
    FINAL = "final"


class WaitLevel(StrEnum):
    """How far a transaction must come."""

    NOTARIZED = "notarized"
    FINAL = "final"


_LEVELS: Final = {"notarized": Level.NOTARIZED, "final": Level.FINAL}
_STATUS: Final = {Level.NOTARIZED: "notarized", Level.FINAL: "final"}


class TxSubmitParams(Params, frozen=True):
    """A signed transaction, and how long to wait for what."""

    tx: EnvelopeText
    wait: SubmitWait = SubmitWait.CHECKED
    timeout_ms: WaitMs = WAIT_MS_DEFAULT


class TxWaitParams(Params, frozen=True):
    """Which transaction to wait for, how far and how long."""

    tx_id: HexHash
    level: WaitLevel = WaitLevel.FINAL
    timeout_ms: WaitMs = WAIT_MS_DEFAULT


class TxParams(Params, frozen=True):
    """Which transaction, and whether to prove it."""

    tx_id: HexHash
    prove: bool = False


class FaucetParams(Params, frozen=True):
    """Whom to give how much."""

    address: AddressText
    amount: AmountText = "100000000"


def submit_tx(call: Call, params: TxSubmitParams) -> TxOutcome | Awaitable[TxOutcome]:
    """Take a signed transaction and answer when it has come far enough, or when time is up.

    With wait `none` the answer comes before signatures are verified: `received`. A transaction that is known is no error: the
    answer says how far it has come. A refusal of an envelope whose signers had no right to it is told to nobody else, so its sender
    hears of it only with another wait.
    """
    transaction = parse_transaction(parse_hex(params.tx), call.node.chain.chain_id)
    if params.wait is not SubmitWait.NONE:
        return _submit_and_wait(call, transaction, _LEVELS.get(params.wait), params.timeout_ms)
    if call.node.mempool.is_known(transaction.tx_id):
        return find_outcome(call, transaction.tx_id)
    call.intake.offer(transaction)
    return _outcome(transaction.tx_id, "received")


async def _submit_and_wait(call: Call, transaction: Transaction, level: Level | None, timeout_ms: int) -> TxOutcome:
    known: TxOutcome | None = None
    try:
        await call.intake.admit(transaction)
    except Rejected:
        known = _find_known(call, transaction.tx_id)
        if known is None:
            raise
    if level is None:
        return known or _outcome(transaction.tx_id, "pending")
    return await wait_for(call, transaction.tx_id, level, timeout_ms)


async def wait_tx(call: Call, params: TxWaitParams) -> TxOutcome:
    """Wait until a transaction is notarized or final; when time is up, answer how far it has come."""
    return await wait_for(call, parse_hex(params.tx_id), _LEVELS[params.level], params.timeout_ms)


async def wait_for(call: Call, tx_id: bytes, level: Level, timeout_ms: int) -> TxOutcome:
    """Return how far a transaction has come, as soon as it has reached the level or time is up.

    Raises:
        RpcError: it was refused or expired, or too many calls wait.
    """
    outcome = find_outcome(call, tx_id)
    if outcome.status == "final" or outcome.status == _STATUS[level]:
        return outcome
    news = await call.node.tracker.wait(tx_id, level, min(timeout_ms, call.config.wait_ms_max))
    match news:
        case Inclusion():
            return _included(tx_id, news.level, news.height, news.index, news.receipt)
        case Rejected():
            raise from_rejection(news)
        case None:
            return find_outcome(call, tx_id)


def find_outcome(call: Call, tx_id: bytes) -> TxOutcome:
    """Return how far a transaction has come.

    Raises:
        RpcError: TX_REJECTED, MEMPOOL_REFUSED: it was refused lately, or expired.
    """
    known = _find_known(call, tx_id)
    if known is not None:
        return known
    refusal = call.node.tracker.find_refusal(tx_id)
    if refusal is not None:
        raise from_rejection(refusal)
    if call.node.mempool.find_departure(tx_id) is MempoolReason.EXPIRED:
        raise RpcError(ErrorCode.TX_REJECTED, MempoolReason.EXPIRED, tx_id.hex())
    return _outcome(tx_id, "unknown")


def _find_known(call: Call, tx_id: bytes) -> TxOutcome | None:
    """Return the outcome of a transaction that is final, notarised or pending."""
    node = call.node
    inclusion = node.tracker.find(tx_id)
    if inclusion is None or inclusion.level is not Level.FINAL:
        stored = node.chain.views.find_receipt(tx_id)
        if stored is not None:
            place, receipt = stored
            return _included(tx_id, Level.FINAL, place.height, place.index, receipt)
    if inclusion is not None:
        return _included(tx_id, inclusion.level, inclusion.height, inclusion.index, inclusion.receipt)
    return None if node.mempool.find_by_id(tx_id) is None else _outcome(tx_id, "pending")


def _outcome(tx_id: bytes, status: str) -> TxOutcome:
    return TxOutcome(tx_id=tx_id.hex(), status=status, height=None, index=None, receipt=None, provisional=False)


def _included(tx_id: bytes, level: Level, height: int, index: int, receipt: Receipt) -> TxOutcome:
    return TxOutcome(
        tx_id=tx_id.hex(),
        status=_STATUS[level],
        height=height,
        index=index,
        receipt=describe_receipt(receipt),
        provisional=level is Level.NOTARIZED,
    )


def read_tx(call: Call, params: TxParams) -> TxView:
    """Return a transaction with its receipt, final, notarized or pending; a proof only of a final one."""
    node, tx_id = call.node, parse_hex(params.tx_id)
    stored = node.chain.views.find_receipt(tx_id)
    if stored is not None:
        place, receipt = stored
        block = node.chain.views.block_by_height(place.height)
        proof = call.proofs.prove_transaction(block, place.index) if params.prove else None
        transaction = parse_transaction(block.envelopes[place.index], node.chain.chain_id)
        outcome = _included(tx_id, Level.FINAL, place.height, place.index, receipt)
        view = _describe(transaction, outcome, block.block_hash, block.header.time_ms)
        return view if proof is None else msgspec.structs.replace(view, proof=msgspec.to_builtins(proof))
    inclusion, unfinal = node.tracker.find(tx_id), node.tracker.find_unfinal_block(tx_id)
    if inclusion is not None and unfinal is not None:
        transaction = parse_transaction(unfinal.envelopes[inclusion.index], node.chain.chain_id)
        outcome = _included(tx_id, inclusion.level, inclusion.height, inclusion.index, inclusion.receipt)
        return _describe(transaction, outcome, unfinal.block_hash, unfinal.header.time_ms)
    pending = node.mempool.find_by_id(tx_id)
    if pending is None:
        raise RpcError(ErrorCode.NOT_FOUND, ApiReason.UNKNOWN_TRANSACTION, params.tx_id)
    return _describe(pending, _outcome(tx_id, "pending"), None, None)


def _describe(transaction: Transaction, outcome: TxOutcome, block_hash: bytes | None, time_ms: int | None) -> TxView:
    return TxView(
        tx_id=outcome.tx_id,
        status=outcome.status,
        height=outcome.height,
        index=outcome.index,
        receipt=outcome.receipt,
        provisional=outcome.provisional,
        envelope=transaction.encoded.hex(),
        envelope_hash=transaction.envelope_hash.hex(),
        body=describe_short_body(transaction),
        block_hash=None if block_hash is None else block_hash.hex(),
        time_ms=time_ms,
        proof=None,
    )


async def request_faucet(call: Call, params: FaucetParams) -> TxOutcome:
    """Give an account money of a development chain, and answer when the transfer is final or after ten seconds."""
    address, amount = parse_account(params.address), int(params.amount)
    if amount == 0:
        raise RpcError(ErrorCode.INVALID_PARAMS, ApiReason.BAD_PARAMS, "amount 0", "1 or more")
    if amount > call.config.faucet_amount_max:
        raise RpcError(ErrorCode.LIMIT_EXCEEDED, ApiReason.FAUCET_LIMIT, amount, call.config.faucet_amount_max)
    transaction = call.node.build_faucet_transfer(address, amount)
    if transaction is None:
        raise RpcError(ErrorCode.DEVELOPMENT_ONLY, ApiReason.NOT_DEVELOPMENT)
    return await _submit_and_wait(call, transaction, Level.FINAL, FAUCET_WAIT_MS)
