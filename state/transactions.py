"""Transactions: an envelope of a body and its signatures, and the two names by which it is known.

`tx_id` names the body's signing bytes: for people, look-up and duplicates; no signature malleability. `envelope_hash` names body
and signatures: for proposals, transaction roots and body requests, so that all nodes execute the same bytes (DESIGN section 4).
"""

from __future__ import annotations

from hashlib import sha256
from itertools import pairwise
from typing import Annotated, Final

from msgspec import Meta

from state.address import account_address
from state.block import ENVELOPE_BYTES_MAX
from state.codec import Address, Amount, Codec, PublicKey, Signature, TimeMs, UInt, Wire, encode
from state.crypto import SigningKey, signing_bytes, tag, tagged_hash, verify
from state.errors import Malformed, MalformedReason
from state.messages import Message

MESSAGES_MAX: Final = 16
MEMO_BYTES_MAX: Final = 256
SIGNATURES_MAX: Final = 16

_TRANSACTION_TAG: Final = tag("transaction")
_ENVELOPE_TAG: Final = tag("envelope")


class Body(Wire, frozen=True):
    """What is signed: who pays, in which order, until when, and for what."""

    sender: Address
    nonce: UInt
    """Any number not used yet, within the window of the sender's account (DESIGN section 4)."""
    expires_at_ms: TimeMs
    """Last block time at which it may be included."""
    fee: Amount
    """Charged in full."""
    messages: Annotated[tuple[Message, ...], Meta(min_length=1, max_length=MESSAGES_MAX)]
    """Applied in order, all or none."""
    memo: Annotated[bytes, Meta(max_length=MEMO_BYTES_MAX)]


class KeySignature(Wire, frozen=True):
    """A signature and the key under which it verifies."""

    public_key: PublicKey
    signature: Signature


class Envelope(Wire, frozen=True):
    """A body with its signatures, sorted by key, each key once."""

    body: Body
    signatures: Annotated[tuple[KeySignature, ...], Meta(min_length=1, max_length=SIGNATURES_MAX)]


ENVELOPE_CODEC: Final = Codec(Envelope, ENVELOPE_BYTES_MAX)


class Transaction:
    """A parsed envelope with its bytes and names. Parsing proves shape and canonical form, not signatures."""

    __slots__ = ("body", "encoded", "envelope_hash", "signatures", "signed_bytes", "signer_addresses", "tx_id")

    def __init__(self, envelope: Envelope, encoded: bytes, chain_id: bytes) -> None:
        """Compute the names of an envelope whose canonical bytes are given, and of its signers."""
        self.body = envelope.body
        self.signatures = envelope.signatures
        self.encoded = encoded
        self.signed_bytes = body_signing_bytes(chain_id, envelope.body)
        self.tx_id = sha256(self.signed_bytes).digest()
        self.envelope_hash = hash_envelope(encoded)
        self.signer_addresses = tuple([account_address(pair.public_key) for pair in envelope.signatures])
        """The accounts of the signing keys, in their order; asked for at admission, in a proposal and in execution."""

    def has_valid_signatures(self) -> bool:
        """Tell whether every signature verifies under the key it carries. Whether the keys may act is a matter of state."""
        return all(verify(pair.public_key, pair.signature, self.signed_bytes) for pair in self.signatures)


def hash_envelope(encoded: bytes) -> bytes:
    """Return the name of an envelope in blocks, 32 bytes."""
    return tagged_hash(_ENVELOPE_TAG, encoded)


def body_signing_bytes(chain_id: bytes, body: Body) -> bytes:
    """Return what each signature of an envelope signs."""
    return signing_bytes(_TRANSACTION_TAG, chain_id, encode(body))


def parse_transaction(encoded: bytes, chain_id: bytes) -> Transaction:
    """Return the transaction of canonical envelope bytes.

    Raises:
        Malformed: TOO_LARGE, NOT_DECODABLE, NOT_CANONICAL (also for signatures out of order).
    """
    envelope = ENVELOPE_CODEC.decode(encoded)
    keys = [pair.public_key for pair in envelope.signatures]
    if any(left >= right for left, right in pairwise(keys)):
        raise Malformed(MalformedReason.NOT_CANONICAL, "signatures out of order", "sorted by key, each once")
    return Transaction(envelope, encoded, chain_id)


def sign_transaction(chain_id: bytes, body: Body, keys: tuple[SigningKey, ...]) -> Transaction:
    """Return the transaction of a body, signed by each of the keys."""
    message = body_signing_bytes(chain_id, body)
    pairs = [KeySignature(public_key=key.public_key, signature=key.sign(message)) for key in keys]
    envelope = Envelope(body=body, signatures=tuple(sorted(pairs, key=lambda pair: pair.public_key)))
    return Transaction(envelope, encode(envelope), chain_id)
