"""Builds proof bundles from what the node stores. What they mean and how they are checked: state/proof_bundle.py."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from msgspec import Struct

from node.api.errors import ErrorCode, RpcError
from state import merkle
from state.chain import Chain
from state.chain_views import StoredBlock
from state.codec import encode
from state.proof_bundle import (
    FORMAT,
    HEADERS_MAX,
    EpochStep,
    FinalityPart,
    StateBundle,
    TransactionBundle,
    epoch_step,
    finality_part,
)
from state.transactions import hash_envelope


class ProofRefusal(StrEnum):
    """Why something that is there cannot be proved yet, or by this node."""

    GENESIS_STATE = "genesis_state"
    """The state of height 0 follows from the genesis itself; nobody signed it."""
    NOT_CERTIFIED = "not_certified"
    """The block was synchronised and no later block with its own finalization is here yet."""
    TOO_FAR_FROM_CERTIFICATE = "too_far_from_certificate"
    """More headers lie between the block and the next certificate than a bundle may have."""


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

    def prove_state(self, raw_key: bytes, height: int | None) -> ProvedRecord:
        """Prove the record under a raw state key, or its absence, after a height; the newest if None.

        Raises:
            RpcError: PRUNED or NOT_FOUND with a `ProofRefusal`.
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

    def prove_transaction(self, block: StoredBlock, index: int) -> TransactionBundle:
        """Prove a transaction of a final block and its receipt.

        Raises:
            RpcError: NOT_FOUND with a `ProofRefusal`.
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
        """Return the steps from epoch 0 to this one, all of which have ended."""
        views, steps = self._chain.views, self._steps
        while len(steps) < epoch:
            ended, following = views.find_epoch(len(steps)), views.find_epoch(len(steps) + 1)
            assert ended is not None, "epochs are kept for ever"
            assert ended.end is not None, "a block of a later epoch is final"
            assert following is not None, "an ended epoch is followed by another"
            steps.append(epoch_step(ended.end, following.start.validators))
        return steps[:epoch]
