"""Builds proof bundles from what the node stores. What they mean and how they are checked: state/proof_bundle.py."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import msgspec
from msgspec import Struct

from node.api.errors import ErrorCode, RpcError
from state import merkle
from state.chain import Chain
from state.chain_views import StoredBlock
from state.codec import encode
from state.proof_bundle import (
    BUNDLE_BYTES_MAX,
    FORMAT,
    HEADERS_MAX,
    EpochStep,
    FinalityPart,
    RecordProof,
    StateBundle,
    TransactionBundle,
    epoch_step,
    finality_part,
)
from state.transactions import hash_envelope

EPOCHS_BYTES_MAX: Final = BUNDLE_BYTES_MAX // 2
"""Bytes of JSON that the steps of a bundle may take; the rest is for headers, record and certificate."""
EPOCHS_PER_CALL: Final = 128
"""Steps gathered by one call, a few milliseconds of work; later calls find them."""
_STEP_OVERHEAD_BYTES: Final = 64
"""Names and punctuation of a step in JSON."""


class ProofRefusal(StrEnum):
    """Why something that is there cannot be proved yet, or by this node."""

    GENESIS_STATE = "genesis_state"
    """The state of height 0 follows from the genesis itself; nobody signed it."""
    NOT_CERTIFIED = "not_certified"
    """The block was synchronised and no later block with its own finalization is here yet."""
    TOO_FAR_FROM_CERTIFICATE = "too_far_from_certificate"
    """More headers lie between the block and the next certificate than a bundle may have."""
    EPOCHS_TOO_LARGE = "epochs_too_large"
    """The steps of all epochs since genesis take more bytes than a bundle may spend on them."""
    EPOCHS_IN_PREPARATION = "epochs_in_preparation"
    """This node gathers the steps of past epochs a part at each call; `seen` are there of `bound`."""


class ProvedRecord(Struct, frozen=True):
    """A record of a height with its bundle."""

    height: int
    encoded: bytes | None
    bundle: StateBundle


class ProofBuilder:
    """Builds bundles for one chain. Steps of past epochs never change and are kept."""

    def __init__(self, chain: Chain) -> None:
        """Start without any step."""
        self._chain = chain
        self._steps: Final[list[EpochStep]] = []
        self._bytes_before: Final = [0]
        """JSON bytes of the first steps, by their number."""

    def prove_state(self, raw_key: bytes, height: int | None) -> ProvedRecord:
        """Prove the record under a raw state key, or its absence, after a height; the newest if None.

        Raises:
            RpcError: NOT_FOUND or LIMIT_EXCEEDED with a `ProofRefusal`.
            HistoryRejected: PRUNED, FUTURE.
        """
        height = self._chain.tip.block.height if height is None else height
        if height == 0:
            raise RpcError(ErrorCode.NOT_FOUND, ProofRefusal.GENESIS_STATE, height, 1)
        proved = self._chain.prove(raw_key, height)
        finality, epochs = self._prove_finality(height)
        bundle = StateBundle(
            format=FORMAT,
            chain_id=self._chain.chain_id.hex(),
            epochs=epochs,
            finality=finality,
            key=raw_key.hex(),
            value=None if proved.encoded is None else proved.encoded.hex(),
            proof=proved.proof.hex(),
        )
        return ProvedRecord(height, proved.encoded, bundle)

    def prove_record(self, raw_key: bytes, height: int) -> RecordProof:
        """Prove one more record, or its absence, under the state root of a height that another bundle shows final.

        Raises:
            HistoryRejected: PRUNED, FUTURE.
        """
        proved = self._chain.prove(raw_key, height)
        value = None if proved.encoded is None else proved.encoded.hex()
        return RecordProof(raw_key.hex(), value, proved.proof.hex())

    def prove_transaction(self, block: StoredBlock, index: int) -> TransactionBundle:
        """Prove a transaction of a final block and its receipt.

        Raises:
            RpcError: NOT_FOUND or LIMIT_EXCEEDED with a `ProofRefusal`.
        """
        finality, epochs = self._prove_finality(block.header.height)
        receipts = [encode(receipt) for receipt in block.receipts]
        hashes = [hash_envelope(envelope) for envelope in block.envelopes]
        return TransactionBundle(
            format=FORMAT,
            chain_id=self._chain.chain_id.hex(),
            epochs=epochs,
            finality=finality,
            envelope=block.envelopes[index].hex(),
            index=index,
            siblings=[sibling.hex() for sibling in merkle.inclusion_proof(hashes, index)],
            receipt=receipts[index].hex(),
            receipt_siblings=[sibling.hex() for sibling in merkle.inclusion_proof(receipts, index)],
        )

    def _prove_finality(self, height: int) -> tuple[FinalityPart, list[EpochStep]]:
        finality = self._chain.views.finality_of(height)
        if finality is None:
            raise RpcError(ErrorCode.NOT_FOUND, ProofRefusal.NOT_CERTIFIED, height)
        if len(finality.headers) > HEADERS_MAX:
            raise RpcError(
                ErrorCode.NOT_FOUND, ProofRefusal.TOO_FAR_FROM_CERTIFICATE, len(finality.headers), HEADERS_MAX
            )
        return finality_part(finality), self._epochs_before(finality.headers[0].epoch)

    def _epochs_before(self, epoch: int) -> list[EpochStep]:
        """Return the steps from epoch 0 to this one, all of which have ended.

        Raises:
            RpcError: LIMIT_EXCEEDED, EPOCHS_TOO_LARGE or EPOCHS_IN_PREPARATION.
        """
        steps, sizes = self._steps, self._bytes_before
        stop = min(epoch, len(steps) + EPOCHS_PER_CALL)
        while len(steps) < stop and sizes[-1] <= EPOCHS_BYTES_MAX:
            step = self._build_step(len(steps))
            steps.append(step)
            sizes.append(sizes[-1] + sum(map(len, msgspec.structs.astuple(step))) + _STEP_OVERHEAD_BYTES)
        seen = sizes[min(epoch, len(steps))]
        if seen > EPOCHS_BYTES_MAX:
            raise RpcError(ErrorCode.LIMIT_EXCEEDED, ProofRefusal.EPOCHS_TOO_LARGE, seen, EPOCHS_BYTES_MAX)
        if len(steps) < epoch:
            raise RpcError(ErrorCode.LIMIT_EXCEEDED, ProofRefusal.EPOCHS_IN_PREPARATION, len(steps), epoch)
        return steps[:epoch]

    def _build_step(self, epoch: int) -> EpochStep:
        ended, following = self._chain.views.find_epoch(epoch), self._chain.views.find_epoch(epoch + 1)
        assert ended is not None, "epochs are kept for ever"
        assert ended.end is not None, "a block of a later epoch is final"
        assert following is not None, "an ended epoch is followed by another"
        return epoch_step(ended.end, following.start.validators)
