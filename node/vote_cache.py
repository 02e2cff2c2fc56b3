"""Verification of votes with a memory of what verified: the certificates in a proposal cost nothing to who saw the votes.

The key of the memory is the whole of what was verified: public key, signature and message. Only success is remembered.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from state.crypto import verify

VERIFIED_MAX: Final = 8_192


class VoteVerifier:
    """A signature verifier (state.certificates.Verify) that remembers."""

    def __init__(self) -> None:
        """Start without memories."""
        self._verified: OrderedDict[tuple[bytes, bytes, bytes], None] = OrderedDict()
        self.verified_count = 0
        """Signatures really verified."""

    def __call__(self, public_key: bytes, signature: bytes, message: bytes) -> bool:
        """Tell whether the signature is the key's over the message."""
        key = public_key, signature, message
        if key in self._verified:
            return True
        self.verified_count += 1
        if not verify(public_key, signature, message):
            return False
        self._verified[key] = None
        if len(self._verified) > VERIFIED_MAX:
            self._verified.popitem(last=False)
        return True
