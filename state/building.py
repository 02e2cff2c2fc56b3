"""Transactions from messages: the smallest fee that the chain takes, and signatures."""

from __future__ import annotations

import msgspec

from state.crypto import SigningKey
from state.messages import Message
from state.params import Params
from state.runtime.prices import price_table
from state.transactions import Body, Transaction, sign_transaction


def build_transaction(
    *,
    chain_id: bytes,
    keys: tuple[SigningKey, ...],
    sender: bytes,
    nonce: int,
    expires_at_ms: int,
    messages: tuple[Message, ...],
    params: Params,
    fee: int | None = None,
    memo: bytes = b"",
) -> Transaction:
    """Return a signed transaction; without a fee it pays exactly what the chain asks for its size and work."""
    body = Body(sender=sender, nonce=nonce, expires_at_ms=expires_at_ms, fee=fee or 0, messages=messages, memo=memo)
    transaction = sign_transaction(chain_id, body, keys)
    if fee is not None:
        return transaction
    # A larger fee may take more bytes and so cost more. It grows by a few bytes at most, so this ends after two or three rounds.
    while (least := price_table(params).fee(transaction)) > transaction.body.fee:
        transaction = sign_transaction(chain_id, msgspec.structs.replace(transaction.body, fee=least), keys)
    return transaction
