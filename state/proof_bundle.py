"""Proof bundles: what a stranger needs to check one fact about the chain, with nothing but the genesis.

A bundle is JSON. Records of the chain stand in it as lower-case hex of their canonical bytes, so a verifier hashes exactly what was
signed. It proves, link by link:

1. Epochs: the validators of epoch 0 are the genesis'. Each step shows the block that ended an epoch, its result, and the
   finalization of that result by the validators known so far; the result names the next validators.
2. Finality: headers from the block in question to one that the validators finalised; each names its parent and the parent's result.
3. The fact: a record, or its absence, under the result's state root; or a transaction and the receipt that settled it under the
   header's and the result's roots.

Proofs from genesis assume that no past validator set lost two thirds of its keys. The format never changes; another one gets
another name.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from itertools import pairwise
from typing import Annotated, Final, TypeVar

import msgspec
from msgspec import Meta, Struct

from state import merkle
from state.block import HEADER_CODEC, RESULT_CODEC, BlockResult, Header, hash_header, hash_result
from state.certificates import CERTIFICATE_CODEC, Certificate, verify_certificate
from state.chain_views import FinalityProof
from state.codec import Codec, encode
from state.errors import Rejected
from state.genesis import Genesis, genesis_state
from state.receipts import RECEIPT_CODEC, Receipt
from state.stored import EpochEnd
from state.transactions import Transaction, parse_transaction
from state.tree_proof import verify_proof
from state.validators import VALIDATORS_MAX, Validator, ValidatorSet
from state.votes import VoteKind

FORMAT: Final = "bocc-proof-1"
BUNDLE_BYTES_MAX: Final = 64 << 20
HEADERS_MAX: Final = 10_000
"""Longest way from a block to the next one with its own finalization."""
EPOCHS_MAX: Final = 100_000
_VALIDATORS_CODEC: Final = Codec(tuple[Validator, ...], VALIDATORS_MAX * 80)

Hex = Annotated[str, Meta(pattern=r"^([0-9a-f]{2})*\Z")]
_Decoded = TypeVar("_Decoded")


class BundleReason(StrEnum):
    """Why a bundle proves nothing."""

    BAD_FILE = "bundle_bad_file"
    """Not JSON of a bundle; `seen` says where."""
    WRONG_CHAIN = "bundle_wrong_chain"
    """It is about another chain than the genesis'."""
    WRONG_EPOCH = "bundle_wrong_epoch"
    """A block belongs to another epoch than the steps lead to."""
    WRONG_VALIDATORS = "bundle_wrong_validators"
    """Validators that are not those a block or result names, or not sorted."""
    WRONG_CERTIFICATE = "bundle_wrong_certificate"
    """The certificate is no finalization, or of another block or result."""
    BROKEN_CHAIN = "bundle_broken_chain"
    """A header does not follow the one before, or its parent's result is another."""
    NOT_INCLUDED = "bundle_not_included"
    """Transaction or receipt do not stand under the roots at this index."""
    WRONG_RECEIPT = "bundle_wrong_receipt"
    """The receipt is another transaction's."""
    SETTLES_NOTHING = "bundle_settles_nothing"
    """The receipt says that the envelope's keys did not authorise it, which says nothing about the transaction of this tx_id."""


class BundleRejected(Rejected):
    """A bundle that proves nothing."""


class EpochStep(Struct, frozen=True, forbid_unknown_fields=True):
    """The end of one epoch and the validators of the next."""

    header: Hex
    result: Hex
    certificate: Hex
    validators: Hex
    """Canonical bytes of the next epoch's members."""


class FinalityPart(Struct, frozen=True, forbid_unknown_fields=True):
    """Why a block is final with this result."""

    result: Hex
    """Of the first header's block."""
    headers: Annotated[list[Hex], Meta(min_length=1, max_length=HEADERS_MAX)]
    certificate: Hex
    """Of the last header's block."""


class StateBundle(Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="state"):
    """Proof of a record, or of its absence, after a block."""

    format: str
    chain_id: Hex
    epochs: Annotated[list[EpochStep], Meta(max_length=EPOCHS_MAX)]
    finality: FinalityPart
    key: Hex
    """Raw state key."""
    value: Hex | None
    proof: Hex
    """Of the tree (state/tree_proof.py)."""


class RecordProof(Struct, frozen=True, forbid_unknown_fields=True):
    """Proof of one more record, or of its absence, under the state root that a state bundle leads to."""

    key: Hex
    value: Hex | None
    proof: Hex


