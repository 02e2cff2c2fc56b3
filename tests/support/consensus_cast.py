"""What the other validators say to one core under test: signed votes, certificates, blocks and proposals, good ones and bad ones.

Four validators of equal power lead in the order v3, v2, v1, v0 from view 1 on.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from consensus.epoch_state import EpochState
from consensus.messages import Proposal, VoteMessage
from state import merkle
from state.block import HEADER_VERSION, BlockReference, Header, Tip, hash_header
from state.certificates import Certificate, build_certificate
from state.validators import ValidatorSet
from state.votes import Vote, VoteKind, vote_signing_bytes
from tests.support.consensus_toys import CHAIN_ID, genesis_tip, hashes_of, stand_in_key, toy_set, verify_stand_in

N, X, F = VoteKind.NOTARIZE, VoteKind.NULLIFY, VoteKind.FINALIZE

HASH_A, HASH_B = b"A" * 32, b"B" * 32
RESULT_A, RESULT_B = b"a" * 32, b"b" * 32
QUORUM = (0, 1, 2)


def signature_of(index: int, message: bytes) -> bytes:
    """Sign as the validator v<index>."""
    return stand_in_key(f"v{index}").sign(message)


def is_signed(vote: Vote) -> bool:
    """Verify a vote of v0, v1, ... whose indices are their numbers."""
    message = vote_signing_bytes(CHAIN_ID, vote.kind, vote.epoch, vote.view, vote.block_hash, vote.result)
    return verify_stand_in(stand_in_key(f"v{vote.validator}").public_key, vote.signature, message)


def vote(
    kind: VoteKind,
    index: int,
    view: int = 1,
    block_hash: bytes | None = None,
    result: bytes | None = None,
    *,
    epoch: int = 0,
    is_forged: bool = False,
) -> Vote:
    """Return a vote of v<index>; a nullify vote has no block, and only a finalize vote has a result."""
    chosen_hash = b"" if kind is X else (block_hash or HASH_A)
    chosen_result = (result or RESULT_A) if kind is F else b""
    message = vote_signing_bytes(CHAIN_ID, kind, epoch, view, chosen_hash, chosen_result)
    return Vote(
        kind=kind,
        epoch=epoch,
        view=view,
        block_hash=chosen_hash,
        result=chosen_result,
        validator=index,
        signature=bytes(64) if is_forged else signature_of(index, message),
    )


def votes(
    kind: VoteKind,
    indices: Iterable[int] = QUORUM,
    view: int = 1,
    block_hash: bytes | None = None,
    result: bytes | None = None,
) -> list[Vote]:
    """Return equal votes of several validators."""
    return [vote(kind, index, view, block_hash, result) for index in indices]


def certificate(
    kind: VoteKind,
    view: int = 1,
    block_hash: bytes | None = None,
    result: bytes | None = None,
    *,
    signers: Iterable[int] = QUORUM,
    validators: ValidatorSet | None = None,
) -> Certificate:
    """Return a certificate of four validators' votes, three of them by default."""
    chosen = validators or toy_set([1, 1, 1, 1])
    return build_certificate(votes(kind, signers, view, block_hash, result), chosen)


def state_at_genesis(powers: Sequence[int] = (1, 1, 1, 1), own_index: int = 0) -> EpochState:
    """Return what v<own_index> knows when the chain begins."""
    tip: Tip = genesis_tip(toy_set(powers))
    return EpochState(tip, tip.epoch_start.validators[own_index].address, is_signed)


def child_header(
    parent: BlockReference,
    view: int,
    parent_view: int,
    *,
    envelopes: Sequence[bytes] = (),
    delay_ms: int = 10,
    validators: ValidatorSet | None = None,
    epoch: int = 0,
    root_height: int = 0,
) -> Header:
    """Return the header that the leader of the view makes of a child of this parent."""
    chosen = validators or toy_set([1, 1, 1, 1])
    names = hashes_of(envelopes)
    return Header(
        version=HEADER_VERSION,
        chain_id=CHAIN_ID,
        epoch=epoch,
        view=view,
        height=parent.height + 1,
        time_ms=parent.time_ms + delay_ms,
        parent_hash=parent.block_hash,
        parent_view=parent_view,
        parent_result=parent.result,
        proposer=chosen.members[chosen.leader_index(root_height, view)].address,
        validators_hash=chosen.set_hash,
        tx_root=merkle.root(names),
        tx_count=len(names),
    )


def proposal_of(
    header: Header,
    *,
    view: int | None = None,
    parent_view: int | None = None,
    justify: Sequence[Certificate] = (),
    envelopes: Sequence[bytes] = (),
    leader: int | None = None,
) -> Proposal:
    """Return the proposal of a header by the leader of its view, or for a later view again."""
    chosen_view = header.view if view is None else view
    chosen_leader = toy_set([1, 1, 1, 1]).leader_index(0, chosen_view) if leader is None else leader
    return Proposal(
        epoch=header.epoch,
        view=chosen_view,
        header=header,
        envelope_hashes=hashes_of(envelopes),
        parent_view=header.parent_view if parent_view is None else parent_view,
        justify=tuple(justify),
        vote=vote(N, chosen_leader, chosen_view, hash_header(header), epoch=header.epoch),
    )


def messages(many: Iterable[Vote]) -> list[VoteMessage]:
    """Return votes as messages."""
    return [VoteMessage(vote=one) for one in many]
