"""Certificates: votes of more than two thirds of the power for one thing in one view.

A notarization lets everyone leave a view with a block, a nullification without one, a finalization makes the block and all its
ancestors final together with the result of executing it. A light client needs nothing else of consensus (consensus spec 4.2, 7.5).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Annotated, Final

from msgspec import Meta

from state.codec import Codec, OptionalHash, Signature, UInt, Wire
from state.crypto import verify
from state.errors import VoteReason, VoteRejected
from state.validators import VALIDATORS_MAX, ValidatorSet
from state.votes import Vote, VoteKind, check_vote_fields, vote_signing_bytes

CERTIFICATE_BYTES_MAX: Final = 200 + VALIDATORS_MAX // 8 + VALIDATORS_MAX * 66
Verify = Callable[[bytes, bytes, bytes], bool]
"""Signature verifier: public key, signature, message. A simulation may pass a stand-in."""


class Certificate(Wire, frozen=True):
    """A quorum of equal votes. Its signatures stand in the order of the validators' indices."""

    kind: VoteKind
    epoch: UInt
    view: UInt
    block_hash: OptionalHash
    result: OptionalHash
    signers: Annotated[bytes, Meta(min_length=1, max_length=(VALIDATORS_MAX + 7) // 8)]
    """Bit i of byte i // 8, least significant first, is set if validator i signed."""
    signatures: Annotated[tuple[Signature, ...], Meta(min_length=1, max_length=VALIDATORS_MAX)]


CERTIFICATE_CODEC: Final = Codec(Certificate, CERTIFICATE_BYTES_MAX)


def build_certificate(votes: Iterable[Vote], validators: ValidatorSet) -> Certificate:
    """Make the certificate of verified votes that agree in everything but validator and signature."""
    ordered = sorted(votes, key=lambda vote: vote.validator)
    bitmap = bytearray((len(validators) + 7) // 8)
    for vote in ordered:
        bitmap[vote.validator >> 3] |= 1 << (vote.validator & 7)
    first = ordered[0]
    return Certificate(
        kind=first.kind,
        epoch=first.epoch,
        view=first.view,
        block_hash=first.block_hash,
        result=first.result,
        signers=bytes(bitmap),
        signatures=tuple(vote.signature for vote in ordered),
    )


def signer_indices(certificate: Certificate, validators: ValidatorSet) -> list[int]:
    """Return the indices whose bits are set, ascending.

    Raises:
        VoteRejected: BAD_BITMAP if its length does not fit the set, a bit names nobody, or the signatures are not as many.
    """
    bitmap_bytes = (len(validators) + 7) // 8
    if len(certificate.signers) != bitmap_bytes:
        raise VoteRejected(VoteReason.BAD_BITMAP, len(certificate.signers), bitmap_bytes)
    bits = int.from_bytes(certificate.signers, "little")
    if bits >> len(validators):
        raise VoteRejected(VoteReason.UNKNOWN_VALIDATOR, bits.bit_length() - 1, len(validators) - 1)
    indices = [index for index in range(len(validators)) if bits >> index & 1]
    if len(indices) != len(certificate.signatures):
        raise VoteRejected(VoteReason.BAD_BITMAP, len(certificate.signatures), len(indices))
    return indices


def certificate_votes(certificate: Certificate, validators: ValidatorSet) -> list[Vote]:
    """Return the votes that a certificate is made of, in the order of the validators.

    Raises:
        VoteRejected: BAD_BITMAP, UNKNOWN_VALIDATOR.
    """
    return [
        Vote(
            kind=certificate.kind,
            epoch=certificate.epoch,
            view=certificate.view,
            block_hash=certificate.block_hash,
            result=certificate.result,
            validator=index,
            signature=signature,
        )
        for index, signature in zip(signer_indices(certificate, validators), certificate.signatures, strict=True)
    ]


def verify_certificate(
    chain_id: bytes,
    certificate: Certificate,
    validators: ValidatorSet,
    epoch: int,
    verify_signature: Verify = verify,
) -> None:
    """Check that validators with more than two thirds of the power of this epoch's set signed this vote.

    All signatures are verified; power comes from the given set alone.

    Raises:
        VoteRejected: WRONG_EPOCH, WRONG_FIELDS, BAD_BITMAP, UNKNOWN_VALIDATOR, NO_QUORUM, BAD_SIGNATURE.

    Source: PROTOCOL.md section 4.
    """
    if certificate.epoch != epoch:
        raise VoteRejected(VoteReason.WRONG_EPOCH, certificate.epoch, epoch)
    check_vote_fields(certificate.kind, certificate.block_hash, certificate.result)
    indices = signer_indices(certificate, validators)
    power = sum(validators.members[index].power for index in indices)
    if not validators.is_quorum(power):
        raise VoteRejected(VoteReason.NO_QUORUM, power, f"more than 2/3 of {validators.total_power}")
    message = vote_signing_bytes(
        chain_id,
        certificate.kind,
        certificate.epoch,
        certificate.view,
        certificate.block_hash,
        certificate.result,
    )
    for index, signature in zip(indices, certificate.signatures, strict=True):
        if not verify_signature(validators.members[index].public_key, signature, message):
            raise VoteRejected(VoteReason.BAD_SIGNATURE, index)