class TransactionBundle(Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="transaction"):
    """Proof of a transaction and its receipt."""

    format: str
    chain_id: Hex
    epochs: Annotated[list[EpochStep], Meta(max_length=EPOCHS_MAX)]
    finality: FinalityPart
    envelope: Hex
    index: Annotated[int, Meta(ge=0)]
    siblings: Annotated[list[Hex], Meta(max_length=32)]
    """From the envelope hash to the header's tx_root, nearest first."""
    receipt: Hex
    receipt_siblings: Annotated[list[Hex], Meta(max_length=32)]


ProofBundle = StateBundle | TransactionBundle
_decoder: Final[msgspec.json.Decoder[ProofBundle]] = msgspec.json.Decoder(ProofBundle)


class VerifiedState(Struct, frozen=True):
    """What the state held after a final block."""

    block_hash: bytes
    height: int
    time_ms: int
    key: bytes
    value: bytes | None
    """Canonical bytes of the record; None if there was none."""


class VerifiedTransaction(Struct, frozen=True):
    """A transaction in a final block that settled it: its receipt is its fate."""

    block_hash: bytes
    height: int
    time_ms: int
    index: int
    transaction: Transaction
    receipt: Receipt


VerifiedFact = VerifiedState | VerifiedTransaction


def parse_bundle(text: bytes) -> ProofBundle:
    """Return the bundle of a JSON text.

    Raises:
        BundleRejected: BAD_FILE.
    """
    if len(text) > BUNDLE_BYTES_MAX:
        raise BundleRejected(BundleReason.BAD_FILE, f"{len(text)} bytes", BUNDLE_BYTES_MAX)
    try:
        bundle = _decoder.decode(text)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BundleRejected(BundleReason.BAD_FILE, str(error)) from error
    if bundle.format != FORMAT:
        raise BundleRejected(BundleReason.BAD_FILE, bundle.format, FORMAT)
    return bundle


def verify_bundle(bundle: ProofBundle, genesis: Genesis) -> VerifiedFact:
    """Return the fact that a bundle proves, after checking every link from this genesis.

    Raises:
        Rejected: BundleRejected; Malformed, VoteRejected or ProofRejected for a record, certificate or tree proof inside.
    """
    header, block_result = _verify_block(bundle, genesis)
    match bundle:
        case StateBundle():
            return _verify_record(RecordProof(bundle.key, bundle.value, bundle.proof), header, block_result)
        case TransactionBundle():
            return _verify_transaction(genesis.chain_id, bundle, header, block_result)


def verify_records(bundle: StateBundle, others: Sequence[RecordProof], genesis: Genesis) -> tuple[VerifiedState, ...]:
    """Return the fact that a bundle proves, and those of more records after the same block.

    Raises:
        Rejected: as for `verify_bundle`.
    """
    header, block_result = _verify_block(bundle, genesis)
    first = RecordProof(bundle.key, bundle.value, bundle.proof)
    return tuple(_verify_record(each, header, block_result) for each in (first, *others))


def _verify_block(bundle: ProofBundle, genesis: Genesis) -> tuple[Header, BlockResult]:
    """Return the block that a bundle speaks of, and its result, which the validators made final."""
    chain_id = genesis.chain_id
    if bundle.chain_id != chain_id.hex():
        raise BundleRejected(BundleReason.WRONG_CHAIN, bundle.chain_id, chain_id.hex())
    validators = _follow_epochs(chain_id, bundle.epochs, genesis_state(genesis)[1])
    return _verify_finality(chain_id, bundle.finality, validators, len(bundle.epochs))


def _verify_record(shown: RecordProof, header: Header, block_result: BlockResult) -> VerifiedState:
    key = bytes.fromhex(shown.key)
    record = None if shown.value is None else bytes.fromhex(shown.value)
    verify_proof(block_result.state_root, key, record, bytes.fromhex(shown.proof))
    return VerifiedState(hash_header(header), header.height, header.time_ms, key, record)


def _follow_epochs(chain_id: bytes, steps: Sequence[EpochStep], validators: ValidatorSet) -> ValidatorSet:
    """Return the validators after these steps from those of epoch 0."""
    for epoch, step in enumerate(steps):
        header, block_result = _decode(HEADER_CODEC, step.header), _decode(RESULT_CODEC, step.result)
        certificate = _decode(CERTIFICATE_CODEC, step.certificate)
        _check_header(header, chain_id, validators, epoch)
        _verify_finalization(chain_id, certificate, validators, epoch, hash_header(header), hash_result(block_result))
        members = _decode(_VALIDATORS_CODEC, step.validators)
        if not members or any(left.address >= right.address for left, right in pairwise(members)):
            raise BundleRejected(BundleReason.WRONG_VALIDATORS, f"unsorted validators after epoch {epoch}")
        validators = ValidatorSet(members)
        if validators.set_hash != block_result.next_validators_hash or validators.set_hash == header.validators_hash:
            expected = block_result.next_validators_hash.hex()
            raise BundleRejected(BundleReason.WRONG_VALIDATORS, validators.set_hash.hex(), expected)
    return validators


