"""Transactions that a node signs itself: reports of equivocation from its node key's account, and the development faucet.

Nonces ascend from the account's next one; each is used once in the life of the process.
"""

from __future__ import annotations

from typing import Final

from state.address import account_address
from state.building import build_transaction
from state.codec import encode
from state.crypto import SigningKey
from state.ledger import Ledger
from state.messages import Message, Report
from state.records import ACCOUNTS, ONLY, PARAMS
from state.transactions import Transaction
from state.votes import Vote

EXPIRY_MS: Final = 600_000


class OwnAccount:
    """An account whose key this node holds."""

    def __init__(self, chain_id: bytes, key: SigningKey) -> None:
        """The account is the key's own."""
        self.address = account_address(key.public_key)
        self._chain_id = chain_id
        self._key = key
        self._next_nonce = 0

    def build(self, ledger: Ledger, message: Message, wall_ms: int) -> Transaction:
        """Return a signed transaction with this message, at the price in force."""
        account = ledger.find(ACCOUNTS, self.address)
        nonce = max(self._next_nonce, 0 if account is None else account.next_nonce)
        self._next_nonce = nonce + 1
        return build_transaction(
            chain_id=self._chain_id,
            keys=(self._key,),
            sender=self.address,
            nonce=nonce,
            expires_at_ms=wall_ms + EXPIRY_MS,
            messages=(message,),
            params=ledger.get(PARAMS, ONLY),
        )


def report_message(validator: bytes, first: Vote, second: Vote) -> Report:
    """Return the report of two conflicting votes in its one form."""
    earlier, later = sorted((first, second), key=encode)
    return Report(validator=validator, first=earlier, second=later)
