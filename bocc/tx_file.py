"""Transactions in files, for keys that are not in one place: one side writes one, others look at it and sign, anybody sends it.

A file is JSON: the chain, the body's canonical bytes, and the signatures so far. Each signature is over chain and body, so
nothing can be changed once somebody has signed. Who must sign beside the sender's keys follows from the messages. A key that is
nobody's of them is not added: the chain refuses an envelope with a stranger's signature.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

from bocc.light import describe_record
from state.address import AddressKind, account_address
from state.block import ENVELOPE_BYTES_MAX
from state.codec import Codec, encode
from state.crypto import SigningKey, verify
from state.errors import Malformed, Rejected
from state.messages import SetAuth
from state.resource_messages import Assign
from state.transactions import SIGNATURES_MAX, Body, Envelope, KeySignature, Transaction, body_signing_bytes

FORMAT: Final = "bocc-transaction-1"
FILE_BYTES_MAX: Final = 1 << 20
"""More than the longest body takes in hex."""
_BODY_CODEC: Final = Codec(Body, ENVELOPE_BYTES_MAX)

Hash = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]


class TxFileReason(StrEnum):
    """Why a transaction in a file is not signed or sent."""

    BAD_FILE = "tx_bad_file"
    """Not JSON of such a file, no body of this version, or one in which somebody who must agree is no account."""
    OTHER_CHAIN = "tx_other_chain"
    """It is for another chain."""
    EXPIRED = "tx_expired"
    """Its time is over; a transaction never lives longer than the chain's parameters say."""
    BAD_SIGNATURE = "tx_bad_signature"
    """A signature that is not over this body on this chain."""
    NO_SIGNER = "tx_no_signer"
    """The key is of nobody who must agree; with its signature the chain would refuse the whole."""
    SIGNED = "tx_signed"
    """This key has signed it before."""
    FULL = "tx_full"
    """It has as many signatures as a transaction may have."""


class TxFileRejected(Rejected):
    """A transaction in a file that is not signed or sent."""


class _Pair(Struct, frozen=True, forbid_unknown_fields=True):
    public_key: Hash
    signature: Annotated[str, Meta(pattern=r"^[0-9a-f]{128}\Z")]


class _File(Struct, frozen=True, forbid_unknown_fields=True):
    format: Annotated[str, Meta(max_length=64)]
    chain_id: Hash
    body: Annotated[str, Meta(pattern=r"^([0-9a-f]{2})*\Z")]
    signatures: Annotated[list[_Pair], Meta(max_length=SIGNATURES_MAX)]


class TxFile(Struct, frozen=True, kw_only=True):
    """A transaction as far as it is signed. Its signatures are good, sorted by key, each key once."""

    chain_id: bytes
    body: Body
    signatures: tuple[KeySignature, ...] = ()

    @property
    def transaction(self) -> Transaction:
        """The transaction with the signatures so far."""
        envelope = Envelope(body=self.body, signatures=self.signatures)
        return Transaction(envelope, encode(envelope), self.chain_id)


class Party(Struct, frozen=True):
    """An account whose agreement a transaction needs."""

    account: bytes
    role: str
    is_guarded: bool = False
    """Whether the account's guardians must agree, not its own keys."""


def parse_tx_file(text: bytes) -> TxFile:
    """Return the transaction of a file.

    Raises:
        TxFileRejected: BAD_FILE, BAD_SIGNATURE.
    """
    if len(text) > FILE_BYTES_MAX:
        raise TxFileRejected(TxFileReason.BAD_FILE, f"{len(text)} bytes", FILE_BYTES_MAX)
    try:
        file = msgspec.json.decode(text, type=_File)
        body = _BODY_CODEC.decode(bytes.fromhex(file.body))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise TxFileRejected(TxFileReason.BAD_FILE, str(error)) from error
    except Malformed as malformed:
        raise TxFileRejected(TxFileReason.BAD_FILE, f"body {malformed.reason.value}", malformed.bound) from malformed
    if file.format != FORMAT:
        raise TxFileRejected(TxFileReason.BAD_FILE, file.format, FORMAT)
    strangers = [party.account.hex() for party in parties_of(body) if party.account[0] != AddressKind.ACCOUNT]
    if strangers:
        raise TxFileRejected(TxFileReason.BAD_FILE, strangers[0], "an account")
    pairs = {
        bytes.fromhex(one.public_key): KeySignature(
            public_key=bytes.fromhex(one.public_key), signature=bytes.fromhex(one.signature)
        )
        for one in file.signatures
    }
    chain_id = bytes.fromhex(file.chain_id)
    signed_bytes = body_signing_bytes(chain_id, body)
    for public_key, pair in pairs.items():
        if not verify(public_key, pair.signature, signed_bytes):
            raise TxFileRejected(TxFileReason.BAD_SIGNATURE, public_key.hex())
    return TxFile(chain_id=chain_id, body=body, signatures=tuple(pairs[key] for key in sorted(pairs)))


def format_tx_file(file: TxFile) -> bytes:
    """Return the text of a file."""
    pairs = [_Pair(pair.public_key.hex(), pair.signature.hex()) for pair in file.signatures]
    written = _File(format=FORMAT, chain_id=file.chain_id.hex(), body=encode(file.body).hex(), signatures=pairs)
    return msgspec.json.format(msgspec.json.encode(written), indent=2) + b"\n"


def check_ready(file: TxFile, chain_id: bytes, now_ms: int) -> None:
    """Check that a transaction is for this chain and may still come into a block.

    Raises:
        TxFileRejected: OTHER_CHAIN, EXPIRED.
    """
    if file.chain_id != chain_id:
        raise TxFileRejected(TxFileReason.OTHER_CHAIN, file.chain_id.hex(), chain_id.hex())
    if file.body.expires_at_ms < now_ms:
        raise TxFileRejected(TxFileReason.EXPIRED, file.body.expires_at_ms, now_ms)


def add_signature(file: TxFile, key: SigningKey) -> TxFile:
    """Return the transaction with the signature of one more key.

    Raises:
        TxFileRejected: SIGNED, FULL.
    """
    if len(file.signatures) >= SIGNATURES_MAX:
        raise TxFileRejected(TxFileReason.FULL, len(file.signatures), SIGNATURES_MAX - 1)
    if any(pair.public_key == key.public_key for pair in file.signatures):
        raise TxFileRejected(TxFileReason.SIGNED, key.public_key.hex())
    signature = key.sign(body_signing_bytes(file.chain_id, file.body))
    pairs = (*file.signatures, KeySignature(public_key=key.public_key, signature=signature))
    return TxFile(
        chain_id=file.chain_id, body=file.body, signatures=tuple(sorted(pairs, key=lambda one: one.public_key))
    )


def parties_of(body: Body) -> tuple[Party, ...]:
    """Return whose agreement a body needs, the sender first."""
    parties = [Party(body.sender, "sender, who pays the fee")]
    for message in body.messages:
        if isinstance(message, Assign):
            parties.append(Party(message.to, f"new owner of {describe_record(message.resource)}"))
        elif isinstance(message, SetAuth) and message.account != body.sender:
            parties.append(Party(message.account, "recovered; a quorum of its guardians signs", is_guarded=True))
    return tuple(parties)


def has_signed(file: TxFile, account: bytes) -> bool:
    """Tell whether the key that the account's address comes from has signed; it may have other keys now."""
    return any(account_address(pair.public_key) == account for pair in file.signatures)