def _verify_finality(
    chain_id: bytes, finality: FinalityPart, validators: ValidatorSet, epoch: int
) -> tuple[Header, BlockResult]:
    """Return the first header and its result, which these validators made final."""
    headers = [_decode(HEADER_CODEC, encoded) for encoded in finality.headers]
    block_result = _decode(RESULT_CODEC, finality.result)
    certificate = _decode(CERTIFICATE_CODEC, finality.certificate)
    for header in headers:
        _check_header(header, chain_id, validators, epoch)
    for parent, child in pairwise(headers):
        if child.parent_hash != hash_header(parent) or child.height != parent.height + 1:
            raise BundleRejected(BundleReason.BROKEN_CHAIN, child.height, parent.height + 1)
    result_hash = hash_result(block_result)
    if len(headers) > 1 and headers[1].parent_result != result_hash:
        raise BundleRejected(BundleReason.BROKEN_CHAIN, result_hash.hex(), headers[1].parent_result.hex())
    certified_result = result_hash if len(headers) == 1 else certificate.result
    _verify_finalization(chain_id, certificate, validators, epoch, hash_header(headers[-1]), certified_result)
    return headers[0], block_result


def _check_header(header: Header, chain_id: bytes, validators: ValidatorSet, epoch: int) -> None:
    if header.chain_id != chain_id:
        raise BundleRejected(BundleReason.WRONG_CHAIN, header.chain_id.hex(), chain_id.hex())
    if header.epoch != epoch:
        raise BundleRejected(BundleReason.WRONG_EPOCH, header.epoch, epoch)
    if header.validators_hash != validators.set_hash:
        raise BundleRejected(BundleReason.WRONG_VALIDATORS, header.validators_hash.hex(), validators.set_hash.hex())


def _verify_finalization(
    chain_id: bytes,
    certificate: Certificate,
    validators: ValidatorSet,
    epoch: int,
    block_hash: bytes,
    result_hash: bytes,
) -> None:
    if certificate.kind is not VoteKind.FINALIZE:
        raise BundleRejected(BundleReason.WRONG_CERTIFICATE, certificate.kind.name.lower(), "finalize")
    certified = certificate.block_hash, certificate.result
    if certified != (block_hash, result_hash):
        seen = f"{certificate.block_hash.hex()} {certificate.result.hex()}"
        raise BundleRejected(BundleReason.WRONG_CERTIFICATE, seen, f"{block_hash.hex()} {result_hash.hex()}")
    verify_certificate(chain_id, certificate, validators, epoch)


def _verify_transaction(
    chain_id: bytes, bundle: TransactionBundle, header: Header, block_result: BlockResult
) -> VerifiedTransaction:
    transaction = parse_transaction(bytes.fromhex(bundle.envelope), chain_id)
    receipt = _decode(RECEIPT_CODEC, bundle.receipt)
    if receipt.tx_id != transaction.tx_id:
        raise BundleRejected(BundleReason.WRONG_RECEIPT, receipt.tx_id.hex(), transaction.tx_id.hex())
    if not receipt.is_settling:
        raise BundleRejected(BundleReason.SETTLES_NOTHING, receipt.reason)
    for root, leaf, siblings in (
        (header.tx_root, transaction.envelope_hash, bundle.siblings),
        (block_result.receipts_root, encode(receipt), bundle.receipt_siblings),
    ):
        path = [bytes.fromhex(sibling) for sibling in siblings]
        if not merkle.verify_inclusion(root, leaf, bundle.index, header.tx_count, path):
            raise BundleRejected(BundleReason.NOT_INCLUDED, f"index {bundle.index}", root.hex())
    return VerifiedTransaction(hash_header(header), header.height, header.time_ms, bundle.index, transaction, receipt)


def _decode(codec: Codec[_Decoded], encoded: str) -> _Decoded:
    return codec.decode(bytes.fromhex(encoded))


def epoch_step(end: EpochEnd, next_members: tuple[Validator, ...]) -> EpochStep:
    """Return the step from an ended epoch to the next."""
    return EpochStep(
        header=encode(end.header).hex(),
        result=encode(end.block_result).hex(),
        certificate=encode(end.certificate).hex(),
        validators=encode(next_members).hex(),
    )


def finality_part(finality: FinalityProof) -> FinalityPart:
    """Return the part of a bundle that shows a block final."""
    return FinalityPart(
        result=encode(finality.block_result).hex(),
        headers=[encode(header).hex() for header in finality.headers],
        certificate=encode(finality.certificate).hex(),
    )
