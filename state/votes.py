"""Votes: what each kind signs, and which pairs convict their signer.

No correct validator ever signs two conflicting votes of one (epoch, view); that is the whole safety argument of the protocol, and
two such signatures are the evidence for `report` (consensus spec 4.2, R10).
"""

from __future__ import annotations

from enum import IntEnum
from typing import Annotated, Final

from msgspec import Meta

from state.codec import Codec, OptionalHash, Signature, UInt, Wire, encode
from state.crypto import signing_bytes, tag, verify
from state.errors import VoteReason, VoteRejected
from state.validators import VALIDATORS_MAX, ValidatorSet

VOTE_BYTES_MAX: Final = 256


class VoteKind(IntEnum):
    """The three kinds of vote."""

    NOTARIZE = 1
    """This block is valid and follows the rules in this view."""
    NULLIFY = 2
    """This view shall pass without a block."""
    FINALIZE = 3
    """This block is notarised here, and executing it gives this result."""


_TAGS: Final = {
    VoteKind.NOTARIZE: tag("notarize"),
    VoteKind.NULLIFY: tag("nullify"),
    VoteKind.FINALIZE: tag("finalize"),
}

ValidatorIndex = Annotated[int, Meta(ge=0, lt=VALIDATORS_MAX)]


class Vote(Wire, frozen=True):
    """One validator's signed vote."""

    kind: VoteKind
    epoch: UInt
    view: UInt
    block_hash: OptionalHash
    """Of the block; no bytes in a nullify vote."""
    result: OptionalHash
    """Of executing the block; only in a finalize vote."""
    validator: ValidatorIndex
    """Index in the validator set of the epoch. Not signed: the key is."""
    signature: Signature


VOTE_CODEC: Final = Codec(Vote, VOTE_BYTES_MAX)


def vote_signing_bytes(
    chain_id: bytes, kind: VoteKind, epoch: int, view: int, block_hash: bytes, result: bytes
) -> bytes:
    """Return the bytes that a vote signs: tag of the kind, chain id, epoch, view, and the hashes that the kind has."""
    match kind:
        case VoteKind.NOTARIZE:
            content: tuple[object, ...] = (epoch, view, block_hash)
        case VoteKind.NULLIFY:
            content = (epoch, view)
        case VoteKind.FINALIZE:
            content = (epoch, view, block_hash, result)
    return signing_bytes(_TAGS[kind], chain_id, encode(content))


def check_vote_fields(kind: VoteKind, block_hash: bytes, result: bytes) -> None:
    """Check that the hashes which a kind needs are there, and no others.

    Raises:
        VoteRejected: WRONG_FIELDS.
    """
    hash_bytes = 0 if kind is VoteKind.NULLIFY else 32
    result_bytes = 32 if kind is VoteKind.FINALIZE else 0
    if len(block_hash) != hash_bytes or len(result) != result_bytes:
        seen = f"{len(block_hash)} and {len(result)} bytes in {kind.name.lower()}"
        raise VoteRejected(VoteReason.WRONG_FIELDS, seen, f"{hash_bytes} and {result_bytes}")


def is_vote_signed_by(chain_id: bytes, vote: Vote, public_key: bytes) -> bool:
    """Tell whether the vote's signature verifies under this key."""
    message = vote_signing_bytes(chain_id, vote.kind, vote.epoch, vote.view, vote.block_hash, vote.result)
    return verify(public_key, vote.signature, message)


def verify_vote(chain_id: bytes, vote: Vote, validators: ValidatorSet) -> None:
    """Check fields, index and signature of a vote against the set of its epoch.

    Raises:
        VoteRejected: WRONG_FIELDS, UNKNOWN_VALIDATOR, BAD_SIGNATURE.
    """
    check_vote_fields(vote.kind, vote.block_hash, vote.result)
    if vote.validator >= len(validators):
        raise VoteRejected(VoteReason.UNKNOWN_VALIDATOR, vote.validator, len(validators) - 1)
    if not is_vote_signed_by(chain_id, vote, validators.members[vote.validator].public_key):
        raise VoteRejected(VoteReason.BAD_SIGNATURE, vote.signature.hex())


def are_conflicting(first: Vote, second: Vote) -> bool:
    """Tell whether no correct validator signs both votes: same epoch and view, and one of the pairs of R10.

    N(h), N(h') · F(h, r), F(h', r') · X, F · N(h), F(h', r) with h != h' (or r != r' for two F).
    """
    if (first.epoch, first.view) != (second.epoch, second.view):
        return False
    kinds = {first.kind, second.kind}
    if kinds == {VoteKind.NULLIFY, VoteKind.FINALIZE}:
        return True
    if VoteKind.NULLIFY in kinds:
        return False
    if first.kind is second.kind:
        return (first.block_hash, first.result) != (second.block_hash, second.result)
    return first.block_hash != second.block_hash
