"""Certificates of headers on the development chain, right and wrong ones, and a consensus core that follows such a chain."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from consensus.core import Consensus
from consensus.inputs import BlockAvailable, MessageReceived, Now
from consensus.messages import CertificatesMessage
from consensus.participant import Identity
from consensus.signing import VoteSigner
from node.timing import timing_of
from state.block import Header, hash_header
from state.certificates import Certificate, build_certificate
from state.chain import Chain
from state.crypto import SigningKey, verify
from state.validators import Validator, ValidatorSet
from state.votes import Vote, VoteKind, vote_signing_bytes
from tests.support.fixture_chain import consensus_key


def development_key(member: Validator) -> SigningKey:
    """Return the key of a validator of the development chain."""
    return consensus_key(member.public_key)


def certify(
    header: Header,
    validators: ValidatorSet,
    kind: VoteKind,
    *,
    result: bytes = b"r" * 32,
    epoch: int | None = None,
    signers: Iterable[int] | None = None,
    key_of: Callable[[Validator], SigningKey] = development_key,
) -> Certificate:
    """Return a certificate of a header's view by these validators, all of them unless told otherwise."""
    votes = [
        vote_for(header, validators, kind, index, result=result, epoch=epoch, key_of=key_of)
        for index in (range(len(validators)) if signers is None else signers)
    ]
    return build_certificate(votes, validators)


def vote_for(
    header: Header,
    validators: ValidatorSet,
    kind: VoteKind,
    index: int,
    *,
    result: bytes = b"r" * 32,
    epoch: int | None = None,
    key_of: Callable[[Validator], SigningKey] = development_key,
) -> Vote:
    """Return one validator's vote about a header in its view."""
    block_hash = b"" if kind is VoteKind.NULLIFY else hash_header(header)
    chosen_result = result if kind is VoteKind.FINALIZE else b""
    chosen_epoch = header.epoch if epoch is None else epoch
    message = vote_signing_bytes(header.chain_id, kind, chosen_epoch, header.view, block_hash, chosen_result)
    return Vote(
        kind=kind,
        epoch=chosen_epoch,
        view=header.view,
        block_hash=block_hash,
        result=chosen_result,
        validator=index,
        signature=key_of(validators.members[index]).sign(message),
    )


def follow(chain: Chain) -> Consensus:
    """Return the core of a node that only follows a chain, at its final block."""
    return Consensus(
        Identity(chain.chain_id, None),
        timing_of(chain.params().consensus),
        VoteSigner(chain.chain_id, None, [], (0, 0)),
        verify,
        chain.tip,
        [],
    )


def notarize(core: Consensus, chain: Chain, header: Header) -> None:
    """Show a core a block and its notarization."""
    now = Now(0, header.time_ms)
    core.handle(BlockAvailable(hash_header(header), header), now)
    certificate = certify(header, chain.validators, VoteKind.NOTARIZE)
    core.handle(MessageReceived("peer", CertificatesMessage(certificates=(certificate,))), now)
