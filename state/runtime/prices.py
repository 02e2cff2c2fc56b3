"""Work and fees: what a transaction counts towards the block's limit, and the least it must pay."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from state.governance_messages import CastVote, Propose
from state.params import Params, ParamsReason, ParamsRejected
from state.runtime.work import WORK
from state.transactions import MESSAGES_MAX, SIGNATURES_MAX, Transaction

VOTE_ENVELOPE_BYTES: Final = 1_024
"""Room for a vote, and for a proposal of other parameters, with the signatures of a few keys."""


class PriceTable:
    """Prices under one set of parameters."""

    __slots__ = ("_extra_work", "_fees", "_work_by_type")

    def __init__(self, params: Params) -> None:
        """Merge the table of work with the parameters' overrides."""
        self._fees = params.fees
        overrides = {override.message: override.work for override in params.fees.work_overrides}
        self._work_by_type = {
            message_type: overrides.get(message_tag(message_type), work.units) for message_type, work in WORK.items()
        }
        self._extra_work = {message_type: work.extra for message_type, work in WORK.items() if work.extra is not None}

    def work(self, transaction: Transaction) -> int:
        """Return the work units of a transaction: its signatures and its messages."""
        work = len(transaction.signatures) * self._fees.signature_work
        for message in transaction.body.messages:
            message_type = type(message)
            work += self._work_by_type[message_type]
            extra_work = self._extra_work.get(message_type)
            if extra_work is not None:
                work += extra_work(message)
        return work

    @property
    def dearest_work(self) -> int:
        """Work units of as many signatures and of as many messages of the dearest kinds as a transaction may have."""
        small, large = (
            max(
                work + WORK[message_type].extra_max
                for message_type, work in self._work_by_type.items()
                if WORK[message_type].is_large is is_large
            )
            for is_large in (False, True)
        )
        return SIGNATURES_MAX * self._fees.signature_work + (MESSAGES_MAX - 1) * small + max(small, large)

    def fee_of(self, message_type: type, byte_count: int) -> int:
        """Return the least fee of an envelope of this size with one signature and one message, in ubocc."""
        fees = self._fees
        work = fees.signature_work + self._work_by_type[message_type]
        return fees.base + fees.per_byte * byte_count + fees.per_work * work

    def fee(self, transaction: Transaction) -> int:
        """Return the least fee of a transaction in ubocc."""
        fees = self._fees
        return fees.base + fees.per_byte * len(transaction.encoded) + fees.per_work * self.work(transaction)


def check_work_fits(params: Params) -> None:
    """Check that a block has room for the dearest transaction that the format allows, so that none waits for ever.

    Raises:
        ParamsRejected: TOO_LITTLE_WORK.
    """
    dearest = PriceTable(params).dearest_work
    if params.blocks.work_max < dearest:
        raise ParamsRejected(ParamsReason.TOO_LITTLE_WORK, f"work_max {params.blocks.work_max}", dearest)


def check_votes_payable(params: Params) -> None:
    """Check that whoever may be a validator could pay for a proposal and a vote, so that dear fees can be lowered again.

    Raises:
        ParamsRejected: UNGOVERNABLE.
    """
    fee = max(PriceTable(params).fee_of(kind, VOTE_ENVELOPE_BYTES) for kind in (Propose, CastVote))
    if fee > params.staking.own_stake_min:
        raise ParamsRejected(
            ParamsReason.UNGOVERNABLE, f"{fee} ubocc for a proposal or vote", params.staking.own_stake_min
        )


def message_tag(message_type: type) -> int:
    """Return the integer tag of a kind of message."""
    tag: int = message_type.__struct_config__.tag  # type: ignore[attr-defined]  # msgspec sets it on every struct
    return tag


@lru_cache(maxsize=4)
def price_table(params: Params) -> PriceTable:
    """Return the price table of parameters; they change rarely, so it is kept."""
    return PriceTable(params)
