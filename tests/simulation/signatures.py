"""Signatures of simulated votes and transactions: stand-ins that cost a hash, or Ed25519 that is verified once for all nodes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import sha256

from state.crypto import SigningKey, verify
from state.transactions import Transaction

REMEMBERED_MAX = 200_000


class Signatures:
    """How votes of one simulated network are signed and verified. Transactions always carry real signatures."""

    def __init__(self, *, is_real: bool) -> None:
        """Choose between Ed25519 and stand-ins, which nobody in the simulation knows how to forge."""
        self.is_real = is_real
        self._verdicts: dict[tuple[bytes, bytes, bytes], bool] = {}
        self._transaction_verdicts: dict[bytes, bool] = {}

    def signer(self, key: SigningKey) -> Callable[[bytes], bytes]:
        """Return what signs the votes of a key."""
        if self.is_real:
            return key.sign
        return lambda message: sha256(key.public_key + message).digest() * 2

    def verify(self, public_key: bytes, signature: bytes, message: bytes) -> bool:
        """Tell whether a vote's signature is right."""
        if not self.is_real:
            return signature == sha256(public_key + message).digest() * 2
        claim = public_key, signature, message
        verdict = self._verdicts.get(claim)
        if verdict is None:
            if len(self._verdicts) > REMEMBERED_MAX:
                self._verdicts.clear()
            verdict = self._verdicts[claim] = verify(public_key, signature, message)
        return verdict

    def find_wrong(self, transactions: Sequence[Transaction]) -> frozenset[bytes]:
        """Return the envelope hashes of transactions with a wrong signature."""
        return frozenset(one.envelope_hash for one in transactions if not self._is_right(one))

    def _is_right(self, transaction: Transaction) -> bool:
        verdict = self._transaction_verdicts.get(transaction.envelope_hash)
        if verdict is None:
            verdict = self._transaction_verdicts[transaction.envelope_hash] = transaction.has_valid_signatures()
        return verdict
